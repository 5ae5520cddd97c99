"""A new champion becomes the published encoder: the release loop, as long as encoding the catalogue takes.

**Runs** when the alias `champion` moves: `train_challenger` says so, and MLflow tells `/recsys/champion` when a person
moves it in MLflow's page (`recsys webhook`). A look every `slow_loop.champion_sweep_s` seconds finds what was lost. The
champion's encoder is published already: everything is *skipped*.

**Does** its work in a workspace of its own, with the data of the newest release: encodes every text with the new
encoder (but for those that the vector cache knows), then catches up with what arrived meanwhile and swaps one release.
Until then arrivals are published with the encoder of before; a query never meets vectors of another encoder.
Under a hold (`rollback`) the release is built and waits for `resume`.

**When a task fails** nothing has changed for readers. An alias on a version that Firstlight did not register fails
`champion` with its number: give the alias to another version.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, chain, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, OWN, effect, section, stage
from slow_loop import CHAMPION, ENCODER, WHO, finish, make_workspace

SWEEP = timedelta(seconds=section("slow_loop")["champion_sweep_s"])


@dag(
    schedule=AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(SWEEP), assets=CHAMPION),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["recsys"],
)
def publish_champion() -> None:
    """The registry's champion to a release."""
    champion, own = effect("champion --skip-code"), make_workspace("--published")
    profiles = stage("profiles@champion", workspace=OWN)
    chain(champion, own, stage("validate", workspace=OWN), stage("features", workspace=OWN), profiles)
    chain(own, effect("fetch-champion --verdict", workspace=OWN), profiles)
    swap = effect(
        "catch-up", workspace=OWN, outlets=[ENCODER], env={"RECSYS_WHO": WHO}
    )  # users and index, too
    chain(profiles, swap, finish())


publish_champion()
