"""The registry: MLflow aliases and versions, the champion they name, and the ledger of every change."""

from recsys.registry.changes import Entry
from recsys.registry.due import Due, n_interactions, n_trained
from recsys.registry.fetch import Fetched, fetch_champion, fetch_verdict
from recsys.registry.first_light import Pretrained
from recsys.registry.ledger import entries
from recsys.registry.mlflow import RegisteredEncoder, champion, record_release, register_encoder
from recsys.registry.promote import Changed, check_gate, promote, register
from recsys.registry.record import RunRecord, code_commit, record_of
from recsys.registry.webhook import Subscription, subscribe

__all__ = [
    "Changed",
    "Due",
    "Entry",
    "Fetched",
    "Pretrained",
    "RegisteredEncoder",
    "RunRecord",
    "Subscription",
    "champion",
    "check_gate",
    "code_commit",
    "entries",
    "fetch_champion",
    "fetch_verdict",
    "n_interactions",
    "n_trained",
    "promote",
    "record_of",
    "record_release",
    "register",
    "register_encoder",
    "subscribe",
]
