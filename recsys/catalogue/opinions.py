"""Opinions: what each user thinks of each item, from all of their interactions with it.

Each interaction has a weight: above 0 for a like, -1 for a dislike, 0 for an event that withdraws earlier ones. For
one user and item the latest interaction decides. A dislike after a like ends the like; a later like restores it. If the
latest interaction has weight 0, the pair counts as if it had never existed. Unknown times count as latest. Of several
interactions at the same time, the one that arrived last decides.
"""

from collections.abc import Callable, Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.schemas import TIME
from recsys.catalogue.weighting import DAY_US, EVENTS, N_LIKES, Weighting
from recsys.storage.strings import ordered, unified

# Shape suffixes: E events, P pairs of user and item, R events of pairs that have several.
LIKE, WITHDRAWAL, DISLIKE = 1.0, 0.0, -1.0
OPINIONS_SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", TIME),
        ("latest", TIME),
        ("weight", pa.float32()),
    ]
)
"""timestamp: first known time of any interaction of the pair; latest and weight: those of the one that decides. Further
columns stand behind these where somebody reads them: see FURTHER."""
FURTHER: dict[str, pa.Field] = {N_LIKES: pa.field(N_LIKES, pa.int32()), EVENTS: pa.field(EVENTS, pa.string())}
"""See `recsys/catalogue/weighting.py`; in this order."""


def with_columns(found: pa.Table, further: Collection[str]) -> pa.Table:
    """Opinions with further columns. Where they are missing, each like counts once, and events are not known.

    Args:
        found: in OPINIONS_SCHEMA, perhaps with some of them.
        further: names in FURTHER.

    Returns:
        The table with these columns, in the order of FURTHER, and no others.
    """
    missing = {
        N_LIKES: lambda: pc.greater(found["weight"], WITHDRAWAL).cast(pa.int32()),
        EVENTS: lambda: pa.nulls(found.num_rows, pa.string()),
    }
    kept = [name for name in FURTHER if name in further]
    columns = [found[name] if name in found.column_names else missing[name]() for name in kept]
    names = [*OPINIONS_SCHEMA.names, *kept]
    return pa.table([*(found[name] for name in OPINIONS_SCHEMA.names), *columns], names=names)


def opinions(events: pa.Table) -> pa.Table:
    """One opinion per user and item, from single events or from partial opinions.

    opinions(a + b) = opinions(opinions(a) + opinions(b)), so parts can be combined one by one. Users and items are
    compared by number, so that ten million events need about a gigabyte.

    Args:
        events: in OPINIONS_SCHEMA, perhaps with columns of FURTHER, in order of arrival. `user` and `item_id` may be
            dictionaries, whose columns then stay so; the users' dictionary comes back sorted.

    Returns:
        The same columns, one row per pair, sorted by user, then timestamp (unknown last), then arrival.
    """
    users, items = ordered(events["user"]), unified(events["item_id"])
    user_E, item_E = (np.asarray(one.indices).astype(np.int64) for one in (users, items))
    by_first_E = _by_user_and_time(user_E, _micros(events["timestamp"]))
    key_E = (user_E * max(1, len(items.dictionary)) + item_E)[by_first_E]
    # Pairs are numbered as they first occur, which is their order in the result.
    in_order_E = np.asarray(pa.array(key_E).dictionary_encode().indices)
    is_first_E = np.diff(np.maximum.accumulate(in_order_E), prepend=-1) > 0
    first_P = by_first_E[is_first_E]
    pair_of_E = np.empty_like(in_order_E)
    pair_of_E[by_first_E] = in_order_E
    deciding_P = first_P.copy()
    repeated_R = np.flatnonzero(np.bincount(in_order_E)[pair_of_E] > 1)
    latest_R = _micros(events["latest"])[repeated_R]
    by_latest_R = repeated_R[np.argsort(latest_R, kind="stable")]
    deciding_P[pair_of_E[by_latest_R]] = by_latest_R  # of a pair the last one stays
    columns = [_taken(one, first_P, events[name]) for name, one in (("user", users), ("item_id", items))]
    columns.append(events["timestamp"].take(pa.array(first_P)))
    columns += [events[name].take(pa.array(deciding_P)) for name in ("latest", "weight")]
    found = pa.table(columns, names=OPINIONS_SCHEMA.names)
    if N_LIKES in events.column_names:
        found = found.append_column(FURTHER[N_LIKES], _n_likes(events[N_LIKES], pair_of_E, len(found)))
    if EVENTS in events.column_names:
        found = found.append_column(FURTHER[EVENTS], _event_sets(events[EVENTS], pair_of_E, len(found)))
    return found


def _by_user_and_time(user_E: NDArray[np.int64], micros_E: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of events, sorted by user, then time, then place.

    Both are packed into one number where they fit. Histories of several parts are then a few ascending runs, which a
    stable sort only merges.
    """
    is_known_E = micros_E != np.iinfo(np.int64).max
    if not is_known_E.any():
        return np.argsort(user_E, kind="stable")
    earliest, latest = int(micros_E.min()), int(micros_E[is_known_E].max())
    n_bits = (latest - earliest + 1).bit_length()
    if n_bits + int(user_E.max(initial=0)).bit_length() >= np.iinfo(np.int64).bits:
        return np.lexsort((micros_E, user_E))
    since_E = np.where(is_known_E, micros_E, latest + 1) - earliest
    return np.argsort((user_E << n_bits) | since_E, kind="stable")


def _micros(times: pa.ChunkedArray) -> NDArray[np.int64]:
    """Times as numbers, unknown ones last."""
    return np.asarray(times.cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy())


def _taken(found: pa.DictionaryArray, rows: NDArray[np.int64], like: pa.ChunkedArray) -> pa.Array:
    """Some rows, as a dictionary where the column was one."""
    taken = found.take(pa.array(rows))
    return taken if pa.types.is_dictionary(like.type) else taken.cast(pa.string())


def weights_of(found: pa.Table, weighting: Weighting) -> NDArray[np.float64]:
    """The weight of each opinion of one user in the user's profile.

    Args:
        found: all opinions of one user.
        weighting: of the model.

    Returns:
        One weight per row: above 0 for likes, 0 or below for dislikes, 0 for opinions that were taken back.
    """
    n_likes = found[N_LIKES].to_numpy() if N_LIKES in found.column_names else None
    ages = None
    if weighting.half_life_days is not None and found.num_rows:
        latest = found["latest"].cast(pa.int64()).to_numpy().astype(np.float64)  # NaN where unknown
        # As in training, which never reads what was taken back.
        holds = found["weight"].to_numpy() != WITHDRAWAL
        newest = np.nanmax(latest[holds], initial=-np.inf)
        ages = np.nan_to_num((newest - latest) / DAY_US, nan=0.0)
    factors = weighting.event_factors(found[EVENTS].to_pylist()) if EVENTS in found.column_names else None
    return weighting.weights(found["weight"].to_numpy(), n_likes, ages, factors)


def liked(found: pa.Table) -> pa.Table:
    """Opinions that are likes, in the same order.

    Args:
        found: what `opinions` returned.

    Returns:
        Some of its rows.
    """
    return found.filter(pc.greater(found["weight"], WITHDRAWAL))


def liked_items(found: pa.Table) -> tuple[str, ...]:
    """Items that one user likes.

    Args:
        found: the user's opinions, by first time.

    Returns:
        Item ids, oldest first.
    """
    return _items_where(found, np.greater)


def disliked_items(found: pa.Table) -> tuple[str, ...]:
    """Items that one user dislikes.

    Args:
        found: the user's opinions, by first time.

    Returns:
        Item ids, oldest first.
    """
    return _items_where(found, np.less)


def _items_where(found: pa.Table, compare: Callable[..., NDArray[np.bool_]]) -> tuple[str, ...]:
    """Items whose weight compares so with that of a withdrawn opinion; numpy is faster than Arrow for one user."""
    items = found["item_id"].to_pylist()
    return tuple(items[place] for place in np.flatnonzero(compare(found["weight"].to_numpy(), WITHDRAWAL)))


def _n_likes(counts: pa.ChunkedArray, pair_E: NDArray[np.int64], n_pairs: int) -> pa.Array:
    """How many interactions of each pair are likes."""
    summed = np.bincount(pair_E, counts.to_numpy(), n_pairs)
    return pa.array(summed.astype(np.int32))


def _event_sets(names: pa.ChunkedArray, pair_E: NDArray[np.int64], n_pairs: int) -> pa.ChunkedArray:
    """The events of each pair's likes, as in column EVENTS."""
    likes = pa.table({"pair": pair_E, EVENTS: names}).filter(pc.is_valid(names))
    listed = likes.group_by("pair", use_threads=False).aggregate([(EVENTS, "distinct")])
    sets: list[list[str]] = listed[f"{EVENTS}_distinct"].to_pylist()
    unions = pa.array([_union(one) for one in sets], pa.string())
    return unions.take(pc.index_in(pa.array(np.arange(n_pairs)), value_set=listed["pair"].combine_chunks()))


def _union(sets: list[str]) -> str:
    """All names of some sets, each as in column EVENTS."""
    return sets[0] if len(sets) == 1 else " ".join(sorted({name for one in sets for name in one.split(" ")}))
