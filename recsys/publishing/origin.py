"""The provenance of a release: data version, landed files, their reports, and the model's version."""

from collections.abc import Iterable
from typing import Any

import yaml

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import Arrival
from recsys.catalogue.parts import Part
from recsys.models.reference import ModelReference
from recsys.publishing.hashing import Hasher
from recsys.publishing.provenance import LandedFile, ModelVersion, PartReport, Provenance
from recsys.publishing.release import Manifest


def provenance_of(
    at: Artifacts,
    hasher: Hasher,
    parts: Iterable[Part],
    model: ModelReference,
    landed: set[str],
    head: Manifest | None,
) -> Provenance:
    """Collect the provenance of a release.

    Args:
        at: the workspace.
        hasher: makes the entries of files.
        parts: accepted parts.
        model: the champion.
        landed: landed parts that the release holds.
        head: the newest release; its records of landed files are kept.

    Returns:
        The provenance, with records by part.
    """
    data_dvc = at.data_dvc.read_text("utf-8") if at.data_dvc.is_file() else None
    known = {record.part: record for record in head.provenance.arrivals} if head else {}
    reports = {report.part: report for report in head.provenance.data_reports} if head else {}
    records, version = dict(known), data_version(data_dvc)
    for part in parts:
        for arrival in part.arrival.landed():
            records.setdefault(arrival.part, _landed_file(arrival, version))
        if part.report_path.is_file() and part.id not in reports:
            reports[part.id] = PartReport(part=part.id, file=hasher.hashed(part.report_path))
    entry = model.registry
    return Provenance(
        data_dvc=data_dvc,
        dvc_lock=ordered_lock(at.dvc_lock.read_text("utf-8")) if at.dvc_lock.is_file() else None,
        mlflow=ModelVersion(run_id=entry.run_id, version=entry.version) if entry else None,
        data_reports=tuple(reports[part] for part in sorted(reports) if part in landed),
        arrivals=tuple(records[part] for part in sorted(records) if part in landed),
    )


def _landed_file(arrival: Arrival, version: str | None) -> LandedFile:
    plain = arrival.model_dump(mode="json")
    kept = ("part", "kind", "source", "sha256", "arrived_at", "n_rows", "n_quarantined", "accepted_by")
    return LandedFile(**{name: plain[name] for name in kept}, data_version=version)


def ordered_lock(dvc_lock: str) -> str:
    """Sort the stages of a dvc.lock by name: DVC writes them in the order in which they ended."""
    content: dict[str, Any] = yaml.safe_load(dvc_lock)
    content["stages"] = dict(sorted(content["stages"].items()))
    return yaml.safe_dump(content, sort_keys=False)


def data_version(data_dvc: str | None) -> str | None:
    """The hash of data/ in data.dvc."""
    if data_dvc is None:
        return None
    return str(yaml.safe_load(data_dvc)["outs"][0]["md5"])
