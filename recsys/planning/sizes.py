"""Bytes of the arrays that stages write, exactly; [formats.md](../../docs/formats.md) describes the files.

Tables (Parquet, Arrow) depend on the texts. Their bytes are measured, see `costs.py`.
"""

from recsys.retrieval.params import FOUR_BITS_FROM

HEADER = 128
"""Bytes of the header of a .npy file."""
FLOAT32, FLOAT64, INT32, INT64 = 4, 8, 4, 8
KEY_BYTES = 40
"""Of a text in the vector cache: SHA-256, and 8 bytes of BLAKE2b of its vector."""
EXACT_ROWS = 2**35
"""A Gram matrix is exact for so many profiles, see `recsys/profiles/gram.py`."""


def vectors_bytes(n: int, width: int, parts: int = 1) -> int:
    """Bytes of `.vectors.npy`: profiles of n items.

    Args:
        n: items.
        width: of a profile.
        parts: files that they lie in.

    Returns:
        Bytes.
    """
    return parts * HEADER + n * width * FLOAT32


def cache_bytes(n: int, width: int, files: int = 1) -> int:
    """Bytes of the vector cache: keys and vectors of n texts.

    Args:
        n: different texts.
        width: of an encoder's vector.
        files: pairs that they lie in.

    Returns:
        Bytes.
    """
    return files * 2 * HEADER + n * (KEY_BYTES + width * FLOAT32)


def gram_bytes(width: int) -> int:
    """Bytes of `gram.npy`, float64 [width, width]; they do not grow with users or items."""
    return HEADER + width * width * FLOAT64


def index_bytes(n: int, width: int, links: int) -> float:
    """Expected bytes of an index file over n profiles, without its head of less than a kilobyte.

    Each profile has 4 bits per number (8 where it is narrow; only the vectors tell where 1 will do, see
    `recsys/retrieval/index_building.py`), `links` neighbours, its level and where these begin.
    One in links / 2 also stands on the next level, with links / 2 neighbours there, and so on.

    Args:
        n: profiles.
        width: of a profile.
        links: `index.links`.

    Returns:
        Bytes; levels are drawn at random, so files differ a little.
    """
    above = links // 2
    upper = INT32 * above / (above - 1)
    bits = 4 if width >= FOUR_BITS_FROM else 8
    copy = (width * bits + 7) // 8
    return n * (copy + INT32 * links + upper + INT32 + INT64)
