"""Start a training when enough new interactions were accepted. A check takes a second.

**Starts** every `arrivals.sweep_s` seconds (as often as interactions are taken in) if
`slow_loop.train_after_interactions` is not 0; otherwise never.

**Does** compare what is accepted with what the newest registered challenger was trained on (`recsys due`; the log has
the figures). If there is enough, it wakes `train_challenger`, which looks again before it begins. It is *skipped* if
there is not enough, or if a training is under way, queued or waiting for a person. A training whose gate stayed closed
counts as well. One that failed is not started again for the same interactions: mend it and clear its task, or start one
by hand.

**If it fails** MLflow was out of reach for some minutes. No training starts because of that.
"""

from airflow.sdk import dag
from pendulum import datetime
from recsys_tasks import DEFAULTS
from slow_loop import due, look_schedule


@dag(
    schedule=look_schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["recsys"],
)
def train_when_due() -> None:
    """Compare the counts once."""
    due()


train_when_due()
