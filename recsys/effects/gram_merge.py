"""Effect `gram merge`: add up how much users of several sites like each item."""

from collections.abc import Sequence
from pathlib import Path

from recsys.effects.gram_export import Exported
from recsys.profiles.item_likes import merged
from recsys.profiles.sites import read_likes


def gram_merge(files: Sequence[str], folder: Path, base: Path) -> Exported:
    """Write one file of the likes of several sites. No workspace is needed; safe to repeat.

    Args:
        files: of `gram export` or of an earlier merge, in any order; paths or s3://bucket/….
        folder: gets the file.
        base: folder that relative paths start from.

    Returns:
        The file.

    Raises:
        DataDamaged: one is no such file.
        ReleaseError: a site is in two of them.
        StorageError: one cannot be read.
    """
    likes = merged(read_likes(files, base))
    return Exported(likes.save(folder), likes)
