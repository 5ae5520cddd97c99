"""docs/mixed.md and the figures of the mixed benchmark, made from its rows."""

import json
import shutil
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np

from bench.figures import ROOT, machine, write_figures
from bench.mixed_setup import HOME, MAX_USERS, NAMES, WARM_SHARE
from bench.quality_page import TITLES, WIDTH, Kept, bullet, table, worded
from recsys.evaluation.intervals import Interval, bootstrap

PAGE = ROOT / "docs" / "mixed.md"
REFERENCE = "ridge, head"
SHIPPED = "firstlight"
LISTS = {"cold": "cold items", "warm": "warm items", "mixed": "both in one list"}
METRICS = ("ndcg@20", "recall@100")
ROUNDS = 1000
SEED = 0

HEAD = f"""# Warm and cold items in one list

Written by `make bench-mixed` from the rows in `var/bench/mixed/`; change `bench/mixed_page.py`, not this page.

How good are lists that hold warm and cold items? Beside the cold items of each protocol, a seeded {WARM_SHARE:.0%} of
the pairs with warm items are held out before anything is learned. Up to {MAX_USERS:,} users who have both a cold and a
warm item to be found get three lists: of all cold items, of all warm items that they have not interacted with, and of
both together (where both kinds count as found). One split, one run of each model.

## Models

- **firstlight**: what a release recommends. Ridge users over the head, and its item weights, chosen as stage `finetune`
  does, here over the frozen encoder.
- **ridge, head**: profiles alone, without item weights, as `recsys benchmark cold-start` chooses them. All differences
  are to this model.
- **ridge lifted, head**: the same, with the scores of cold items times one factor, chosen as the settings of the next
  ones are. It changes mixed lists only.
- **ridge, encoder**: ridge users over the frozen encoder.
- **rbf_ridge, als_map, ease_prior, two_tower, blend**: `recsys/baselines/`, over the head's profiles or the frozen
  encoder's; `evaluate.rivals` may name them.
- **als, ease**: the collaborative models alone; they know nothing of a cold item.

**How the baselines are chosen.** Each chooses its settings by ndcg@20 of mixed lists on a fifth of the known items and
pairs, held out three times (once from 5,000 warm items, and by two_tower). Where it reads a head, that head was learned
without the held-out part. Stage `evaluate` cannot learn a head anew for that. There, a baseline over a champion whose
head was trained on the same interactions takes cold items for better known than they are, and chooses worse.

**What the tail costs.** Item weights favour items that many users know. Firstlight may lower the ndcg@20 of the tail by
at most `fusion.max_loss_tail`, beside profiles alone and beside the encoder; the baselines have no such rule. A head
that ranks the tail better therefore makes validation choose weights that lower popular items more. On MovieLens, at
`236f22a`, power .4 is the first that keeps the rule: it has .198 on validation (ndcg@20, mean of warm and mixed lists),
and power 0, without the rule, .269.

## How to read the tables

- A cell is the mean over users, then the difference from `ridge, head` with the paired 95 % bootstrap interval over
  users. **Bold**: the interval lies above 0.
- Seconds are those of choosing and learning on a busy machine. What several rows share (heads, validation sets) is not
  in them.
"""

KEPT = """*Kept as it was published with issue 3 (code at `112bc1f`, `1c6849b`, `7816603`): these rows have not been run
again since heads are chosen on the newest items, nor with today's preprocessing of texts.*
"""

NOT_RUN = "**Not run**.\n"

Row = dict[str, Any]


def publish(models: Sequence[str]) -> None:
    """Write docs/mixed.md, var/bench/mixed.json and its copy docs/mixed.json."""
    kept = Kept.load(PAGE, KEPT)
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
    parts = [HEAD, "\n".join(wrap(machine_line, WIDTH)) + "\n"]
    for name in NAMES:
        parts.append(f"## {TITLES[name]}\n")
        parts += section(found[name], models) if name in found else [kept.section(TITLES[name]) or NOT_RUN]
    return "\n".join(part for part in parts if part)


def section(rows: dict[str, Row], models: Sequence[str]) -> list[str]:
    """One protocol."""
    one = rows[REFERENCE]
    parts = [f"{one['n_users']:,} users, {one['n_warm']:,} warm and {one['n_cold']:,} cold items.\n"]
    missing = [model for model in models if model not in rows]
    if missing:
        parts.append(f"**Not run**: {'; '.join(missing)}.\n")
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
