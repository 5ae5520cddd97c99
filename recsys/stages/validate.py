"""Stage `validate`: check all parts together. Each part by itself was checked when it was accepted."""

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import write_json
from recsys.catalogue.consistency import KnownHashes, check_parts, describe
from recsys.catalogue.kinds import CATALOGUE
from recsys.errors import ArtifactMissing
from recsys.settings import Settings


def run(settings: Settings, at: Artifacts) -> None:
    """Refuse damaged data, and describe the rest.

    Reads:   at.data, every part
    Writes:  at.validate_report, counts per part and over all of them; the same parts give the same bytes;
             at.interaction_counts, at.known_hashes: what the next run need not read again
    Raises:  ArtifactMissing when nothing has been accepted; RecsysError naming a damaged part
    """
    hashes = KnownHashes(at.known_hashes)
    parts = check_parts(at.data, hashes)
    if not parts[CATALOGUE]:
        remedy = "land a catalogue file and run `recsys ingest`"
        raise ArtifactMissing(f"{at.data} holds no catalogue part", remedy=remedy)
    report = describe(parts, at.interaction_counts)
    at.validate_report.parent.mkdir(parents=True, exist_ok=True)
    write_json(at.validate_report, report)
    hashes.save()
