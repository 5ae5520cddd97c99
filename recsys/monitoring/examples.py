"""Examples for an alarm: words, values or ranges of a number that more or fewer rows have, and unusual rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.measures import Measure
from recsys.monitoring.report import Alarm, Moved, Shown
from recsys.monitoring.signals import Signal, names_of

MOVED, ROWS = 12, 5
RANGES = (0, 0.25, 0.5, 0.75, 1)
"""Quantiles of earlier numbers, between which the numbers of an arrival are counted."""
SHOWN_CHARS = 160


def alarm_of(
    name: str,
    signal: Signal,
    measure: Measure,
    arrivals: Sequence[Arrival],
    place: int,
    others: Sequence[int],
    *,
    is_new: bool,
) -> Alarm:
    """Make an alarm with examples of what changed.

    Args:
        name: of the signal.
        signal: its entry.
        measure: what measured it.
        arrivals: all of them.
        place: of the arrival that alarms.
        others: places of those it was compared with.
        is_new: whether the arrival before did not have the alarm.

    Returns:
        The alarm with examples.
    """
    now, before = arrivals[place], [arrivals[other] for other in others]
    column = signal.column or ("text" if "text" in now.rows.column_names else "")
    unlike = measure.unlike(place, others) if "item_id" in now.rows.column_names else None
    number = column if _is_number(now, column) else ""
    if number:
        found = moved_numbers(now.numbers(number), np.concatenate([one.numbers(number) for one in before]))
    else:
        found = moved(_named(now, column), [row for one in before for row in _named(one, column)])
    return Alarm(
        signal=name,
        title=signal.title,
        is_new=is_new,
        moved=tuple(found),
        rows=tuple(_shown(now, np.argsort(-unlike, kind="stable")[:ROWS], number)) if unlike is not None else (),
        before=tuple(_shown(before[-1], range(min(ROWS, len(before[-1].rows))), number)) if unlike is not None else (),
    )  # fmt: skip


def moved(now: Sequence[frozenset[str]], before: Sequence[frozenset[str]]) -> list[Moved]:
    """Names whose share of rows changed most relative to its error, the largest change first.

    Args:
        now: names in each row of the arrival.
        before: names in each row of earlier ones.

    Returns:
        At most MOVED names.
    """
    if not now or not before:
        return []
    counts_now, counts_before = Counter(_all(now)), Counter(_all(before))
    shares = {
        name: (counts_before[name] / len(before), counts_now[name] / len(now))
        for name in counts_now.keys() | counts_before.keys()
    }

    def size(name: str) -> float:
        before_share, now_share = shares[name]
        joint = (counts_now[name] + counts_before[name] + 1) / (len(now) + len(before) + 2)
        return abs(now_share - before_share) / float(np.sqrt(joint * (1 - joint)))

    ordered = sorted(shares, key=lambda name: (-size(name), name))[:MOVED]
    return [Moved(name=name, before=shares[name][0], now=shares[name][1]) for name in ordered]


def moved_numbers(now: NDArray[np.float64], before: NDArray[np.float64]) -> list[Moved]:
    """Ranges of a number, and the share of rows in each.

    Args:
        now: numbers of the arrival; NaN where a row has none.
        before: of earlier arrivals.

    Returns:
        Below the lowest earlier number, between its quartiles, above the highest; ranges without rows are left out.
    """
    now, before = now[np.isfinite(now)], before[np.isfinite(before)]
    if not len(now) or not len(before):
        return []
    edges = np.unique(np.quantile(before, RANGES))
    names = [
        f"below {edges[0]:g}",
        *(f"{low:g} to {high:g}" for low, high in pairwise(edges)),
        f"above {edges[-1]:g}",
    ]
    if len(edges) == 1:
        names.insert(1, f"{edges[0]:g}")
    shares = [np.bincount(_range_of(some, edges), minlength=len(names)) / len(some) for some in (before, now)]
    return [
        Moved(name=name, before=float(was), now=float(is_now))
        for name, was, is_now in zip(names, *shares, strict=True)
        if was or is_now
    ]


def _range_of(numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """0 below the first edge, then the range that each number lies in, then those above the last edge."""
    found = np.searchsorted(edges, numbers, side="right")
    n_ranges = max(1, len(edges) - 1)
    return np.where(numbers > edges[-1], n_ranges + 1, np.minimum(found, n_ranges))


def _is_number(arrival: Arrival, column: str) -> bool:
    if column not in arrival.rows.column_names:
        return False
    kind = arrival.rows[column].type
    kind = kind.value_type if pa.types.is_list(kind) else kind
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _named(arrival: Arrival, column: str) -> list[frozenset[str]]:
    """Words of each row's text, or its values in a column."""
    if not column or column not in arrival.rows.column_names:
        return []
    if column == "text":
        return [frozenset(row) for row in arrival.words]
    return [frozenset(names_of(value) or ["(none)"]) for value in arrival.rows[column].to_pylist()]


def _all(rows: Iterable[frozenset[str]]) -> Iterable[str]:
    return (name for row in rows for name in row)


def _shown(arrival: Arrival, places: Iterable[int], number: str) -> list[Shown]:
    """Rows by their places. If the alarm is about a number, it precedes the text."""
    has_texts = "text" in arrival.rows.column_names
    numbers = arrival.numbers(number) if number else None
    return [
        Shown(
            item_id=arrival.rows["item_id"][int(place)].as_py(),
            text=" ".join(
                [
                    *([f"[{numbers[int(place)]:g}]"] if numbers is not None else []),
                    *([arrival.rows["text"][int(place)].as_py()[:SHOWN_CHARS]] if has_texts else []),
                ]
            ),
        )
        for place in places
    ]
