"""Feedback: which interactions are likes, and which likes still hold.

Each interaction has a weight: 1 for a like, -1 for a dislike, 0 for an event that takes earlier ones back. For one user
and item the latest interaction decides. A dislike after a like ends the like; a later like restores it. If the latest
interaction has weight 0, the pair counts as if it had never existed. Unknown times count as latest; at equal times the
interaction that arrived later decides.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.folding import folded
from recsys.catalogue.known import part_ranks
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.schemas import TIME

# Shape suffix: E events.
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
"""timestamp: first known time of any interaction of the pair; latest and weight: those of the one that decides."""


def weigh(events: pa.ChunkedArray, values: pa.ChunkedArray, params: FeedbackParams) -> pa.ChunkedArray:
    """The weight of each interaction.

    Args:
        events: names of events, as they landed; null where there is none.
        values: float64, null where there is none.
        params: section `feedback`.

    Returns:
        float32, one per interaction: LIKE, DISLIKE or WITHDRAWAL.
    """
    minimum = {folded(event): least for event, least in params.min_values.items()}
    negative, withdrawing = _folded(params.negative_events), _folded(params.withdrawing_events)
    landed = events.cast(pa.string()).combine_chunks().dictionary_encode()
    names = ["" if name is None else folded(name) for name in landed.dictionary.to_pylist()]
    # One more entry, for rows without an event.
    least_N = np.array(
        [_or_nan(minimum.get(name, params.min_value)) for name in (*names, "")], dtype=np.float64
    )
    code = np.asarray(pc.fill_null(landed.indices, len(names)))
    value = values.cast(pa.float64()).fill_null(np.nan).to_numpy()
    weight = np.where(value < least_N[code], DISLIKE, LIKE)  # a comparison with NaN is false
    weight[np.isin(code, [n for n, name in enumerate(names) if name in negative])] = DISLIKE
    weight[np.isin(code, [n for n, name in enumerate(names) if name in withdrawing])] = WITHDRAWAL
    return pa.chunked_array([pa.array(weight, pa.float32())])


def weighed(interactions: pa.Table, params: FeedbackParams) -> pa.Table:
    """Interactions as opinions of one event each, in order of arrival.

    Args:
        interactions: in the interactions' schema; rows in any order.
        params: section `feedback`.

    Returns:
        A table in OPINIONS_SCHEMA, with as many rows.
    """
    place = pa.array(part_ranks(interactions["part"]))
    arrived = interactions.append_column("place", place).sort_by(
        [("place", "ascending"), ("line", "ascending")]
    )
    return weighed_in_order(arrived, params)


def weighed_in_order(arrived: pa.Table, params: FeedbackParams) -> pa.Table:
    """Interactions as opinions of one event each.

    Args:
        arrived: user, item_id, timestamp, event and value, in order of arrival.
        params: section `feedback`.

    Returns:
        A table in OPINIONS_SCHEMA, row by row.
    """
    columns = [arrived[name] for name in ("user", "item_id", "timestamp", "timestamp")]
    weight = weigh(arrived["event"], arrived["value"], params)
    return pa.table([*columns, weight], names=OPINIONS_SCHEMA.names).cast(OPINIONS_SCHEMA)


def opinions(events: pa.Table) -> pa.Table:
    """One opinion per user and item, from single events or from partial opinions.

    opinions(a + b) = opinions(opinions(a) + opinions(b)), so parts can be combined one by one.

    Args:
        events: in OPINIONS_SCHEMA, in order of arrival.

    Returns:
        In OPINIONS_SCHEMA, one row per pair, sorted by user, then timestamp (unknown last), then arrival.
    """
    place_E = np.arange(events.num_rows)
    latest_E = events["latest"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    by_latest_E = np.argsort(latest_E, kind="stable")
    rank_E = np.empty_like(place_E)
    rank_E[by_latest_E] = place_E
    by_first = (
        events.select(["user", "item_id", "timestamp"])
        .append_column("place", pa.array(place_E))
        .append_column("rank", pa.array(rank_E))
        .sort_by([("user", "ascending"), ("timestamp", "ascending"), ("place", "ascending")])
    )
    pairs = (
        by_first.append_column("row", pa.array(place_E))
        .group_by(["user", "item_id"], use_threads=False)
        .aggregate([("row", "min"), ("rank", "max")])
        .select(["row_min", "rank_max"])
        .sort_by("row_min")
    )
    first = by_first.take(pairs["row_min"])
    deciding = pa.array(by_latest_E[pairs["rank_max"].to_numpy()])
    columns = [first[name] for name in ("user", "item_id", "timestamp")]
    columns += [events[name].take(deciding) for name in ("latest", "weight")]
    return pa.table(columns, schema=OPINIONS_SCHEMA)


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


def _folded(events: Iterable[str]) -> frozenset[str]:
    return frozenset(map(folded, events))


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
