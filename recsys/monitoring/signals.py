"""The signals: one line of SIGNALS per figure, with its measure and its meaning for people."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from zlib import crc32

import numpy as np

from recsys.errors import ConfigError
from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.distributions import (
    Distances,
    Neighbours,
    NewWords,
    hashed_features,
    kernel_features,
    share_features,
)
from recsys.monitoring.judging import Side
from recsys.monitoring.measures import ClusterMeans, Levels, Means, Measure

CATALOGUE, INTERACTIONS, RELEASES = "catalogue", "interactions", "releases"
WIDTH, NAMES_WIDTH = 256, 128
"""Features of a distribution: of words and profiles, of names such as tags."""
SEED = 20261129
RUN_WORDS = 6
"""This many consecutive words that several texts share count as repeated text."""
REPEATED_SHARE = 0.04
"""Of an arrival's texts, so many must have a run of words for it to count as repeated, and at least REPEATED_ROWS."""
REPEATED_ROWS = 5
SHARES = 0.1
"""Standard deviation of a share that is nearly 0 or 1: five rows in a hundred are worth an alarm, one is not."""


@dataclass(frozen=True)
class Signal:
    """One figure of an arrival."""

    title: str
    side: Side
    measure: Callable[[Sequence[Arrival]], Measure]
    column: str = ""
    """Column whose values or numbers tell what moved; "": its words, where the table has texts."""


def _length(arrivals: Sequence[Arrival]) -> Measure:
    return Means([np.log2(1 + one.numbers("chars")) for one in arrivals], 0.1)


def _texts(arrivals: Sequence[Arrival]) -> Measure:
    return Distances([hashed_features(one.words, WIDTH, code) for one in arrivals], 0.05)


def _new_words(arrivals: Sequence[Arrival]) -> Measure:
    return _new_names([one.words for one in arrivals])


def _new_names(arrivals: Sequence[Sequence[Sequence[str]]]) -> Measure:
    """Names, such as words, of each row that no other arrival has."""
    numbers: dict[str, int] = {}
    rows = [
        [frozenset(numbers.setdefault(name, len(numbers)) for name in row) for row in arrival]
        for arrival in arrivals
    ]
    return NewWords(rows, 0.05)


def _repeated(arrivals: Sequence[Arrival]) -> Measure:
    return Means([repeated_shares(one.words) for one in arrivals], SHARES)


def _profiles(arrivals: Sequence[Arrival]) -> Measure:
    return Distances([kernel_features(one.vectors(), WIDTH, SEED) for one in arrivals], 0.05)


def _neighbours(arrivals: Sequence[Arrival]) -> Measure:
    return Neighbours([one.vectors() for one in arrivals], SHARES)


def _names(column: str, arrivals: Sequence[Arrival]) -> Measure:
    rows = [[names_of(value) for value in one.rows[column].to_pylist()] for one in arrivals]
    return Distances([hashed_features(some, NAMES_WIDTH, code) for some in rows], SHARES)


def _number(column: str, arrivals: Sequence[Arrival]) -> Measure:
    return Means([np.arcsinh(one.numbers(column)) for one in arrivals], 0.05)


def _events(arrivals: Sequence[Arrival]) -> Measure:
    return Distances(
        [share_features(one.rows["event"].to_pylist(), NAMES_WIDTH, code) for one in arrivals], SHARES
    )


def _new_events(arrivals: Sequence[Arrival]) -> Measure:
    return _new_names([one.rows["event"].to_pylist() for one in arrivals])


def _user_values(arrivals: Sequence[Arrival]) -> Measure:
    return ClusterMeans([[np.arcsinh(row) for row in one.lists("value")] for one in arrivals], 0.05)


def _user_shares(column: str, arrivals: Sequence[Arrival]) -> Measure:
    return ClusterMeans([one.lists(column) for one in arrivals], SHARES)


def _level(ratio: tuple[str, str], floor: float, arrivals: Sequence[Arrival]) -> Measure:
    """log2 of the ratio of two counts."""
    pairs = [(one.counts.get(ratio[0], 0.0), one.counts.get(ratio[1], 0.0)) for one in arrivals]
    return Levels([float(np.log2(a / b)) if a > 0 and b > 0 else float("nan") for a, b in pairs], floor)


def _pace(arrivals: Sequence[Arrival]) -> Measure:
    return Levels([_ratio(one, "log2_gaps", "gaps") for one in arrivals], 0.1)


def _repeats(arrivals: Sequence[Arrival]) -> Measure:
    return Levels([_ratio(one, "repeats", "rows") for one in arrivals], 0.005)


def _ratio(arrival: Arrival, upper: str, lower: str) -> float:
    """Ratio of two counts, NaN where there is none."""
    count = arrival.counts.get(lower, 0.0)
    return arrival.counts.get(upper, 0.0) / count if count > 0 else float("nan")


def _plain_level(name: str, floor: float, arrivals: Sequence[Arrival]) -> Measure:
    return Levels([one.counts.get(name, float("nan")) for one in arrivals], floor)


SIGNALS: Mapping[str, Mapping[str, Signal]] = MappingProxyType(
    {
        CATALOGUE: {
            "length": Signal("length of texts, log2 of characters", "both", _length, "chars"),
            "language": Signal("languages", "upper", partial(_names, "language"), "language"),
            "words": Signal("words", "upper", _texts),
            "new_words": Signal("share of a text's words that are new", "upper", _new_words),
            "repeated": Signal("share of a text that others repeat", "upper", _repeated),
            "fields": Signal("which columns are filled", "upper", partial(_names, "fields"), "fields"),
            "tags": Signal("tags", "upper", partial(_names, "tags"), "tags"),
            "profiles": Signal("profiles", "upper", _profiles),
            "neighbours": Signal("share of items unlike any earlier item", "upper", _neighbours),
        },
        INTERACTIONS: {
            "events": Signal("events", "upper", _events, "event"),
            "new_events": Signal("share of a user's events that are new", "upper", _new_events, "event"),
            "values": Signal("values of events, arcsinh", "both", _user_values, "value"),
            "new_items": Signal("share of interactions with new items", "both", partial(_user_shares, "is_new")),
            "per_user": Signal("log2 of interactions per user", "both", partial(_level, ("rows", "users"), 0.1)),
            "pace": Signal("log2 of seconds between a user's interactions", "upper", _pace),
            "repeats": Signal("share of interactions that repeat one of the same user and item", "upper", _repeats),
            "rate": Signal("log2 of interactions per day", "both", partial(_level, ("rows", "days"), 0.25)),
        },
        RELEASES: {
            "age": Signal("log2 of seconds from landing to release", "upper", partial(_plain_level, "age", 0.25)),
            "index_recall": Signal("recall of the index", "lower", partial(_plain_level, "recall", 0.002)),
        },
    }
)  # fmt: skip
"""Table -> signal -> its entry. A further signal is one line here. For languages, words, columns, tags, profiles and
events, the figure is the squared distance between the new distribution and the earlier one."""


def signals_of(table: str, numbers: Sequence[str] = ()) -> dict[str, Signal]:
    """The signals of a table, and one for each number of the catalogue that params.yaml names, by its name.

    Where a signal has this name already, such as `length`, that of the number is called `number:length`.
    """
    found = dict(SIGNALS[table])
    if table == CATALOGUE:
        for name in numbers:
            column = number_column(name)
            signal = Signal(f"{name}, arcsinh", "both", partial(_number, column), column)
            found[column if name in SIGNALS[table] else name] = signal
    return found


def require_known(names: Sequence[str], numbers: Sequence[str]) -> None:
    """Refuse names that no signal has.

    Args:
        names: `monitor.train_on`.
        numbers: `monitor.numbers`.

    Raises:
        ConfigError: names the first that no table has.
    """
    known = [name for table in SIGNALS for name in signals_of(table, numbers)]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"monitor.train_on: there is no signal {name!r}", remedy=f"one of {', '.join(known)}"
            )


def number_column(name: str) -> str:
    """Column of a sample that holds a number of the catalogue."""
    return f"number:{name}"


def names_of(value: str | list[str] | None) -> list[str]:
    """What a field names: itself, or each of a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=1 << 17)
def code(name: str) -> int:
    """A number for a name, the same on every machine."""
    return crc32(name.encode())


def repeated_shares(rows: Sequence[Sequence[str]]) -> np.ndarray:
    """Share of each text's runs of words that other texts of the same arrival share.

    Args:
        rows: words of each text.

    Returns:
        float64 [R]; 0 for texts shorter than a run.
    """
    runs = [{tuple(row[at : at + RUN_WORDS]) for at in range(len(row) - RUN_WORDS + 1)} for row in rows]
    counts = Counter(run for some in runs for run in some)
    least = max(REPEATED_ROWS, REPEATED_SHARE * len(rows))
    return np.array([sum(counts[run] >= least for run in some) / max(1, len(some)) for some in runs])
