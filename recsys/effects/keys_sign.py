"""Effect `keys sign`: sign releases that are stored already."""

from collections.abc import Iterator, Sequence

from recsys.errors import ConfigError
from recsys.publishing.signing import SIGNING_KEY, key_id, signing_key
from recsys.publishing.store import ReleaseStore
from recsys.storage.protocol import Storage


def keys_sign(storage: Storage, releases: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Sign stored releases with the key of RECSYS_SIGNING_KEY. Safe to repeat.

    Args:
        storage: where releases live.
        releases: their ids.

    Yields:
        The release and the id of the key, after each signature.

    Raises:
        ConfigError: RECSYS_SIGNING_KEY is not set, or is not a private key.
        ReleaseError: a release is unknown.
    """
    key = signing_key()
    if key is None:
        raise ConfigError(
            f"{SIGNING_KEY} is not set", remedy=f"export {SIGNING_KEY}=… (recsys keys make makes one)"
        )
    store = ReleaseStore(storage)
    for release in releases:
        store.sign(release, key)
        yield release, key_id(key.public_key())
