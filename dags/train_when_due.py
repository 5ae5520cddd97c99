"""Look whether enough interactions were accepted since the last training to train again: a second, on one machine.

**Runs** every `arrivals.sweep_s` seconds (as often as interactions are taken in) where
`slow_loop.train_after_interactions` is not 0; else never.

**Does** compare what is accepted with what the newest registered challenger was trained on (`recsys due`; the log has
the figures). Enough: it wakes `train_challenger`, which looks again before it begins. Not enough, or a training is
under way, waits for a person or is queued: *skipped*. A training whose gate was closed counts as well. One that failed
is not begun again for the same interactions: mend it and clear its task, or trigger one by hand.

**When it fails** MLflow was out of reach for some minutes; no training starts for that reason.
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
    """One look."""
    due()


train_when_due()
