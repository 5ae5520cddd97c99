"""Go back to an earlier release, or let new releases go live again. It rebuilds nothing and takes a second.

**Start it** with the form.

- `rollback` points readers to the release that you name (`previous`: the one before the current) and sets a *hold*: new
  releases are still built, but none goes live, so the next arrival does not undo your decision.
- `resume` ends the hold.

Say why; it is kept with the pointer.

**If it fails** nothing has changed: the pointer is swapped in one step.
"""

from airflow.sdk import Param, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, move_pointer

FORM = {
    "action": Param("rollback", type="string", enum=["rollback", "resume"], title="What to do"),
    "release": Param(
        "previous",
        type="string",
        pattern=r"^(previous|\d{6,}-[0-9a-f]{10})$",
        title="Release to go back to",
        description="`previous` or a release id, as `recsys releases` lists them; `resume` does not look at it",
    ),
    "why": Param(type="string", minLength=3, maxLength=500, title="Why", description="kept with the pointer"),
}


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=FORM,
    doc_md=__doc__,
    tags=["recsys"],
)
def rollback_release() -> None:
    """Swap the pointer once."""
    move_pointer()


rollback_release()
