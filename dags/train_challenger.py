"""Fine-tune a challenger, judge it beside the champion, make it champion if the gate opens: the slow loop, hours.

**Runs** by hand, with the form: the keys of section `finetune`, as params.yaml has them; what you change holds for this
run alone. By the clock, where `slow_loop.train_cron` says when. And once `slow_loop.train_after_interactions` more are
accepted than the last training had: `train_when_due` looks for that, and a run that it woke shows as *skipped* where
somebody was quicker. One run at a time; arrivals go on beside it.

**Does** all its work in a workspace of its own, pinned to the data of the moment at which it began (below
`RECSYS_WORKSPACES`, shared by all workers): champion and holdout, training (pool and queue `gpu`), profiles, scores of
both, verdict. `register` keeps challenger and verdict in MLflow either way. A closed gate is a result: `promote` shows
as *skipped*. With `gate.needs_approval` a person is asked before (Required Actions); refused, `promote` is skipped too.

**When a task fails** it is tried again; training goes on from its last checkpoint. Then one signed alert goes out and
the workspace stays to be looked at. A new champion is published by `publish_champion`.
"""

from airflow.sdk import chain, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, OWN, effect, section, stage
from slow_loop import (
    finish,
    form,
    gpu,
    make_training_workspace,
    promotion,
    registration,
    training_schedule,
)


@dag(
    schedule=training_schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=form(),
    doc_md=__doc__,
    tags=["recsys"],
)
def train_challenger() -> None:
    """Data of now to a champion, or to the reasons why not."""
    # A closed gate is a success; a run that was not due has made no workspace.
    keep = section("slow_loop")["keep_workspaces"]
    last, register = finish(keep, trigger_rule="none_failed_min_one_success"), registration()
    own, champion = make_training_workspace(), effect("fetch-champion", workspace=OWN)
    features, finetune = stage("features", workspace=OWN), stage("finetune", workspace=OWN, **gpu())
    champions, evaluate = stage("profiles@champion", workspace=OWN), stage("evaluate", workspace=OWN)
    challengers = stage("profiles@challenger", workspace=OWN, **gpu())
    chain(
        own, stage("validate", workspace=OWN), features, stage("split", workspace=OWN), finetune, challengers
    )
    chain(own, champion, champions)
    chain(features, champions)
    chain([champions, challengers], evaluate, stage("gate", workspace=OWN), register, *promotion(), last)
    chain(register, last)


train_challenger()
