"""Landed files become published profiles: the fast loop. It takes minutes and trains nothing.

**Starts** when a file lands in `catalogue/`, `relations/` or `vectors/` of `RECSYS_LANDING` (a watcher looks every
`arrivals.poll_s` seconds), and every `arrivals.sweep_s` seconds without any event. The sweep takes in interactions,
impressions, and files whose event was lost. One run at a time. Every run takes in all that is pending, so events may
come twice, merge or get lost.

**Does** one task, `arrive`. Its steps share a warm process, since starting each by itself costs more than most of them
do. The log shows them:

1. `ingest` accepts what has landed.
2. `fetch-champion` brings the model of the newest release; before the first release, the champion.
3. `dvc repro --single-item` of the stages `validate`, `images`, `features`, `profiles@champion`, `users` and `index`.
   DVC skips a stage if nothing it reads has changed; the log names the others.
4. `publish` makes the result one release.

**Skipped** is normal: nothing landed and nothing is left to publish, or `publish_champion` published another encoder
meanwhile; then the next run starts at once.

**If the task fails** it is tried twice more. Every step is safe to repeat, and a try goes on where the last one ended.
Then one signed alert goes to `RECSYS_ALERT_URL`. The last release goes on being served. The next sweep starts over.
"""

from datetime import timedelta

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, DeltaTriggerTimetable, dag
from landing_trigger import LandingTrigger
from pendulum import datetime
from recsys_tasks import DEFAULTS, effect, limits, section
from slow_loop import ENCODER, RELEASE, gpu_to_encode

ARRIVALS = section("arrivals")
STEPS = (
    "ingest",
    "fetch-champion",
    "validate",
    "images",
    "features",
    "profiles",
    "users",
    "index",
    "publish",
)
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
    """From the landing zone to a published release."""
    effect("arrive --skip-code", execution_timeout=limits(*STEPS), outlets=[RELEASE], **gpu_to_encode())


profile_arrivals()
