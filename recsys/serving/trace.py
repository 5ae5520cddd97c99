"""Where a published profile comes from: item, text, part and line, data version, code commit, model version."""

from dataclasses import dataclass

from recsys.errors import ReleaseError
from recsys.serving.reader import Release


@dataclass(frozen=True)
class Trace:
    """The way of one profile, from its source to the release."""

    item_id: str
    text_hash: str
    """SHA-256 of the item's one text."""
    updated_at: str | None
    segment: str
    part: str
    """The landed file as a part; survives compaction."""
    line: int
    """1-based line or row of the landed file."""
    source: str
    """The landed file's name."""
    source_sha256: str
    arrived_at: str
    data_version: str | None
    """Hash in data.dvc when the part was published first."""
    preprocessing_version: int
    code_commit: str
    model_hash: str
    """Hash of the model whose encoder and head made the profile."""
    encoder_hash: str
    encoder_source: str
    model_version: str | None
    """Version in the registry."""
    run_id: str | None
    release: str
    parent: str | None


def trace(release: Release, item: str) -> Trace:
    """Follow an item's profile back to its source.

    Args:
        release: an open release.
        item: an item's id.

    Returns:
        Every step of the way.

    Raises:
        ReleaseError: the item is not in the release.
    """
    manifest = release.manifest
    segment, row = release.place_of(item)
    record = next((r for r in manifest.provenance.arrivals if r.part == row["part"]), None)
    if record is None:
        raise ReleaseError(
            f"release {release.id} has no record of part {row['part']}", remedy="publish again"
        )
    model = manifest.provenance.mlflow
    return Trace(
        item_id=item,
        text_hash=row["text_hash"],
        updated_at=row["updated_at"].isoformat() if row["updated_at"] else None,
        segment=segment,
        part=record.part,
        line=row["line"],
        source=record.source,
        source_sha256=record.sha256,
        arrived_at=record.arrived_at,
        data_version=record.data_version,
        preprocessing_version=manifest.preprocessing.version,
        code_commit=manifest.code_commit,
        model_hash=manifest.model.hash,
        encoder_hash=manifest.model.encoder.hash,
        encoder_source=manifest.model.encoder.source,
        model_version=model.version if model else None,
        run_id=model.run_id if model else None,
        release=release.id,
        parent=manifest.parent,
    )
