"""Train a challenger, judge it beside the champion, promote it if the gate opens: the slow loop. It takes hours.

**Starts**

- by hand, with the form: the keys of section `finetune` as params.yaml has them; changes hold for this run alone
- by the clock, at the times of `slow_loop.train_cron`
- once `slow_loop.train_after_interactions` more are accepted than at the last training (`train_when_due` checks that; a
  run that it woke is *skipped* if another was quicker), or a signal in `monitor.train_on` alarms (`watch_catalogue`)

One run at a time; arrivals go on beside it.

**Does** all its work in a workspace of its own below `RECSYS_WORKSPACES` (on a disk of all workers, or passed on by
`RECSYS_STATE`), pinned to the data of its start: champion and holdout, training (pool and queue `gpu`), profiles (there
too where `profiles.device` is cuda), scores of both, decision. `register` keeps challenger and decision in MLflow
either way. A closed gate is a result: `promote` is *skipped*. With `gate.needs_approval` a person decides first
(Required Actions); after a rejection `promote` is skipped too.

**If a task fails** it is tried again; training goes on from its last checkpoint. Then one signed alert goes out, and
the workspace stays for a look. `publish_champion` publishes a new champion.
"""

from airflow.sdk import chain, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, OWN, effect, section, stage
from slow_loop import finish, form, gpu, gpu_to_encode, make_training_workspace, promotion, registration
from slow_loop import training_schedule as schedule


@dag(
    schedule=schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=form(),
    doc_md=__doc__,
    tags=["recsys"],
)
def train_challenger() -> None:
    """From today's data to a champion, or to the reasons against it."""
    # A closed gate is a success; a run that was not due has made no workspace.
    keep = section("slow_loop")["keep_workspaces"]
    last, register = finish(keep, trigger_rule="none_failed_min_one_success"), registration()
    own, champion = make_training_workspace(), effect("fetch-champion", workspace=OWN)
    features, finetune = stage("features", workspace=OWN), stage("finetune", workspace=OWN, **gpu())
    champions = stage("profiles@champion", workspace=OWN, **gpu_to_encode())
    challengers = stage("profiles@challenger", workspace=OWN, **gpu_to_encode())
    evaluate = stage("evaluate", workspace=OWN)
    chain(
        own,
        stage("validate", workspace=OWN),
        stage("images", workspace=OWN, **gpu_to_encode(pictures=True)),
        features,
        stage("split", workspace=OWN),
        finetune,
        challengers,
    )
    chain(own, champion, [champions, finetune])  # a student learns the champion's vectors
    chain(features, champions)
    chain([champions, challengers], evaluate, stage("gate", workspace=OWN), register, *promotion(), last)
    chain(register, last)


train_challenger()
