"""The prior of a release's users, from history files: of a sample of users, the live items that they like."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.profiles.histories_by_user import HistoriesByUser
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.prior import MAX_USERS, PRIOR_VERSION, learn_prior, weighed
from recsys.storage.checksums import key_of
from recsys.storage.strings import UNKNOWN


def prior_key(
    histories: Iterable[str], segments: Iterable[str], gram_sha256: str, profiles_hash: str, weight: float
) -> str:
    """16 hex digits of the SHA-256 over everything that a prior depends on.

    Args:
        histories: names of history files, which name their contents.
        segments: names of the segments that hold live profiles of liked items. A changed profile lies in another one.
        gram_sha256: of the Gram matrix, which changes where a liked item goes. Items that swap their texts leave it.
        profiles_hash: of the model.
        weight: of the prior.

    Returns:
        The key.
    """
    return key_of([PRIOR_VERSION, sorted(histories), sorted(segments), gram_sha256, profiles_hash, weight])


def prior_of(
    histories: Sequence[Path],
    by_user: HistoriesByUser,
    live: ItemIds,
    vectors_of: Callable[[NDArray[np.int64]], NDArray[np.floating]],
    weight: float,
    first: int,
) -> NDArray[np.float32] | None:
    """Learn the prior of all users.

    Args:
        histories: history files, in order of their parts.
        by_user: reads the histories of single users.
        live: ids of the items with a profile.
        vectors_of: from rows of `live` to their profiles.
        weight: of the prior; 0: there is none, and nothing is read.
        first: number of leading dimensions that ridge regression leaves out.

    Returns:
        rows_RD with this weight, see `learn_prior`; None where there is no prior.
    """
    if weight == 0:
        return None
    users = by_user.next_users(histories, "", MAX_USERS)  # the sample of `sample_users`: these are pseudonyms
    pairs = by_user.of(histories, users).pairs
    user_P, item_P = (pairs[name].combine_chunks().dictionary_encode() for name in ("user", "item_id"))
    rows_I = live.rows_by_scan(item_P.dictionary.to_pylist())
    places = np.asarray(user_P.indices), np.asarray(item_P.indices)
    shape = len(user_P.dictionary), len(rows_I)
    is_live = rows_I != UNKNOWN
    likes_UI = csr_array(csr_array((np.ones(len(pairs)), places), shape=shape)[:, is_live])
    rows_I = rows_I[is_live]
    return weighed(learn_prior(likes_UI, lambda columns: vectors_of(rows_I[columns]), first), weight)
