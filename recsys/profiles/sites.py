"""How a workspace shares what its users like: sections `users` and `privacy`, the key, the files of other sites."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.pseudonyms import Pseudonyms, pseudonym_key, require_same_key
from recsys.profiles.item_likes import ItemLikes, merged
from recsys.profiles.params import PrivacyParams, UsersParams
from recsys.profiles.sharing import ALONE, Sharing
from recsys.storage.opening import open_storage


def sharing_of(at: Artifacts, users: UsersParams, privacy: PrivacyParams) -> Sharing:
    """Read what decides which items are in the shared matrix.

    Args:
        at: the workspace.
        users: section `users`.
        privacy: section `privacy`.

    Returns:
        The sharing. The key is in it only where there is noise or another site.

    Raises:
        ConfigError: the pseudonym key is needed and not set, or another one than that of the interactions.
        DataDamaged: a file of `users.sites` is no such file.
        ReleaseError: a site is in two of them.
        StorageError: one cannot be read.
    """
    others = read_likes(users.sites, at.root)
    secret = b""
    if others or privacy.epsilon is not None:
        secret = noise_secret(at)
    return Sharing(privacy, users.site or ALONE, merged(others) if others else None, secret, users)


def noise_secret(at: Artifacts) -> bytes:
    """The secret of noise and digests, from RECSYS_PSEUDONYM_KEY.

    Args:
        at: the workspace.

    Returns:
        32 bytes.

    Raises:
        ConfigError: the key is not set, or another one than that of the interactions.
    """
    names = Pseudonyms(pseudonym_key())
    require_same_key(at.pseudonyms, names)
    return names.noise_secret


def read_likes(addresses: Sequence[str], base: Path) -> tuple[ItemLikes, ...]:
    """Read files of `recsys gram export` or `recsys gram merge`.

    Args:
        addresses: paths, or s3://bucket/…; each ends with the name under which the file was written.
        base: folder that relative paths start from.

    Returns:
        Likes of each file.

    Raises:
        DataDamaged: one is no such file.
        StorageError: one cannot be read.
    """
    found = []
    for address in addresses:
        folder, _, name = address.rpartition("/")
        place = folder if "://" in folder else str(base / folder)
        with tempfile.TemporaryDirectory() as copies:
            copy = Path(copies) / "likes.parquet"
            open_storage(place).fetch(name, copy)
            found.append(ItemLikes.load(copy, address))
    return tuple(found)
