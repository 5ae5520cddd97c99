"""Make the pool of section `slow_loop`: Airflow never schedules a task whose pool is missing, and barely reports it."""

import logging
import sys

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

NOTE = "Tasks of train_challenger that want a GPU; made by Firstlight, the number of slots is yours"


@hookimpl
def on_starting(component: object) -> None:
    """Make the pool when a part of Airflow with a database starts; one that exists stays as a person has set it.

    Args:
        component: what starts. Scheduler, dag-processor and triggerer are a Job; tasks are not, and have no database.
    """
    if type(component).__name__ != "Job":
        return
    from sqlalchemy.exc import IntegrityError

    try:
        make_pool()
    except IntegrityError:
        log.info("another part of Airflow has just made the pool")
    except (
        Exception
    ):  # a workspace without params.yaml, a busy database: the scheduler must start all the same
        log.exception("the pool for GPUs could not be made; make it in Airflow: Admin, Pools")


def make_pool() -> None:
    """Make the pool where it is missing."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from recsys_tasks import section
    from sqlalchemy import select

    chosen = section("slow_loop")
    with create_session() as session:
        if session.scalar(select(Pool).filter_by(pool=chosen["pool"])) is None:
            session.add(
                Pool(
                    pool=chosen["pool"], slots=chosen["pool_slots"], description=NOTE, include_deferred=False
                )
            )
            log.info("made pool %s with %s slots", chosen["pool"], chosen["pool_slots"])


class GpuPool(AirflowPlugin):
    """Listens for the scheduler's start."""

    name = "firstlight_gpu_pool"
    listeners = [sys.modules[__name__]]  # noqa: RUF012
