"""What moved: the words or values that an arrival has more or fewer of, and rows that are unlike those before."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.measures import Measure
from recsys.monitoring.report import Alarm, Moved, Shown
from recsys.monitoring.signals import Signal, names_of

MOVED, ROWS = 12, 5
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
    """Say what moved.

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
    unlike = measure.unlike(place, others)
    return Alarm(
        signal=name,
        title=signal.title,
        is_new=is_new,
        moved=tuple(moved(_named(now, column), [row for one in before for row in _named(one, column)])),
        rows=tuple(_shown(now, np.argsort(-unlike, kind="stable")[:ROWS])) if unlike is not None else (),
        before=tuple(_shown(before[-1], range(min(ROWS, len(before[-1].rows))))) if unlike is not None else (),
    )  # fmt: skip


def moved(now: Sequence[frozenset[str]], before: Sequence[frozenset[str]]) -> list[Moved]:
    """Names whose share of rows changed most, for the error of a share; the largest change first.

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


def _named(arrival: Arrival, column: str) -> list[frozenset[str]]:
    """Words of each row's text, or its values in a column."""
    if not column or column not in arrival.rows.column_names:
        return []
    if column == "text":
        return [frozenset(row) for row in arrival.words]
    return [frozenset(names_of(value) or ["(none)"]) for value in arrival.rows[column].to_pylist()]


def _all(rows: Iterable[frozenset[str]]) -> Iterable[str]:
    return (name for row in rows for name in row)


def _shown(arrival: Arrival, places: Iterable[int]) -> list[Shown]:
    texts = arrival.rows.column_names.count("text")
    return [
        Shown(
            item_id=arrival.rows["item_id"][int(place)].as_py(),
            text=arrival.rows["text"][int(place)].as_py()[:SHOWN_CHARS] if texts else "",
        )
        for place in places
    ]
