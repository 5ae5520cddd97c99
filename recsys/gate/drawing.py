"""Plots of the gate page, as SVG. The same report gives the same bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsys.evaluation.report import CHALLENGER, CHAMPION, SliceReport
from recsys.ranking.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, REFUSED = "#1d2733", "#8a97a6", "#b3261e"
JUDGED_COLOURS = {CHAMPION: "#1769aa", CHALLENGER: "#0b7a4b"}
FLOOR_COLOURS = (
    "#c2703d",
    "#9aa7b4",
    "#8f6bb3",
    "#b0a13f",
    "#5f8f9b",
    "#a35d7d",
    "#d4a017",
    "#5b7fd1",
    "#7a5230",
    "#3f7f6b",
)
BOUND: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (3, 2))}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Difference:
    """An interval, and the bound that the gate sets for it."""

    name: str
    interval: Interval
    bound: float
    is_ceiling: bool = False
    """True: the upper end must not exceed the bound. False: the lower end must reach it."""
    is_strict: bool = False
    """True: the lower end must exceed the bound, not only reach it."""
    has_bound: bool = True
    """False: no rule is about it; it is drawn in grey, without a bound."""

    @property
    def holds(self) -> bool:
        """Whether the interval keeps to the bound."""
        if self.is_ceiling:
            return self.interval.high <= self.bound
        return self.interval.low > self.bound if self.is_strict else self.interval.low >= self.bound


def curves(part: SliceReport) -> str:
    """Recall by k, one line per model."""

    def draw(axes: "Axes") -> None:
        for name, scores in part.models.items():
            first = name in JUDGED_COLOURS
            axes.plot(
                list(scores.recall_by_k),
                list(scores.recall_by_k.values()),
                color=_colour(name, part),
                linewidth=2.6 if first else 1.5,
                marker="o",
                markersize=4 if first else 3,
                label=label(name),
                zorder=3 if first else 2,
            )
        axes.set(xscale="log", xlabel="k, places in the list", ylabel="recall@k", ylim=(0, None))
        ticks = list(next(iter(part.models.values())).recall_by_k)
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.grid(axis="y", color="#e6eaee")
        axes.legend(frameon=False, fontsize=9)

    return svg(f"curves-{part.name}", draw, f"Recall by list length on {part.name} items", 3.4)


def bars(part: SliceReport, metric: str) -> str:
    """One metric, one bar per model."""

    def draw(axes: "Axes") -> None:
        names = [name for name in reversed(part.models) if part.models[name].metrics.get(metric) is not None]
        values = [part.models[name].metrics[metric] or 0.0 for name in names]
        drawn = axes.barh(
            [label(name) for name in names],
            values,
            color=[_colour(name, part) for name in names],
            height=0.62,
        )
        axes.bar_label(drawn, labels=[f"{value:.3f}" for value in values], padding=4, fontsize=9)
        axes.set(xlabel=metric, xlim=(0, max([*values, 1e-9]) * 1.18))
        axes.tick_params(axis="y", length=0)

    return svg(f"bars-{part.name}", draw, f"{metric} on {part.name} items", 3.4)


def margins(
    part: SliceReport, model: str, over: Mapping[str, Mapping[str, Interval]], metric: str, threshold: float
) -> str:
    """The judged model minus each floor, with the gate's bound."""
    rows = [Difference(f"over {label(name)}", one[metric], threshold) for name, one in over.items()]
    words = f"{model} minus floor, {metric}, paired 95 % interval"
    return differences(rows, f"margins-{part.name}", f"Margin over the floors on {part.name} items", words)


def differences(rows: Sequence[Difference], salt: str, title: str, xlabel: str, width: float = 12.4) -> str:
    """Intervals in rows, each with its bound as a dashed line; red where the bound is broken."""

    def draw(axes: "Axes") -> None:
        for place, row in enumerate(reversed(rows)):
            one, colour = row.interval, JUDGED_COLOURS[CHALLENGER] if row.holds else REFUSED
            colour = colour if row.has_bound else QUIET
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
            axes.plot([one.mean], [place], "o", color=colour, markersize=7)
            if row.has_bound:
                axes.plot([row.bound] * 2, [place - 0.42, place + 0.42], **BOUND)
        axes.axvline(0, color=QUIET, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.set(xlabel=xlabel, ylim=(-0.6, len(rows) - 0.4))
        axes.tick_params(axis="y", length=0)

    return svg(salt, draw, title, max(1.6, 0.45 * len(rows) + 0.7), width)


def label(name: str) -> str:
    """A model's name for people."""
    return {"tfidf_centroid": "TF-IDF centroid"}.get(name, name.replace("_", " "))


def _colour(name: str, part: SliceReport) -> str:
    if name in JUDGED_COLOURS:
        return JUDGED_COLOURS[name]
    floors = [one for one in part.models if one not in JUDGED_COLOURS]
    return FLOOR_COLOURS[floors.index(name) % len(FLOOR_COLOURS)]


def svg(salt: str, draw: Callable[["Axes"], None], title: str, height: float, width: float = 6.0) -> str:
    """Draw a plot as an <svg> element.

    Args:
        salt: of the ids in it, since one page has several plots.
        draw: draws on the axes.
        title: for those who cannot see it.
        height: inches.
        width: inches.

    Returns:
        The element; the same plot gives the same text.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title}, transparent=True
        )
    drawn = buffer.getvalue()
    return drawn[drawn.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
