"""Items and pairs that are held out by their hash: the same ones whatever else there is."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.params import SplitParams
from recsys.storage.strings import Strings, unified
from recsys.storage.tables import ROWS_AT_ONCE


def hash_share(seed: int, *words: str) -> float:
    """A number in [0, 1) that depends on the words and the seed alone."""
    digest = hashlib.sha256("\0".join((str(seed), *words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def held_out_by_hash(pairs: pa.Table, params: SplitParams) -> NDArray[np.bool_]:
    """Which pairs the test side holds where items are divided by hash.

    Args:
        pairs: user and item_id; a pair may be there more than once.
        params: `seed` and `test_share`.

    Returns:
        One for each row: the item is held out, or else the pair.
    """
    items = unified(pairs["item_id"])
    is_held_out = np.array(
        [hash_share(params.seed, item) < params.test_share for item in Strings(items.dictionary)], bool
    )
    is_test: NDArray[np.bool_] = is_held_out[np.asarray(items.indices)]
    for start in range(0, len(pairs), ROWS_AT_ONCE):  # or ten million pairs would all be Python objects
        some = pairs.slice(start, ROWS_AT_ONCE)
        rows = np.flatnonzero(~is_test[start : start + len(some)])
        both = some.select(["user", "item_id"]).take(pa.array(rows)).to_pydict()
        shares = [hash_share(params.seed, *pair) for pair in zip(*both.values(), strict=True)]
        is_test[start + rows] = np.array(shares, float) < params.test_share
    return is_test
