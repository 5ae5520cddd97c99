"""docs/mixed.md and the figures of the mixed benchmark, made from its rows."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from bench.figures import ROOT, machine, write_figures
from bench.markdown import WIDTH, bullet, table, worded
from bench.mixed_setup import HOME, MAX_USERS, NAMES, WARM_SHARE
from bench.quality_prose import SHORT, TITLES
from recsys.ranking.intervals import Interval, bootstrap

PAGE = ROOT / "docs" / "mixed.md"
REFERENCE = "ridge, head"
SHIPPED = "firstlight"
LISTS = {"cold": "cold items", "warm": "warm items", "mixed": "both in one list"}
METRICS = ("ndcg@20", "recall@100")
ROUNDS = 1000
SEED = 0

HEAD = f"""# Warm and cold items in one list

Written by `make bench-mixed` from the rows in `var/bench/mixed/`; change `bench/mixed_page.py`, not this page.

How good is what a release recommends, where a list may hold warm and cold items? Beside the cold items of each
protocol, a random {WARM_SHARE:.0%} of the pairs with warm items are held out before anything is learned. Up to
{MAX_USERS:,} users who have both a cold and a warm item to be found get three lists: all cold items, all warm items
that are new to them, and both together.

## Results

{METRICS[0]}. The best other model is chosen for each list after the fact, so nobody could have picked it beforehand.
"""

ABOUT = """## Models

- **firstlight**: what a release recommends: ridge users over the head, and item weights, chosen as stage `finetune`
  does; here over the frozen encoder.
- **ridge, head**: profiles alone, without item weights, as in `recsys benchmark cold-start`. All differences are to
  this model.
- **ridge lifted, head**: the same, with the scores of cold items times one factor. It changes mixed lists only.
- **ridge, encoder**: ridge users over the frozen encoder.
- **rbf_ridge, als_map, ease_prior, two_tower, blend**: `recsys/baselines/`, over the head's profiles or the frozen
  encoder's; `evaluate.rivals` may name them.
- **als, ease**: collaborative models alone; they know nothing of a cold item.

## How settings are chosen

- Firstlight chooses item weights on its own held-out pairs: [model.md](model.md#learning-a-challenger). They must
  keep the tail, the items with few interactions, as the gate demands (`gate.max_loss_tail`). The other models have no
  such rule. So Firstlight gives up some of the ndcg of warm lists, most of which popular items make.
- Each other model chooses by ndcg@20 of mixed lists on a fifth of the known items and pairs, held out three times (once
  from 5,000 warm items, and by two_tower). A head that it reads was learned without the held-out part.

## How to read the tables

- A cell is the mean over users, then the difference from `ridge, head` with the paired 95 % bootstrap interval over
  users. **Bold**: the interval lies above 0. One split, one run of each model.
- Seconds are those of choosing and learning on a busy machine. What several rows share (heads, validation sets) is not
  in them.
"""

KEPT = """*Rows of older code (`112bc1f`, `1c6849b`, `7816603`), which chose heads on random items alone and prepared
texts in another way.*
"""

NOT_RUN = "**Not run**.\n"

Row = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """What was published before: a protocol whose rows are not on this machine stays as it was."""

    page: str
    figures: dict[str, float | int | str]

    @classmethod
    def load(cls, path: Path) -> "Kept":
        """The page at `path` and the figures beside it; nothing where there are none."""
        summary = path.with_suffix(".json")
        return cls(
            path.read_text() if path.exists() else "",
            json.loads(summary.read_text())["figures"] if summary.exists() else {},
        )

    def section(self, title: str) -> str:
        """A protocol's section, without its heading, said to be kept."""
        begin = self.page.find(f"## {title}\n")
        if begin < 0:
            return ""
        text = self.page[begin:].split("\n", 1)[1].split("\n## ")[0].replace(KEPT, "").strip("\n")
        return f"{KEPT}\n{text}\n" if text else ""


def publish(models: Sequence[str]) -> None:
    """Write docs/mixed.md, var/bench/mixed.json and its copy docs/mixed.json."""
    kept = Kept.load(PAGE)
    found = {name: rows for name in NAMES if REFERENCE in (rows := rows_of(name, models))}
    PAGE.write_text(page(found, models, kept))
    earlier = {name: one for name, one in kept.figures.items() if not name.startswith(tuple(found))}
    shutil.copyfile(write_figures("mixed", earlier | figures(found)), PAGE.with_suffix(".json"))


def rows_of(protocol: str, models: Sequence[str]) -> dict[str, Row]:
    """Rows that are there, by model, with the metrics of every user."""
    rows = {}
    for model in models:
        path = HOME / protocol / "rows" / f"{model}.json"
        if path.exists():
            with np.load(path.with_suffix(".npz")) as saved:
                rows[model] = json.loads(path.read_text()) | {
                    "by_user": {name: saved[name] for name in saved.files}
                }
    return rows


def figures(found: dict[str, dict[str, Row]]) -> dict[str, float | int | str]:
    """`<protocol>_<model>_<list>_<metric>`."""
    named: dict[str, float | int | str] = {}
    for protocol, rows in found.items():
        for model, row in rows.items():
            for metric, value in row["metrics"].items():
                named[f"{protocol}_{model}_{metric.replace('/', '_')}"] = round(value, 4)
    return named


def page(found: dict[str, dict[str, Row]], models: Sequence[str], kept: Kept) -> str:
    """The whole page; a protocol whose rows are not on this machine stays as it was."""
    machine_line = f"The last rows were run on {machine()}; each list of settings names the code."
    known = kept.figures | figures(found)
    parts = [HEAD, summary(known, models, found), ABOUT, "\n".join(wrap(machine_line, WIDTH)) + "\n"]
    for name in NAMES:
        parts.append(f"## {TITLES[name]}\n")
        parts += section(found[name], models) if name in found else [kept.section(TITLES[name]) or NOT_RUN]
    return "\n".join(part for part in parts if part)


def summary(known: Mapping[str, float | int | str], models: Sequence[str], found: Collection[str]) -> str:
    """What ships beside profiles alone and the best other model of each list, and which protocols were kept."""
    kept = list[str]()
    lines = [["", "list", "profiles alone", "best other model", "Firstlight"]]
    for protocol in NAMES:
        for name, meaning in LISTS.items():
            named = {
                model: float(known[key])
                for model in models
                if (key := f"{protocol}_{model}_{name}_{METRICS[0]}") in known
            }
            if SHIPPED in named and REFERENCE in named:
                best = max(sorted(named.keys() - {SHIPPED}), key=lambda model: named[model])
                cells = (f"{named[REFERENCE]:.4f}", f"{named[best]:.4f} (`{best}`)", f"{named[SHIPPED]:.4f}")
                lines.append([SHORT[protocol], meaning, *cells])
                if protocol not in found and SHORT[protocol] not in kept:
                    kept.append(SHORT[protocol])
    words = [f"Rows of {' and '.join(kept)} are of older code, named below.\n"] if kept else []
    return "\n".join([table(lines), *words])


def section(rows: dict[str, Row], models: Sequence[str]) -> list[str]:
    """One protocol."""
    one = rows[REFERENCE]
    parts = [f"{one['n_users']:,} users, {one['n_warm']:,} warm and {one['n_cold']:,} cold items.\n"]
    missing = [model for model in models if model not in rows]
    if missing:
        parts.append("\n".join(wrap(f"**Not run**: {'; '.join(missing)}.", WIDTH)) + "\n")
    return [*parts, verdict(rows), *(results(rows, name) for name in LISTS), chosen(rows)]


def results(rows: dict[str, Row], name: str) -> str:
    """One list: every model's figures."""
    lines = [[LISTS[name], *METRICS]]
    for model, row in rows.items():
        cells = []
        for metric in (f"{name}/{one}" for one in METRICS):
            if metric not in row["by_user"]:
                continue
            value = f"{row['metrics'][metric]:.4f}"
            if model != REFERENCE:
                difference = minus(rows, model, REFERENCE, metric)
                value = f"**{value}**" if difference.low > 0 else value
                value = f"{value} {difference}"
            cells.append(value)
        if cells:
            lines.append([model, *cells])
    return table(lines)


def verdict(rows: dict[str, Row]) -> str:
    """What ships beside the best other model of each list."""
    if SHIPPED not in rows:
        return ""
    words = []
    for name, meaning in LISTS.items():
        metric = f"{name}/{METRICS[0]}"
        others = [model for model in rows if model != SHIPPED and metric in rows[model]["metrics"]]
        best = max(others, key=lambda model: rows[model]["metrics"][metric])
        difference = minus(rows, SHIPPED, best, metric)
        words.append(f"- {meaning}: {SHIPPED} {_sure(difference)} `{best}`: {difference}")
    return "\n".join([f"Against the best other model of each list, {METRICS[0]}:\n", *words, ""])


def _sure(difference: Interval) -> str:
    if difference.low > 0:
        return "is ahead of"
    return "is behind" if difference.high < 0 else "is not clearly apart from"


def chosen(rows: dict[str, Row]) -> str:
    """Settings, seconds and code."""
    lines = ["Settings that were chosen, seconds, and the code:", ""]
    for model, row in rows.items():
        settings = f"{word}; " if (word := worded(row["chosen"])) else ""
        lines += bullet(f"{model}: {settings}{row['seconds']:.0f} s; `{row['commit']}`")
    return "\n".join([*lines, ""])


def minus(rows: dict[str, Row], model: str, other: str, metric: str) -> Interval:
    """The difference, paired over users."""
    difference_U = rows[model]["by_user"][metric] - rows[other]["by_user"][metric]
    return bootstrap(difference_U[:, None], ROUNDS, SEED)[0]
