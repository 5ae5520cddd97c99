"""Feedback: which interactions are likes, and how strong they are, as section `feedback` says.

A like weighs 1, or as much as its value says among those of its event (`recsys/catalogue/weighting.py`).
`recsys/catalogue/opinions.py` combines the interactions of one user and item.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.folding import folded
from recsys.catalogue.known import part_ranks
from recsys.catalogue.opinions import DISLIKE, FURTHER, LIKE, OPINIONS_SCHEMA, WITHDRAWAL, with_columns
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.weighting import EVENTS, Scale, Scales

# Shape suffix: E events.
NO_SCALES: Scales = {}
MEANINGS = ((LIKE, "likes"), (DISLIKE, "dislikes"), (WITHDRAWAL, "withdrawals"))
MOST_NAMED = 10
"""Events that `meaning_of` names of each meaning."""


def weigh(
    events: pa.ChunkedArray, values: pa.ChunkedArray, params: FeedbackParams, scales: Scales = NO_SCALES
) -> pa.ChunkedArray:
    """Compute the weight of each interaction.

    Args:
        events: names of events, as they landed; null where there is none.
        values: float64, null where there is none.
        params: section `feedback`.
        scales: how strong a like is by its value; without a scale a like weighs 1.

    Returns:
        float32, one per interaction: above 0 for likes, DISLIKE or WITHDRAWAL.
    """
    names, code = _coded(events)
    minimum = {folded(event): least for event, least in params.min_values.items()}
    negative, withdrawing = _folded(params.negative_events), _folded(params.withdrawing_events)
    least_N = np.array([_or_nan(minimum.get(name, params.min_value)) for name in names], dtype=np.float64)
    value = values.cast(pa.float64()).fill_null(np.nan).to_numpy()
    weight = np.where(value < least_N[code], DISLIKE, LIKE)  # a comparison with NaN is false
    weight[np.isin(code, [n for n, name in enumerate(names) if name in negative])] = DISLIKE
    weight[np.isin(code, [n for n, name in enumerate(names) if name in withdrawing])] = WITHDRAWAL
    for n, name in enumerate(names):
        if name in scales:
            scaled = (code == n) & (weight == LIKE) & np.isfinite(value)
            weight[scaled] = scales[name].strength(value[scaled])
    return pa.chunked_array([pa.array(weight, pa.float32())])


def meaning_of(interactions: Iterable[pa.Table], params: FeedbackParams) -> str:
    """Tell people what events count as: a return under a name that no rule knows would count as a like.

    Args:
        interactions: event and value, some rows at a time.
        params: section `feedback`.

    Returns:
        Such as "likes: purchase (3), retoure (1); dislikes: return (2)", the most frequent events first.
    """
    counts: dict[str, Counter[str]] = {word: Counter() for _, word in MEANINGS}
    for some in interactions:
        names, code = _coded(some["event"])
        weight = weigh(some["event"], some["value"], params).to_numpy()
        for meant, word in MEANINGS:
            counted = np.bincount(code[weight == np.float32(meant)], minlength=len(names))
            counts[word] += Counter(dict(zip(names, counted.tolist(), strict=True)))
    found = []
    for word, by_name in counts.items():
        named = [f"{name or 'no event'} ({n:,})" for name, n in by_name.most_common(MOST_NAMED)]
        if named:
            left = len(by_name) - len(named)
            found.append(f"{word}: {', '.join(named)}{f' and {left:,} others' if left else ''}")
    return "; ".join(found)


def learn_scales(interactions: pa.Table, params: FeedbackParams) -> dict[str, Scale]:
    """Learn, for each event, how strong a like is by its value among the values of all likes.

    Args:
        interactions: event and value.
        params: section `feedback`: which of them are likes.

    Returns:
        Folded event -> scale; events without values, or with one value alone, have none.
    """
    is_like = weigh(interactions["event"], interactions["value"], params).to_numpy() > WITHDRAWAL
    names, code = _coded(interactions["event"])
    value = interactions["value"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    usable = is_like & np.isfinite(value)
    found = {name: Scale.of(value[usable & (code == n)]) for n, name in enumerate(names)}
    return {name: scale for name, scale in sorted(found.items()) if scale is not None}


def _coded(events: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct folded names, "" for rows without an event among them; and the name of each row, as a place in them."""
    if not pa.types.is_dictionary(events.type):
        events = events.cast(pa.string()).dictionary_encode()
    landed = events.combine_chunks()
    written = ["" if name is None else folded(name) for name in landed.dictionary.to_pylist()]
    names = list(dict.fromkeys([*written, ""]))
    place = np.array([names.index(name) for name in (*written, "")], np.int64)
    return names, place[np.asarray(pc.fill_null(landed.indices, len(written)))]


def weighed(
    interactions: pa.Table,
    params: FeedbackParams,
    scales: Scales = NO_SCALES,
    further: Collection[str] = (),
) -> pa.Table:
    """Interactions as opinions of one event each, in order of arrival.

    Args:
        interactions: in the interactions' schema; rows in any order.
        params: section `feedback`.
        scales: see `weigh`.
        further: names in FURTHER: columns that the table has as well.

    Returns:
        A table in OPINIONS_SCHEMA, with as many rows. Where users or items are a dictionary, they stay one.
    """
    order = np.lexsort((interactions["line"].to_numpy(), part_ranks(interactions["part"])))
    arrived = interactions if (np.diff(order) == 1).all() else interactions.take(pa.array(order))
    return weighed_in_order(arrived, params, scales, further)


def weighed_in_order(
    arrived: pa.Table, params: FeedbackParams, scales: Scales = NO_SCALES, further: Collection[str] = ()
) -> pa.Table:
    """Interactions as opinions of one event each.

    Args:
        arrived: user, item_id, timestamp, event and value, in order of arrival.
        params: section `feedback`.
        scales: see `weigh`.
        further: names in FURTHER: columns that the table has as well.

    Returns:
        A table in OPINIONS_SCHEMA, row by row.
    """
    columns = [arrived[name] for name in ("user", "item_id", "timestamp", "timestamp")]
    weight = weigh(arrived["event"], arrived["value"], params, scales)
    kinds = [one.type if pa.types.is_dictionary(one.type) else None for one in (*columns, weight)]
    schema = pa.schema(
        [named.with_type(kind or named.type) for named, kind in zip(OPINIONS_SCHEMA, kinds, strict=True)]
    )
    made = pa.table([*columns, weight], names=schema.names).cast(schema)
    if EVENTS in further:
        names, code = _coded(arrived["event"])
        is_other = weight.to_numpy() <= WITHDRAWAL
        made = made.append_column(
            FURTHER[EVENTS], pa.array(names, pa.string()).take(pa.array(code, mask=is_other))
        )
    return with_columns(made, further)


def hint(event: str, params: FeedbackParams, others: Iterable[str] = ()) -> str | None:
    """Explain what an unknown event counts as, to whoever sends it: a misspelt dislike would count as a like.

    Args:
        event: its name.
        params: section `feedback`.
        others: further known names, all of likes.

    Returns:
        A sentence; None for a known name.
    """
    named = [*params.negative_events, *params.withdrawing_events, *params.min_values, *others]
    known = {folded(name): name for name in reversed(named)}
    if folded(event) in known:
        return None
    near = get_close_matches(folded(event), known, n=1, cutoff=0.7)
    meant = f"did you mean {known[near[0]]}? " if near else ""
    return (
        f"event {event!r} is not known, so it counts as a like: {meant}"
        f"known are {', '.join(dict.fromkeys(known.values()))}"
    )


def _folded(events: Iterable[str]) -> frozenset[str]:
    return frozenset(map(folded, events))


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
