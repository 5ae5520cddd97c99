"""Plots of the gate page as SVG text: the same report gives the same bytes."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from recsys.evaluation.report import CHAMPION, SliceReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, CHAMPION_COLOUR = "#1d2733", "#8a97a6", "#1769aa"
FLOOR_COLOURS = ("#c2703d", "#6a9a4f", "#8f6bb3", "#b0a13f", "#5f8f9b", "#a35d7d")
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


def curves(part: SliceReport) -> str:
    """Recall by k, one line per model."""

    def draw(axes: "Axes") -> None:
        for name, scores in part.models.items():
            first = name == CHAMPION
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

    return _svg(f"curves-{part.name}", draw, f"Recall by list length on {part.name} items", 3.4)


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

    return _svg(f"bars-{part.name}", draw, f"{metric} on {part.name} items", 3.4)


def margins(part: SliceReport, metric: str, threshold: float) -> str:
    """Champion minus floor with its interval, against what the gate asks."""

    def draw(axes: "Axes") -> None:
        names = [name for name in reversed(part.margins) if metric in part.margins[name]]
        for place, name in enumerate(names):
            one = part.margins[name][metric]
            colour = CHAMPION_COLOUR if one.low >= threshold else "#b3261e"
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
            axes.plot([one.mean], [place], "o", color=colour, markersize=7)
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(names)), [f"over {label(name)}" for name in names])
        axes.set(
            xlabel=f"champion minus floor, {metric}, paired 95 % interval", ylim=(-0.6, len(names) - 0.4)
        )
        axes.tick_params(axis="y", length=0)

    return _svg(f"margins-{part.name}", draw, f"Margin over the floors on {part.name} items", 2.4, 12.4)


def label(name: str) -> str:
    """A model's name for people."""
    return {"tfidf_centroid": "TF-IDF centroid"}.get(name, name.replace("_", " "))


def _colour(name: str, part: SliceReport) -> str:
    if name == CHAMPION:
        return CHAMPION_COLOUR
    floors = [one for one in part.models if one != CHAMPION]
    return FLOOR_COLOURS[floors.index(name) % len(FLOOR_COLOURS)]


def _svg(salt: str, draw: Callable[["Axes"], None], title: str, height: float, width: float = 6.0) -> str:
    """An <svg> element; ids are salted by figure, since several stand on one page."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title}, transparent=True
        )
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
