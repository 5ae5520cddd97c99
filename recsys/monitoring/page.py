"""Results of monitoring as one HTML page without external resources: alarms with examples, a plot per figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsys.gate.drawing import INK, QUIET, REFUSED, svg
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import Alarm, Judged, Moved, Watched, WatchReport
from recsys.monitoring.template import TEMPLATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_ALARMS = 5
"""Arrivals with alarms whose examples are shown, the newest of each table."""
LINE, BAND = "#1769aa", "#dbe8f3"


def render(report: WatchReport, params: MonitorParams) -> str:
    """Render alarms with examples, and every figure over the newest arrivals.

    Args:
        report: what was found.
        params: section `monitor`.

    Returns:
        HTML; the same report gives the same text. It may hold ids and texts of items, nothing of users.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE).render(
        report=report,
        params=params,
        alarms=[alarm for table in report.tables for alarm in table.alarms],
        learning=all(not table.judged or table.judged[-1].is_learning for table in report.tables),
        shown=[one for table in report.tables for one in _with_alarms(table)],
        tables=[(table, _drawn(table)) for table in report.tables],
        number=number,
    )


def number(value: float) -> str:
    """A figure with as many digits as people need."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _with_alarms(table: Watched) -> list[dict[str, object]]:
    raised = [one for one in table.judged if one.alarms][-SHOWN_ALARMS:]
    return [
        {
            "title": f"{table.table.capitalize()}: {one.name}",
            "arrival": one,
            "examples": _examples(one.alarms),
        }
        for one in reversed(raised)
    ]


def _examples(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Alarms whose examples are shown: the first of several that name the same words."""
    first: dict[tuple[Moved, ...], Alarm] = {}
    for alarm in alarms:
        if alarm.moved or alarm.rows:
            first.setdefault(alarm.moved, alarm)
    return list(first.values())


def _drawn(table: Watched) -> list[dict[str, object]]:
    """A plot per figure, those that alarm first."""
    from markupsafe import Markup

    judged = [one for one in table.judged if not one.is_learning]
    drawn = []
    for name, title in table.titles.items():
        some = [one for one in judged if name in one.readings]
        if some:
            raised = any(alarm.signal == name for alarm in table.alarms)
            figure = Markup(_figure(f"{table.table}-{name}", title, name, some))
            reading = judged[-1].readings.get(name)
            drawn.append({"title": title, "figure": figure, "raised": raised, "reading": reading})
    return sorted(drawn, key=lambda one: not one["raised"])


def _figure(salt: str, title: str, name: str, judged: Sequence[Judged]) -> str:
    readings = [one.readings[name] for one in judged]
    raised = [any(alarm.signal == name for alarm in one.alarms) for one in judged]
    places = list(range(len(judged)))

    def draw(axes: "Axes") -> None:
        values = [one.value for one in readings]
        bounds = [x for one in readings for x in (one.lower, one.upper) if x is not None]
        low, high = min([*values, *bounds]), max([*values, *bounds])
        margin = 0.05 * (high - low or 1)
        lower = [low - margin if one.lower is None else one.lower for one in readings]
        upper = [high + margin if one.upper is None else one.upper for one in readings]
        axes.fill_between(places, lower, upper, color=BAND, step="mid", linewidth=0)
        axes.plot(places, [one.expected for one in readings], color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        axes.plot(places, values, color=LINE, linewidth=1.4, marker="o", markersize=3)
        loud = [place for place in places if raised[place]]
        axes.plot(loud, [values[place] for place in loud], "o", color=REFUSED, markersize=7)
        axes.set(ylim=(low - margin, high + margin), xlim=(-0.6, len(judged) - 0.4))
        ends = sorted({0, len(judged) - 1})
        axes.set_xticks(ends, [f"{judged[end].at:%m-%d %H:%M}" for end in ends])
        axes.tick_params(axis="x", colors=INK, labelsize=8)
        axes.tick_params(axis="y", labelsize=8)

    return svg(salt, draw, title, 1.9, 3.9)
