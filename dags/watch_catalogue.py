"""Watch what arrives and what is published: a person is told when texts, profiles or interactions are not as before.

**Starts** after each published arrival, and every `slow_loop.champion_sweep_s` seconds in case an event was lost. It
runs beside arrivals, holds no lock, and stops nothing: arrivals and readers never wait for it.

**Does** two tasks:

1. `watch` compares the newest arrivals with those before them (stage `monitor`), and the newest releases with earlier
   ones. The page with plots and examples is `var/watch/page.html`; `recsys status` shows the verdict. A new alarm is
   one signed alert to `RECSYS_ALERT_URL`: what changed, with words and items before and after. With fewer than
   `monitor.learn_arrivals` arrivals it learns and is silent. It is *skipped* if nothing is new.
2. `wake-training` starts `train_challenger` if a signal that `monitor.train_on` names has a new alarm; otherwise it is
   *skipped*. It runs where nothing is new as well: a person may have looked meanwhile, or the last run failed here.

**If a task fails** it is tried twice more, then an alert says so. Nothing that is published depends on it, and the next
run makes up for it. What was not sent is sent then.
"""

from datetime import timedelta

from airflow.sdk import AssetOrTimeSchedule, DeltaTriggerTimetable, chain, dag
from pendulum import datetime
from recsys_tasks import DEFAULTS, effect, section
from slow_loop import MOVED, RELEASE, WHO

SWEEP = timedelta(seconds=section("slow_loop")["champion_sweep_s"])


@dag(
    schedule=AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(SWEEP), assets=RELEASE),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["recsys"],
)
def watch_catalogue() -> None:
    """Look once, and wake a training where an alarm calls for one."""
    wake = effect("wake-training", outlets=[MOVED], env={"RECSYS_WHO": WHO}, trigger_rule="none_failed")
    chain(effect("watch --if-new"), wake)


watch_catalogue()
