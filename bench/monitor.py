"""How often watching is wrong, and how often it notices: false alarms on stationary replays, planted drifts caught.

Arrivals are judged by the product's own code with the values of params.yaml (`bench/monitor_makers.py`; needs
../shared). A replay is a history of ordinary arrivals, judged one by one, and then two arrivals of each planted kind.
Histories of catalogues, which arrive again and again in random order:

- mixed: an arrival is a random draw from the catalogue
- suppliers: most of an arrival comes from two random categories, so that arrivals differ more than by chance

and of the other tables:

- sessions: MovieLens' ratings in their real order, in which a user rates everything at once
- traffic: the same ratings in random order
- releases: simulated ages and index recalls

`python -m bench.monitor [--replays N] [--first N] [--only ml100k] [--ordinary]`. Each replay is kept in
var/bench/monitor/; a killed run goes on. `--ordinary` plants nothing, so that little is encoded. `--first 1000` takes
other random numbers: BEYOND of `recsys/monitoring/judging.py` was chosen on those, by the last table, which says what a
larger margin would do. Figures: `false_alarms_per_100_*` by history, `caught_within_two` (drifts of whole arrivals), of
all replays and of the worst cell; the tables have 95 % intervals (Wilson).
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import ROOT, commit, write_figures
from bench.monitor_makers import PRICE, Events, Items, Maker, Releases
from bench.monitor_worlds import CATALOGUES, World, world
from recsys.monitoring.judging import Judgement, alarms, margin
from recsys.monitoring.measures import Measure
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import Judged
from recsys.monitoring.review import judge_all, references, review
from recsys.monitoring.signals import CATALOGUE, INTERACTIONS, RELEASES, Signal, signals_of
from recsys.settings import Settings

HISTORIES = ("mixed", "suppliers", "sessions", "traffic", "releases")
HISTORIES_OF = {"events": ("sessions", "traffic"), "releases": ("releases",)}
"""Table -> its histories; those of all catalogues are `mixed` and `suppliers`."""
SIZES = (
    {name: (20, 50, 200) for name in HISTORIES[:2]}
    | {name: (200, 500, 1000) for name in HISTORIES[2:4]}
    | {"releases": (1,)}
)
"""Rows of an arrival by history."""
TABLES = dict(zip(HISTORIES, (CATALOGUE, CATALOGUE, INTERACTIONS, INTERACTIONS, RELEASES), strict=True))
SHARES = (1.0, 0.5, 0.25)
"""Of the items of an arrival, so many are of the planted kind; events and releases are planted whole."""
ORDINARY = 60
"""Ordinary arrivals of a replay."""
FACTORS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 2.0)
"""Multiples of the margin."""
CLEAR = 99.0
"""How many margins out an alarm lies where no earlier arrival was out at all."""
Replay = dict[str, Any]
Cell = tuple[Any, ...]


def main() -> None:
    """Replay, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replays", type=int, default=20, help="for each catalogue, history and size")
    parser.add_argument("--first", type=int, default=0, help="number of the first replay")
    parser.add_argument("--only", choices=[*CATALOGUES, "events", "releases"], action="append")
    parser.add_argument("--ordinary", action="store_true", help="ordinary arrivals alone, nothing planted")
    chosen = parser.parse_args()
    params = Settings.load(ROOT / "params.yaml").monitor
    folder, numbers = (
        ROOT / "var/bench/monitor" / commit(),
        range(chosen.first, chosen.first + chosen.replays),
    )
    names = chosen.only or [*CATALOGUES, "events", "releases"]
    found = [
        one for name in names for one in _replays(name, numbers, params, folder, planted=not chosen.ordinary)
    ]
    print("\n".join(_tables(found)))
    ordinary = _rates((tuple(one["cell"]), one["alarms"], one["judged"]) for one in found)
    caught = _rates(
        ((one["cell"][0], kind, share), ratio > 0, 1)
        for one in found
        for kind, share, ratio in one["caught"]
        if share == 1.0
    )
    figures = {"replays": len(found), "ordinary_arrivals": sum(n for _, n in ordinary.values())}
    rates = {
        **{
            f"false_alarms_per_100_{one}": 100 * _total(_of(ordinary, one))
            for one in HISTORIES
            if _of(ordinary, one)
        },
        "false_alarms_per_100_worst": 100 * max(hits / n for hits, n in ordinary.values()),
    }
    if caught:
        rates |= {
            "caught_within_two": _total(caught),
            "caught_within_two_worst": min(hits / n for hits, n in caught.values()),
        }
    write_figures("monitor", figures | {name: round(rate, 4) for name, rate in rates.items()})


def _replays(
    name: str, numbers: Iterable[int], params: MonitorParams, folder: Path, *, planted: bool
) -> Iterator[Replay]:
    """Replays of a catalogue, of events or of releases; those that were done before are read."""
    made: World | None = None
    for history in HISTORIES_OF.get(name, HISTORIES[:2]):
        for size, number in product(SIZES[history], numbers):
            path = folder / f"{name}-{history}-{size}-{number}{'' if planted else '-ordinary'}.json"
            if not path.exists():
                if name in CATALOGUES:
                    made = made or world(name, ROOT, planted=planted)
                generator = np.random.default_rng([number, size, HISTORIES.index(history)])
                maker = _maker(made, history, size, generator, params)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_suffix(".tmp")
                kinds = maker.kinds if planted else ()
                replay = {"cell": [name, history, size]} | _replay(maker, history, params, kinds)
                temporary.write_text(json.dumps(replay))
                temporary.replace(path)
            yield json.loads(path.read_text())


def _maker(
    made: World | None, history: str, size: int, generator: np.random.Generator, params: MonitorParams
) -> Maker:
    if made is not None:
        return Items(made, history, size, generator)
    return (
        Releases(generator) if history == "releases" else Events(history, size, generator, params.sample_rows)
    )


def _replay(maker: Maker, history: str, params: MonitorParams, kinds: Sequence[str]) -> Replay:
    """One history, then two arrivals of each of the kinds and each share, each pair after the same history."""
    signals = signals_of(TABLES[history], (PRICE,))
    past = [maker.ordinary(place) for place in range(params.learn_arrivals + ORDINARY)]
    shares = SHARES if TABLES[history] == CATALOGUE else SHARES[:1]
    planted = [
        (kind, share, [maker.planted(len(past) + n, kind, share) for n in range(2)])
        for kind, share in product(kinds, shares)
    ]
    every = [*past, *(one for _, _, pair in planted for one in pair)]
    measures = {name: signal.measure(every) for name, signal in signals.items()}
    judged = review(past, signals, params)
    ratios = _ratios(judged, len(past), measures, signals, params)
    known = list(range(len(past) - params.window_arrivals + 1, len(past)))
    caught = []
    for number, (kind, share, _) in enumerate(planted):
        first = len(past) + 2 * number
        found = _found(judge_all(measures, signals, first, dict.fromkeys(signals, known)), params)
        if not found:  # then the first one is among those that the second is compared with
            before = dict.fromkeys(signals, [*known, first])
            found = _found(judge_all(measures, signals, first + 1, before), params)
        caught.append((kind, share, max(found.values(), default=0.0)))
    return {
        "judged": sum(not one.is_learning for one in judged),
        "alarms": sum(bool(one.alarms) for one in judged),
        "ratios": ratios,
        "caught": caught,
    }


def _found(judgements: Mapping[str, Judgement], params: MonitorParams) -> dict[str, float]:
    """Signal that alarms -> how many margins further out it lies than every earlier arrival; above 1."""
    found = {}
    for name in alarms(judgements, params.false_alarms):
        one = judgements[name]
        reach = margin(one.n_past) * one.furthest
        found[name] = min(CLEAR, abs(one.z) / reach) if reach else CLEAR
    return found


def _ratios(
    judged: Sequence[Judged],
    n_past: int,
    measures: Mapping[str, Measure],
    signals: Mapping[str, Signal],
    params: MonitorParams,
) -> list[dict[str, float]]:
    """What alarms among the ordinary arrivals, and by how much, one entry for each arrival that alarms."""
    alarmed: dict[str, list[int]] = {name: [] for name in signals}
    found = []
    for place, one in enumerate(judged, start=n_past - len(judged)):
        names = [alarm.signal for alarm in one.alarms]
        if names:
            before = {name: references(place, alarmed[name], params) for name in signals}
            found.append(_found(judge_all(measures, signals, place, before), params))
        for name in names:
            alarmed[name].append(place)
    return found


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
    yield "| table | history | rows | ordinary arrivals | false alarms in 100 |"
    yield "|---|---|---|---|---|"
    for (name, history, size), (hits, n) in _rates(
        (tuple(one["cell"]), one["alarms"], one["judged"]) for one in found
    ).items():
        yield f"| {name} | {history} | {size} | {n} | {_interval(hits, n, 100)} |"
    yield ""
    cells = _rates(
        ((*one["cell"][1:], share, kind), ratio > 0, 1)
        for one in found
        for kind, share, ratio in one["caught"]
    )
    yield "| history | rows | planted | " + " | ".join(f"{share:.0%} of them" for share in SHARES) + " |"
    yield "|---|---|---|---|---|---|"
    for history, size, kind in sorted({(cell[0], cell[1], cell[3]) for cell in cells}):
        row = [cells.get((history, size, share, kind), (0, 0)) for share in SHARES]
        yield f"| {history} | {size} | {kind} | {' | '.join(_interval(a, n, 1) for a, n in row)} |"
    yield ""
    yield (
        "| times the margin | "
        + " | ".join(f"false alarms in 100, {one}" for one in HISTORIES)
        + " | caught |"
    )
    yield "|---" * (len(HISTORIES) + 2) + "|"
    for factor in FACTORS:
        yield f"| {factor} | {' | '.join(_by_factor(found, factor))} |"


def _by_factor(found: Sequence[Replay], factor: float) -> Iterator[str]:
    """False alarms by history and what is caught of whole arrivals, had the margin been so many times as large."""
    for history in HISTORIES:
        some = [one for one in found if one["cell"][1] == history]
        hits = sum(max(ratios.values()) > factor for one in some for ratios in one["ratios"])
        yield _interval(hits, sum(one["judged"] for one in some), 100)
    whole = [ratio for one in found for _, share, ratio in one["caught"] if share == 1.0]
    yield _interval(sum(ratio > factor for ratio in whole), len(whole), 1)


def _interval(hits: float, n: int, per: int) -> str:
    """A rate with its 95 % interval by Wilson."""
    from scipy.stats import binomtest

    if not n:
        return "–"
    low, high = binomtest(round(hits), n).proportion_ci(method="wilson")
    return f"{per * hits / n:.3g} [{per * low:.2g}, {per * high:.2g}]"


if __name__ == "__main__":
    main()
