"""Landed catalogue text becomes published profiles: the fast loop, minutes, no training.

**Runs** when a file lands in `RECSYS_LANDING/catalogue/` (a watcher looks every `arrivals.poll_s` seconds), and every
`arrivals.sweep_s` seconds without any event: the sweep takes in interactions, and whatever an event was lost for.
Both numbers stand in params.yaml. One run at a time; every run takes in all that is pending, so events may come twice,
coalesce or get lost.

**Does** ingest what has landed, fetch the encoder of the newest release (at first light the champion), then the stages
up to the index, each by `dvc repro --single-item`, which skips what has not changed, and publishes the result as one
release. Nothing landed and nothing left to publish: `ingest` shows as *skipped*, and so does everything after it. When
`publish_champion` published another encoder meanwhile, `publish` shows as *skipped*, and the next run starts at once.

**When a task fails** it is tried again twice; every task is safe to repeat. Then one signed alert goes to
`RECSYS_ALERT_URL`. The release before goes on being served; the next sweep starts over.
"""

from datetime import timedelta

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, DeltaTriggerTimetable, chain, dag
from landing_trigger import LandingTrigger
from pendulum import datetime
from recsys_tasks import DEFAULTS, effect, section, stage
from slow_loop import ENCODER

ARRIVALS = section("arrivals")
LANDING = Asset(
    "recsys://landing", watchers=[AssetWatcher("landing", trigger=LandingTrigger(poll_s=ARRIVALS["poll_s"]))]
)


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=DeltaTriggerTimetable(timedelta(seconds=ARRIVALS["sweep_s"])), assets=LANDING | ENCODER
    ),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["recsys"],
)
def profile_arrivals() -> None:
    """Landing zone to published release."""
    ingest, profiles = effect("ingest --skip-code"), stage("profiles@champion")
    chain(ingest, stage("validate"), stage("features"), profiles)
    chain(ingest, effect("fetch-champion --published"), profiles)
    chain(profiles, [stage("users"), stage("index")], effect("publish --skip-code"))


profile_arrivals()
