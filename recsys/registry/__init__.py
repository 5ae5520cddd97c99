"""The registry: MLflow aliases and versions, and the champion they name."""

from recsys.registry.fetch import Fetched, Pretrained, fetch_champion
from recsys.registry.mlflow import RegisteredEncoder, champion, record_release, register_encoder
from recsys.registry.record import RunRecord, code_commit, record_of

__all__ = [
    "Fetched",
    "Pretrained",
    "RegisteredEncoder",
    "RunRecord",
    "champion",
    "code_commit",
    "fetch_champion",
    "record_of",
    "record_release",
    "register_encoder",
]
