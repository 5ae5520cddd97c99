"""The provenance that a manifest records: landed files, their reports, and the model's version in the registry."""

from recsys.publishing.entries import File, Frozen
from recsys.storage.names import PlainName, Sha256


class LandedFile(Frozen):
    """Where a part came from."""

    part: PlainName
    kind: str
    source: str
    """The landed file's name, given by its producer. Only for display, never used as a path."""
    sha256: Sha256
    arrived_at: str
    n_rows: int
    n_quarantined: int
    accepted_by: dict[str, str] | None
    """Who let a refused batch in, and why."""
    data_version: str | None
    """Hash in data.dvc when the part was first published."""


class ModelVersion(Frozen):
    """The model's version in the registry."""

    run_id: str | None
    version: str


class PartReport(Frozen):
    """Data docs of one part."""

    part: PlainName
    file: File


class Provenance(Frozen):
    """What is needed to make the release again, and to trace a profile to its source."""

    data_dvc: str | None
    """Text of data.dvc."""
    dvc_lock: str | None
    """Text of dvc.lock, with its stages sorted by name."""
    mlflow: ModelVersion | None
    data_reports: tuple[PartReport, ...]
    arrivals: tuple[LandedFile, ...]
