"""The registry: MLflow aliases and versions, and the champion they name."""

from recsys.registry.fetch import Fetched, Pretrained, fetch_champion
from recsys.registry.record import RunRecord, code_commit, record_of

__all__ = ["Fetched", "Pretrained", "RunRecord", "code_commit", "fetch_champion", "record_of"]
