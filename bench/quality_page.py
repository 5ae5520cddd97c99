"""docs/quality.md and the figures of the quality benchmark, made from its rows."""

import shutil
import statistics
from collections.abc import Mapping
from textwrap import wrap

from bench.figures import ROOT, machine, write_figures
from bench.markdown import WIDTH, bullet, table, without_zeros, worded
from bench.protocols import PROTOCOLS, Protocol
from bench.quality_differences import WORDS, Pair, Published, Rows, best_other, differences
from bench.quality_prose import (
    ABOUT,
    BEFORE_TRAINING,
    COSTS,
    GOALS,
    HEAD,
    NAMES,
    SHORT,
    TITLES,
    TO_REACH,
    VIEW_NAMES,
)
from bench.quality_rows import FIRST_LIGHT, METHODS, OURS, Key, Row, all_keys, runs_of, views_of, write_rows
from recsys.ranking.intervals import Interval

PAGE = ROOT / "docs" / "quality.md"
PUBLISHED_ROWS = PAGE.with_suffix(".rows.jsonl")
COSTLY = ("ridge", FIRST_LIGHT, "dropoutnet", "heater", OURS)
"""Methods whose costs are shown."""
Differences = Mapping[Pair, Interval]


def publish(rows: Rows) -> None:
    """Write docs/quality.md, var/bench/quality.json and its copy docs/quality.json, and the rows beside them."""
    found = differences(rows, Published.load(PUBLISHED_ROWS, PAGE.with_suffix(".json")))
    PAGE.write_text(page(rows, found))
    shutil.copyfile(write_figures("quality", figures(rows, found)), PAGE.with_suffix(".json"))
    write_rows(dict(rows), PUBLISHED_ROWS)


def with_published(found: Rows, published: Rows) -> dict[Key, Row]:
    """Rows of this machine, and the published ones of methods of which it has none, so that no mean mixes both."""
    again = {(key.protocol, key.method) for key in found}
    return {key: row for key, row in published.items() if (key.protocol, key.method) not in again} | dict(
        found
    )


def figures(rows: Rows, found: Differences) -> dict[str, float | int | str]:
    """Means by `<protocol>_<metric>` for ours, `<protocol>_<method>_<metric>` for the others; differences by pair."""
    named: dict[str, float | int | str] = {}
    for protocol in PROTOCOLS:
        for method in (*METHODS, *views_of(protocol.name)):
            runs = runs_of(rows, protocol.name, method)
            if not runs:
                continue
            name = protocol.name if method == OURS else f"{protocol.name}_{method}"
            for metric in protocol.figures:
                named[f"{name}_{metric}"] = round(mean(runs, metric), 4)
            named[f"{name}_seconds"] = round(statistics.mean(run.seconds for run in runs), 1)
            named[f"{name}_peak_mib"] = round(max(run.peak_mib for run in runs))
            named[f"{name}_runs"] = len(runs)
    for pair, one in found.items():
        ends = (("", one.mean), ("_low", one.low), ("_high", one.high))
        named |= {f"{pair}{end}": round(value, 4) for end, value in ends}
    return named


def page(rows: Rows, found: Differences) -> str:
    """The whole page."""
    parts = [HEAD, summary(rows, found), before_training(rows, found), goals(rows)]
    for protocol in PROTOCOLS:
        parts += [f"## {TITLES[protocol.name]}\n", results(rows, protocol), verdict(rows, found, protocol)]
        parts.append(with_views(rows, found, protocol))
    parts += [ABOUT, absent(rows), costs(rows), "## Hyper-parameters\n", settings(rows)]
    return "\n".join(part for part in parts if part)


def summary(rows: Rows, found: Differences) -> str:
    """Firstlight beside the best other method by the headline of each protocol, then where it wins and loses."""
    lines = [["", "metric", "best other method", "first light", "Firstlight", "Firstlight minus best other"]]
    stands: dict[str, list[str]] = {}
    for protocol in PROTOCOLS:
        metric, best = protocol.figures[0], best_other(rows, protocol.name, protocol.figures[0])
        if best is None:
            continue
        pair = Pair(protocol.name, OURS, best, metric)
        lines.append(
            [
                SHORT[protocol.name],
                metric,
                f"{short(rows, protocol, best, metric)} ({NAMES[best]})",
                short(rows, protocol, FIRST_LIGHT, metric),
                short(rows, protocol, OURS, metric),
                shown(found.get(pair)),
            ]
        )
        if pair in found:
            stands.setdefault(stand(found[pair]), []).append(SHORT[protocol.name])
    words = [line for one in STANDS if one in stands for line in bullet(f"{one}: {'; '.join(stands[one])}")]
    return "\n".join([table(lines), *words, ""])


STANDS = ("Clearly better than every other method", "Not clearly apart from the best", "Clearly worse")


def stand(difference: Interval) -> str:
    """What an interval of Firstlight minus the best other method says."""
    if difference.low > 0:
        return STANDS[0]
    return STANDS[2] if difference.high < 0 else STANDS[1]


def before_training(rows: Rows, found: Differences) -> str:
    """First light against exact words and the encoder alone."""
    lines = [["", "metric", NAMES["encoder_centroid"], NAMES[WORDS], "first light", f"minus {NAMES[WORDS]}"]]
    for protocol in PROTOCOLS:
        metric = protocol.figures[0]
        if runs_of(rows, protocol.name, FIRST_LIGHT):
            cells = (short(rows, protocol, one, metric) for one in ("encoder_centroid", WORDS, FIRST_LIGHT))
            gain = shown(found.get(Pair(protocol.name, FIRST_LIGHT, WORDS, metric)))
            lines.append([SHORT[protocol.name], metric, *cells, gain])
    return f"{BEFORE_TRAINING}\n{table(lines)}"


def goals(rows: Rows) -> str:
    """What was to be reached, and what was."""
    lines = [["", "metric", "before", "goal", "reached"]]
    for goal in GOALS:
        runs, word = runs_of(rows, goal.protocol, OURS), "not run yet"
        if runs:
            value = mean(runs, goal.metric)
            word = f"{value:.4f}" + ("" if value >= goal.reach else f", short by {goal.reach - value:.4f}")
            word = without_zeros(word)
        lines.append([SHORT[goal.protocol], goal.metric, goal.before, without_zeros(f"{goal.reach:g}"), word])
    return f"{TO_REACH}\n{table(lines)}"


def absent(rows: Rows) -> str:
    """Rows of a full run that there are not, and where the last ones were run."""
    seeds: dict[str, dict[str, list[int]]] = {}
    missing = [key for key in all_keys() if key not in rows]
    for key in missing:
        method = (NAMES | VIEW_NAMES)[key.method]
        seeds.setdefault(method, {}).setdefault(SHORT[key.protocol], []).append(key.seed)
    lines = wrap(f"The last rows were run on {machine()}; each names its commit.", WIDTH)
    if missing:
        lines += ["", f"**Not run**: {len(missing)} of the {len(all_keys())} rows of a full run.", ""]
    for method, protocols in seeds.items():
        named = (
            f"{name} (seed{'s' * (len(one) > 1)} {', '.join(map(str, one))})"
            for name, one in protocols.items()
        )
        lines += bullet(f"{method}: {'; '.join(named)}")
    return "\n".join(["## Machine and missing rows\n", *lines, ""])


def results(rows: Rows, protocol: Protocol) -> str:
    """Every method's figures."""
    lines = [["method", *protocol.figures, "runs", "commit"]]
    for method in METHODS:
        if runs := runs_of(rows, protocol.name, method):
            cells = (figure(runs, metric) for metric in protocol.figures)
            commits = ", ".join(f"`{one}`" for one in sorted({run.commit for run in runs}))
            lines.append([NAMES[method], *cells, str(len(runs)), commits])
    return table(lines)


def verdict(rows: Rows, found: Differences, protocol: Protocol) -> str:
    """Firstlight against the best other method on every metric; losses included."""
    words = []
    for metric in protocol.figures:
        best = best_other(rows, protocol.name, metric)
        if best is None or not runs_of(rows, protocol.name, OURS):
            continue
        difference = found.get(Pair(protocol.name, OURS, best, metric))
        if difference is None:
            words.append(f"- {metric}: not compared with {NAMES[best]}, whose lists are on another machine")
        else:
            words.append(f"- {metric}: {compared(best, difference)}")
    return "\n".join(["Against the best other method:\n", *words, ""]) if words else ""


def compared(other: str, difference: Interval) -> str:
    """Who wins, by an interval of Firstlight minus the other."""
    if difference.low > 0:
        word = f"Firstlight is ahead of {NAMES[other]}"
    elif difference.high < 0:
        word = f"{NAMES[other]} **wins over Firstlight**"
    else:
        word = f"Firstlight and {NAMES[other]} are not clearly apart"
    return f"{word}, {without_zeros(str(difference))}"


def with_views(rows: Rows, found: Differences, protocol: Protocol) -> str:
    """Firstlight beside each view, against its row without views."""
    headline, lines = protocol.figures[0], []
    for method in views_of(protocol.name):
        if not (runs := runs_of(rows, protocol.name, method)):
            continue
        (row,) = runs
        gain = found.get(Pair(protocol.name, method, OURS, headline))
        weights, coverage = row.settings["view_weights"], row.settings["view_coverage"]
        lines.append(
            [
                VIEW_NAMES[method],
                *(short(rows, protocol, method, metric) for metric in protocol.figures),
                shown(gain),
                ", ".join(
                    f"{name} {weights.get(name, 0):g} ({share:.0%})" for name, share in coverage.items()
                ),
                f"`{row.commit}`",
            ]
        )
    if not lines:
        return ""
    head = ["Firstlight", *protocol.figures, f"gain in {headline}", "weights (items)", "commit"]
    words = "Beside views, seed 0, against the same without them; with weights, and shares of the items that have them."
    if any(not line[-3] for line in lines):
        words += " No gain is shown where one of the two rows was run again since, on another machine."
    words = "\n".join(wrap(words, WIDTH))
    return f"{words}\n\n{table([head, *lines])}"


def costs(rows: Rows) -> str:
    """Seconds and memory of the methods that learn, on every protocol."""
    lines = [["", *(NAMES[method] for method in COSTLY)]]
    for protocol in PROTOCOLS:
        cells = []
        for method in COSTLY:
            if not (runs := runs_of(rows, protocol.name, method)):
                cells.append("")
                continue
            choosing = runs[0].choosing_seconds
            beside = f" + {choosing:.0f}" if choosing else ""
            memory = max(run.peak_mib for run in runs) / 1024
            cells.append(f"{statistics.mean(run.seconds for run in runs):.0f}{beside} ({memory:.1f})")
        lines.append([SHORT[protocol.name], *cells])
    return f"{COSTS}\n{table(lines)}"


def settings(rows: Rows) -> str:
    """What was chosen, out of how many, at which validation figure."""
    lines: list[str] = []
    for protocol in PROTOCOLS:
        lines += ["", f"### {SHORT[protocol.name]}", ""]
        for method in METHODS:
            chosen: dict[str, list[Row]] = {}
            for row in runs_of(rows, protocol.name, method):
                if row.settings:
                    chosen.setdefault(worded(row.settings), []).append(row)
            for word, runs in chosen.items():
                seeds = "" if len(chosen) == 1 else f" (seeds {', '.join(str(row.seed) for row in runs)})"
                ndcg = [row.validation_ndcg for row in runs if row.validation_ndcg is not None]
                tried = f"; {runs[0].tried} tried" if runs[0].tried else ""
                best = f"; validation ndcg@20 {statistics.mean(ndcg):.4f}" if ndcg else ""
                lines += bullet(f"{NAMES[method]}{seeds}: {word}{tried}{best}")
    return "\n".join([*lines[1:], ""])


def mean(runs: list[Row], metric: str) -> float:
    """Over seeds."""
    return statistics.mean(run.metrics[metric]["mean"] for run in runs)


def short(rows: Rows, protocol: Protocol, method: str, metric: str) -> str:
    """The mean alone."""
    runs = runs_of(rows, protocol.name, method)
    return without_zeros(f"{mean(runs, metric):.4f}") if runs else ""


def shown(difference: Interval | None) -> str:
    """A difference, bold where it excludes 0."""
    if difference is None:
        return ""
    word = without_zeros(str(difference))
    return f"**{word}**" if difference.low > 0 or difference.high < 0 else word


def figure(runs: list[Row], metric: str) -> str:
    """Mean, interval and deviation over seeds."""
    low, high = (statistics.mean(run.metrics[metric][end] for run in runs) for end in ("low", "high"))
    spread = statistics.stdev(run.metrics[metric]["mean"] for run in runs) if len(runs) > 1 else None
    deviation = "" if spread is None else f" ±{spread:.4f}"
    return without_zeros(f"{mean(runs, metric):.4f} [{low:.4f}, {high:.4f}]{deviation}")
