"""Effect `quarantine retry`: land quarantined rows again."""

from recsys.artifacts import Artifacts
from recsys.catalogue.pseudonyms import Pseudonyms, require_same_key
from recsys.catalogue.quarantine import LandedAgain, land_again
from recsys.storage.protocol import Storage


def quarantine_retry(landing: Storage, at: Artifacts, part: str, reason: str | None, key: str) -> LandedAgain:
    """Write quarantined rows into the landing zone as a new file. The next `ingest` reads it. Safe to repeat.

    Args:
        landing: the landing zone.
        at: the workspace.
        part: the id under which the rows' file was accepted.
        reason: only rows with this reason; None: all.
        key: the workspace's secret for pseudonyms.

    Returns:
        The new file, and how many rows it holds.

    Raises:
        ConfigError: the workspace's pseudonyms were made with another key.
        RecsysError: no such part, or none of its rows can be landed again.
        StorageError: the landing zone cannot be written.
    """
    pseudonyms = Pseudonyms(key)
    require_same_key(at.pseudonyms, pseudonyms)
    return land_again(landing, at.data, part, reason, pseudonyms)
