"""How often watching is wrong, and how often it notices: false alarms on stationary replays, planted drifts caught.

Real catalogues (`bench/monitor_worlds.py`; needs ../shared) arrive again and again in random order, and are judged by
the product's own code with the values of params.yaml. A replay is a history of ordinary arrivals, judged one by one,
and then two arrivals of each planted kind. Two kinds of history:

- mixed: an arrival is a random draw from the catalogue
- suppliers: most of an arrival comes from two random categories, so that arrivals differ more than by chance

`python -m bench.monitor [--replays N] [--only ml100k]`. Each replay is kept in var/bench/monitor/; a killed run goes
on. Figures: `false_alarms_per_100_*` by history, `caught_within_two` (drifts of whole arrivals), of all replays and of
the worst cell; the tables have 95 % intervals (Wilson).
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.figures import ROOT, commit, write_figures
from bench.monitor_worlds import CATALOGUES, World, world
from recsys.catalogue.languages import language_of_each
from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.judging import alarms
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.review import judge_all, review
from recsys.monitoring.signals import CATALOGUE, signals_of
from recsys.settings import Settings

HISTORIES = ("mixed", "suppliers")
SIZES = (20, 50, 200)
"""Items of an arrival."""
PLANTED = ("language", "category", "truncated", "boilerplate", "encoder")
SHARES = (1.0, 0.5, 0.25)
"""Of the items of an arrival, so many are of the planted kind."""
ORDINARY = 60
"""Ordinary arrivals of a replay."""
Replay = dict[str, Any]
Cell = tuple[Any, ...]
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Replay, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replays", type=int, default=20, help="for each catalogue, history and size")
    parser.add_argument("--only", choices=CATALOGUES, action="append")
    chosen = parser.parse_args()
    params = Settings.load(ROOT / "params.yaml").monitor
    names = chosen.only or list(CATALOGUES)
    found = [
        one
        for name in names
        for one in _replays(name, chosen.replays, params, ROOT / "var/bench/monitor" / commit())
    ]
    print("\n".join(_tables(found)))
    ordinary = _rates((tuple(one["cell"]), one["alarms"], one["judged"]) for one in found)
    caught = _rates(
        ((one["catalogue"], kind, share), caught, 1)
        for one in found
        for kind, share, caught in one["caught"]
        if share == 1.0
    )
    figures = {"replays": len(found), "ordinary_arrivals": sum(n for _, n in ordinary.values())}
    rates = {
        **{f"false_alarms_per_100_{one}": 100 * _total(_of(ordinary, one)) for one in HISTORIES},
        "false_alarms_per_100_worst": 100 * max(hits / n for hits, n in ordinary.values()),
        "caught_within_two": _total(caught),
        "caught_within_two_worst": min(hits / n for hits, n in caught.values()),
    }
    write_figures("monitor", figures | {name: round(rate, 4) for name, rate in rates.items()})


def _replays(name: str, n: int, params: MonitorParams, folder: Path) -> Iterator[Replay]:
    """Replays of a catalogue; those that were done before are read."""
    made: World | None = None
    for history, size, number in product(HISTORIES, SIZES, range(n)):
        path = folder / f"{name}-{history}-{size}-{number}.json"
        if not path.exists():
            made = made or world(name, ROOT)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(_replay(made, history, size, number, params)))
            temporary.replace(path)
        yield json.loads(path.read_text())


def _replay(made: World, history: str, size: int, number: int, params: MonitorParams) -> Replay:
    """One history, then two arrivals of each planted kind and share, each pair after the same history."""
    generator = np.random.default_rng([number, size, HISTORIES.index(history)])
    hidden = int(
        generator.integers(made.category.max() + 1)
    )  # this category is not there before it is planted
    maker = _Maker(
        made, np.flatnonzero(made.category != hidden), np.flatnonzero(made.category == hidden), generator
    )
    signals = signals_of(CATALOGUE)
    past = [maker.ordinary(place, size, history) for place in range(params.learn_arrivals + ORDINARY)]
    judged = [one for one in review(past, signals, params) if not one.is_learning]
    planted = [
        (kind, share, [maker.planted(len(past), size, history, kind, share) for _ in range(2)])
        for kind, share in product(PLANTED, SHARES)
    ]
    every = [*past, *(one for _, _, pair in planted for one in pair)]
    measures = {name: signal.measure(every) for name, signal in signals.items()}
    caught = []
    for number_of_pair, (kind, share, _) in enumerate(planted):
        first = len(past) + 2 * number_of_pair
        known = list(range(len(past) - params.window_arrivals + 1, len(past)))
        before = {name: known for name in signals}
        is_caught = bool(alarms(judge_all(measures, signals, first, before), params.false_alarms))
        if not is_caught:  # then the first one is among those that the second is compared with
            before = {name: [*known, first] for name in signals}
            is_caught = bool(alarms(judge_all(measures, signals, first + 1, before), params.false_alarms))
        caught.append((kind, share, is_caught))
    return {
        "catalogue": made.name,
        "cell": [made.name, history, size],
        "judged": len(judged),
        "alarms": sum(bool(one.alarms) for one in judged),
        "signals": [
            [one.readings[alarm.signal].n_past, alarm.signal] for one in judged for alarm in one.alarms
        ],
        "caught": caught,
    }


@cache
def _detected(texts: tuple[str, ...]) -> list[str | None]:
    return language_of_each(texts)


def _languages(made: World) -> dict[str, list[str | None]]:
    return {kind: _detected(texts) for kind, texts in made.texts.items()}


class _Maker:
    """Draws arrivals out of a catalogue."""

    def __init__(
        self, made: World, known: NDArray[np.int64], hidden: NDArray[np.int64], generator: np.random.Generator
    ) -> None:
        self.made, self.known, self.hidden, self.generator = made, known, hidden, generator
        self.languages = _languages(made)

    def ordinary(self, place: int, size: int, history: str) -> Arrival:
        """An arrival as the catalogue is."""
        return self._arrival(place, [("plain", self._draw(size, history))])

    def planted(self, place: int, size: int, history: str, kind: str, share: float) -> Arrival:
        """An arrival of which a share is of the planted kind."""
        n = max(1, round(share * size))
        rest = ("plain", self._draw(size - n, history))
        if kind == "category":
            return self._arrival(place, [("plain", self._some(self.hidden, n)), rest])
        among = np.arange(len(self.made.texts[kind])) if kind == "language" else None
        rows = self._draw(n, history) if among is None else self._some(among, n)
        return self._arrival(place, [(kind, rows), rest])

    def _draw(self, n: int, history: str) -> NDArray[np.int64]:
        if history == "mixed":
            return self._some(self.known, n)
        category = self.made.category[self.known]
        two = self.generator.choice(np.unique(category), 2, replace=False)
        n_two = round(0.7 * n)
        own = self._some(self.known[np.isin(category, two)], n_two)
        return np.concatenate([own, self._some(np.setdiff1d(self.known, own), n - n_two)])

    def _some(self, rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        return self.generator.choice(rows, n, replace=n > len(rows))

    def _arrival(self, place: int, drawn: Sequence[tuple[str, NDArray[np.int64]]]) -> Arrival:
        pairs = [(kind, int(row)) for kind, rows in drawn for row in rows]
        order = self.generator.permutation(len(pairs))
        pairs = [pairs[at] for at in order]
        texts = [self.made.texts[kind][row] for kind, row in pairs]
        rows = pa.table(
            {
                "item_id": [str(row) for _, row in pairs],
                "text": texts,
                "chars": [len(text) for text in texts],
                "language": pa.array([self.languages[kind][row] for kind, row in pairs], pa.string()),
                "tags": pa.array([[] for _ in pairs], pa.list_(pa.string())),
                "fields": [["title"] for _ in pairs],
                "vector": list(np.stack([self.made.vectors[kind][row] for kind, row in pairs])),
            }
        )
        at = START + timedelta(days=place)
        return Arrival(name=f"{place:06d}", parts=(f"{place:06d}",), at=at, n_rows=len(pairs), rows=rows)


def _rates(counted: Iterable[tuple[Cell, float, int]]) -> dict[Cell, tuple[float, int]]:
    """Cell -> hits and trials."""
    hits: dict[Cell, float] = defaultdict(float)
    trials: dict[Cell, int] = defaultdict(int)
    for cell, found, n in counted:
        hits[cell] += found
        trials[cell] += n
    return {cell: (hits[cell], trials[cell]) for cell in trials}


def _of(rates: Mapping[Cell, tuple[float, int]], history: str) -> dict[Cell, tuple[float, int]]:
    return {cell: one for cell, one in rates.items() if cell[1] == history}


def _total(rates: Mapping[Cell, tuple[float, int]]) -> float:
    return sum(hits for hits, _ in rates.values()) / sum(n for _, n in rates.values())


def _tables(found: Sequence[Replay]) -> Iterator[str]:
    yield "| catalogue | history | items | ordinary arrivals | false alarms in 100 |"
    yield "|---|---|---|---|---|"
    for (name, history, size), (hits, n) in _rates(
        (tuple(one["cell"]), one["alarms"], one["judged"]) for one in found
    ).items():
        yield f"| {name} | {history} | {size} | {n} | {_interval(hits, n, 100)} |"
    yield ""
    yield f"| history | items | share planted | {' | '.join(PLANTED)} |"
    yield f"|---|---|---|{'---|' * len(PLANTED)}"
    cells = _rates(
        ((*one["cell"][1:], share, kind), caught, 1) for one in found for kind, share, caught in one["caught"]
    )
    for history, size, share in product(HISTORIES, SIZES, SHARES):
        row = [cells.get((history, size, share, kind), (0, 0)) for kind in PLANTED]
        yield f"| {history} | {size} | {share:.0%} | {' | '.join(_interval(a, n, 1) for a, n in row)} |"


def _interval(hits: float, n: int, per: int) -> str:
    """A rate with its 95 % interval by Wilson."""
    from scipy.stats import binomtest

    if not n:
        return "–"
    low, high = binomtest(round(hits), n).proportion_ci(method="wilson")
    return f"{per * hits / n:.3g} [{per * low:.2g}, {per * high:.2g}]"


if __name__ == "__main__":
    main()
