"""Landed files become published profiles: the fast loop. It takes minutes and trains nothing.

**Starts** when a file lands in `RECSYS_LANDING/catalogue/` (a watcher looks every `arrivals.poll_s` seconds), and every
`arrivals.sweep_s` seconds without any event. The sweep takes in interactions, and whatever an event was lost for. One
run at a time. Every run takes in all that is pending, so events may come twice, merge or get lost.

**Does**

1. `ingest` accepts what has landed.
2. `fetch-champion` brings the encoder of the newest release; before the first release, the champion.
3. `build` runs the stages `validate`, `features`, `profiles@champion`, `users` and `index` in one
   `dvc repro --single-item`. DVC skips a stage if nothing it reads has changed; the log names the others.
4. `publish` makes the result one release.

**Skipped** tasks are normal. If nothing landed and nothing is left to publish, `ingest` and everything after it is
skipped. If `publish_champion` published another encoder meanwhile, `publish` is skipped, and the next run starts at
once.

**If a task fails** it is tried twice more; every task is safe to repeat. Then one signed alert goes to
`RECSYS_ALERT_URL`. The last release goes on being served. The next sweep starts over.
"""

from datetime import timedelta

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, DeltaTriggerTimetable, chain, dag
from landing_trigger import LandingTrigger
from pendulum import datetime
from recsys_tasks import DEFAULTS, effect, section, stages
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
    build = stages("build", "validate", "features", "profiles@champion", "users", "index")
    chain(
        effect("ingest --skip-code"),
        effect("fetch-champion --published"),
        build,
        effect("publish --skip-code"),
    )


profile_arrivals()
