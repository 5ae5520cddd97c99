"""Judge the newest arrivals of a table, one after the other, each by those before it."""

from collections.abc import Mapping, Sequence

from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.examples import alarm_of
from recsys.monitoring.judging import Judgement, alarms, judge, limits, smallest
from recsys.monitoring.measures import Measure
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import Judged, Reading
from recsys.monitoring.signals import Signal

MIN_PAST = 5
"""Earlier arrivals that must have a figure before one is judged by it."""


def review(
    arrivals: Sequence[Arrival], signals: Mapping[str, Signal], params: MonitorParams, n_before: int = 0
) -> tuple[Judged, ...]:
    """Judge the newest arrivals.

    For a signal, an arrival is not compared with the run of alarms just before it. So a lasting change alarms again and
    again, until after `accept_after` alarms it counts as the new state. A change that has ended becomes part of the
    past: a supplier who is unlike the others, but delivers now and then, alarms only the first time.

    Args:
        arrivals: in order, at most the window and those that are shown.
        signals: by name.
        params: section `monitor`.
        n_before: arrivals that are older still.

    Returns:
        The last `shown_arrivals` of them, oldest first.
    """
    measures = {name: signal.measure(arrivals) for name, signal in signals.items()}
    alarmed: dict[str, list[int]] = {name: [] for name in signals}
    found: list[Judged] = []
    for place in range(max(0, len(arrivals) - params.shown_arrivals), len(arrivals)):
        one = arrivals[place]
        plain = Judged(name=one.name, parts=one.parts, at=one.at, n_rows=one.n_rows)
        if n_before + place < params.learn_arrivals:
            found.append(plain.model_copy(update={"is_learning": True}))
            continue
        others = {name: references(place, alarmed[name], params) for name in signals}
        judgements = judge_all(measures, signals, place, others)
        raised = tuple(
            alarm_of(
                name,
                signals[name],
                measures[name],
                arrivals,
                place,
                others[name],
                is_new=place - 1 not in alarmed[name],
            )
            for name in alarms(judgements, params.false_alarms)
        )
        for alarm in raised:
            alarmed[alarm.signal].append(place)
        level = params.false_alarms / max(1, len(judgements))
        readings = {name: _reading(one, signals[name], level) for name, one in judgements.items()}
        found.append(plain.model_copy(update={"readings": readings, "alarms": raised}))
    return tuple(found)


def judge_all(
    measures: Mapping[str, Measure],
    signals: Mapping[str, Signal],
    place: int,
    others: Mapping[str, Sequence[int]],
) -> dict[str, Judgement]:
    """Judge one arrival by every signal that has a figure for it and for enough others.

    Args:
        measures: of the signals, by name.
        signals: by name.
        place: of the arrival.
        others: signal -> places of the arrivals that it is compared with.

    Returns:
        Judgements by signal.
    """
    found = {}
    for name, signal in signals.items():
        if len(others[name]) >= MIN_PAST:
            now, past = measures[name].compare(place, others[name])
            if now is not None and len(past) >= MIN_PAST:
                found[name] = judge(now, past, signal.side)
    return found


def references(place: int, alarmed: Sequence[int], params: MonitorParams) -> list[int]:
    """Places of the arrivals that the one at `place` is compared with.

    Args:
        place: of the arrival.
        alarmed: places of earlier arrivals that alarmed.
        params: section `monitor`.

    Returns:
        The window before it, without the alarms in a row that end just before it, until they are `accept_after`.
    """
    run = 0
    while place - 1 - run in alarmed:
        run += 1
    end = place if run >= params.accept_after else place - run
    return list(range(max(0, place - params.window_arrivals), end))


def _reading(found: Judgement, signal: Signal, level: float) -> Reading:
    lower, upper = limits(found, signal.side, level)
    return Reading(
        value=found.value,
        expected=found.expected,
        lower=lower,
        upper=upper,
        p=found.p,
        smallest=smallest(found, signal.side, level),
        n_past=found.n_past,
    )
