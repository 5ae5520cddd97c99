"""A new champion becomes the published model. With a new encoder that takes as long as encoding the catalogue.

**Starts** when the alias `champion` moves: `train_challenger` announces it, and MLflow calls `/recsys/champion` when a
person moves it in MLflow's page (`recsys webhook`). A check every `slow_loop.champion_sweep_s` seconds finds lost
events. If the champion is published already, everything is *skipped*.

**Does** its work in a workspace of its own, with the data of the newest release. It encodes every text that the vector
cache does not hold: a new head encodes nothing, and a new ranker or λ takes over the published profiles. Then it takes
in what arrived meanwhile, and swaps one release. Until then arrivals are published with the old model; no query
ever mixes profiles of two models. Under a hold (`rollback`) the release is built and waits for `resume`.

**If a task fails** nothing has changed for readers. If the alias is on a version that Firstlight did not register,
`champion` fails and names it: give the alias to another version.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, chain, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, OWN, effect, section, stage
from slow_loop import CHAMPION, ENCODER, WHO, finish, gpu_to_encode, make_workspace

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
    """From the registry's champion to a release."""
    champion, own = effect("champion --skip-code"), make_workspace("--published")
    profiles = stage("profiles@champion", workspace=OWN, **gpu_to_encode())
    validate, images = (
        stage("validate", workspace=OWN),
        stage("images", workspace=OWN, **gpu_to_encode(pictures=True)),
    )
    chain(champion, own, validate, images, stage("features", workspace=OWN), profiles)
    chain(own, effect("fetch-champion --verdict --profiles", workspace=OWN), profiles)
    swap = effect(
        "catch-up", workspace=OWN, outlets=[ENCODER], env={"RECSYS_WHO": WHO}, **gpu_to_encode()
    )  # users and index, too
    chain(profiles, swap, finish())


publish_champion()
