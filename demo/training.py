"""The slow loop in the demo: train a challenger, judge it beside the champion, publish it if the gate opens."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo.judging import CHAMPION, Judged, judge_cold
from demo.landing import films_without_ratings
from demo.watching import WalkFailed, Watch
from localplatform.airflow_client import FINISHED, Run
from localplatform.calls import call
from recsys.artifacts import Artifacts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.gate.decision import Decision

if TYPE_CHECKING:
    from demo.walk import Walk

TRAIN, PUBLISH = "train_challenger", "publish_champion"
FORM: dict[str, Any] = {"layers": "top", "epochs": 2}
"""What the demo types into the form: a short training; the head over the encoder is learned in any case."""
CHAMPION_AND_WORDS = ("tfidf_centroid", CHAMPION)
SHOWN = (
    "cold/ndcg@20", "cold/recall@20", "cold/coverage@20", "warm/ndcg@20", "head/ndcg@20", "tail/ndcg@20",
    "mixed/ndcg@20",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The gate's decision about a challenger."""

    is_open: bool
    reasons: tuple[str, ...]
    metrics: dict[str, float | None]
    """metrics.json: `cold/ndcg@20` is the champion's, `challenger/cold/ndcg@20` the challenger's."""
    model_hash: str
    page: Path

    @classmethod
    def of(cls, at: Artifacts) -> "Verdict":
        """Read the verdict in the workspace of a training."""
        decision = Decision.load(at.decision)
        metrics = json.loads(at.metrics.read_text("utf-8"))
        return cls(decision.open, decision.reasons, metrics, decision.model_hash, at.gate_page)


@dataclass(frozen=True)
class Training:
    """The result of a training."""

    verdict: Verdict
    train_s: float
    """Seconds from the trigger to the end of the run, promotion included."""
    publish_s: float | None
    """Seconds from the promotion to the swap of the pointer; None where the gate was closed."""
    before: Judged
    after: Judged | None
    """The release of before and that of the new champion on the films whose ratings are withheld still."""


def train(walk: "Walk") -> Training:
    """Trigger `train_challenger`, wait for its verdict and, where it promoted, for the release of the new champion.

    Args:
        walk: after the five steps; films and ratings are published.

    Returns:
        Verdict, times, and recall of the films that nobody has rated yet, before and after.

    Raises:
        WalkFailed: a task failed, or what happened is not what the verdict says.
    """
    publish = Watch(walk.airflow, PUBLISH, walk.console, walk.platform.workspace)
    before = _judge(walk, CHAMPION_AND_WORDS)
    since = time.monotonic()
    run = _run(walk)
    train_s = time.monotonic() - since
    verdict = Verdict.of(Artifacts(walk.at.var / "workspaces" / f"{TRAIN}.{run.id}"))
    show_verdict(walk.console, verdict)
    (promote,) = (task for task in walk.airflow.tasks(run) if task.name == "promote")
    if promote.state != ("success" if verdict.is_open else "skipped") or promote.end is None:
        raise WalkFailed(f"the gate says {verdict}, but task promote is {promote.state}")
    if not verdict.is_open:
        walk.console.print("    promote is skipped: the champion stays, and nothing is published")
        return Training(verdict, train_s, None, before, None)
    publish.until(lambda: _is_published(walk, verdict.model_hash), "the new champion is published")
    swapped = datetime.fromisoformat(walk.store.current().current.published_at)
    publish_s = (swapped - datetime.fromisoformat(promote.end)).total_seconds()
    publish.until_idle("the run ends")
    walk.arrivals.until_idle("the run ends")
    return Training(verdict, train_s, publish_s, before, _judge(walk, (CHAMPION,)))


def show_verdict(console: Console, verdict: Verdict) -> None:
    """Champion beside challenger on the gate's holdout, and its reasons."""
    table = Table(title="the gate's holdout", title_style="bold", header_style="bold")
    table.add_column("")
    table.add_column("champion", justify="right")
    table.add_column("challenger", justify="right")
    for name in SHOWN:
        both = verdict.metrics.get(name), verdict.metrics.get(f"challenger/{name}")
        table.add_row(name, *("" if one is None else f"{one:.4f}" for one in both))
    console.print(table)
    state = "[green]open[/]" if verdict.is_open else "[yellow]closed[/]"
    console.print(f"    the gate is {state} for model {verdict.model_hash[:10]}", highlight=False)
    for reason in verdict.reasons:
        console.print(f"    - {escape(reason)}", highlight=False)
    console.print(f"    verdict page: {verdict.page}", highlight=False, soft_wrap=True)


def show_ledger(console: Console, workspace: Path) -> None:
    """Print `recsys ledger`."""
    table = call("recsys", "ledger", workspace=workspace, environment={"COLUMNS": str(console.width)})
    console.print("\n[bold]recsys ledger[/]")
    console.print(table.rstrip(), markup=False, highlight=False, soft_wrap=True)


def _run(walk: "Walk") -> Run:
    """Start a training and wait for its end, which must be a success."""
    watch = Watch(walk.airflow, TRAIN, walk.console, walk.platform.workspace)
    run_id = walk.airflow.trigger(TRAIN, FORM)
    watch.until(lambda: walk.airflow.run(TRAIN, run_id).state in FINISHED, "training")
    run = walk.airflow.run(TRAIN, run_id)
    if run.state != "success":
        raise WalkFailed(f"{TRAIN} {run_id} ended as {run.state}")
    return run


def _judge(walk: "Walk", models: tuple[str, ...]) -> Judged:
    """The release that readers get now, on the new films whose ratings have not landed."""
    films = films_without_ratings(walk.data)
    pseudonyms = Pseudonyms(walk.platform.environment["RECSYS_PSEUDONYM_KEY"])
    with walk.console.status("ranking the films that nobody has rated, for every user with a history"):
        return judge_cold(
            walk.release(), walk.at, walk.settings, films, walk.data.ratings_of(films), pseudonyms, models
        )


def _is_published(walk: "Walk", model_hash: str) -> bool:
    """Whether readers get a release of this model."""
    return walk.store.manifest(walk.store.current().current.release).model.hash == model_hash
