"""Effect `champion`: compare the registry's champion with the newest release, and record a difference."""

from dataclasses import dataclass

from recsys.errors import RegistryError
from recsys.publishing.store import ReleaseStore
from recsys.registry.ledger import entries
from recsys.registry.mlflow import champion as registered_champion
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Compared:
    """The champion beside the newest release."""

    version: str
    model_hash: str
    release: str
    published_hash: str

    @property
    def to_publish(self) -> bool:
        """Whether the champion is another model than the published one."""
        return self.model_hash != self.published_hash


def champion(uri: str | None, storage: Storage) -> Compared | None:
    """Compare. Safe to repeat: the ledger records an alias that was moved by hand once.

    Args:
        uri: MLflow's address; None: there is no registry.
        storage: where releases live.

    Returns:
        Both hashes; None without a registry or before the first release, where there is nothing to compare.

    Raises:
        RegistryError: no version is champion, or Firstlight did not register it.
        RegistryUnreachable: MLflow is out of reach.
    """
    releases = ReleaseStore(storage)
    pointer = releases.pointer()
    if not uri or not pointer:
        return None
    head = releases.manifest(pointer.current.head)
    found = registered_champion(uri)
    if found is None:
        remedy = "give the alias to a version in MLflow's page; `recsys ledger` lists those that had it"
        raise RegistryError(
            "no version of item-encoder is champion; the published encoder stays", remedy=remedy
        )
    compared = Compared(found.version, found.hash, head.id, head.model.hash)
    if compared.to_publish:
        entries(uri)
    return compared
