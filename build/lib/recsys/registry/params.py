"""What steers Airflow: how long tasks may take, when the slow loop runs and where. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[float, Field(gt=0)]
LongTask = Literal[
    "ingest", "validate", "features", "split", "profiles", "users", "index", "finetune", "evaluate", "publish",
    "catch-up",
]  # fmt: skip


class TasksParams(BaseModel):
    """Section `tasks`: read by Airflow when it parses the DAGs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit_min: Minutes
    """Minutes after which a try of a task is ended (and made again while retries are left)."""
    limits_min: dict[LongTask, Minutes]
    """The same for tasks whose work grows with the catalogue, by stage or command. What they did until then is kept."""


class SlowLoopParams(BaseModel):
    """Section `slow_loop`: read by Airflow when it parses the DAGs, so a change shows within a minute."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    train_cron: str
    """When `train_challenger` starts by itself, as cron in UTC; empty: not by the clock."""
    train_after_interactions: int = Field(ge=0)
    """How many interactions accepted since the last training start the next one, looked at every `arrivals.sweep_s`
    seconds; 0: none do."""
    champion_sweep_s: int = Field(ge=1)
    """Seconds between two looks whether the champion is the published encoder, in case a webhook was lost."""
    keep_workspaces: int = Field(ge=0)
    """Workspaces of trainings that succeeded that stay, newest first; those that failed stay anyway."""
    approval_hours: float = Field(gt=0)
    """gate.needs_approval: hours that a challenger waits for a person; then its task fails and the champion stays."""
    pool: str = Field(min_length=1)
    """Airflow pool of the tasks that want a GPU; made with `pool_slots` slots where it does not exist."""
    pool_slots: int = Field(ge=1)
    """Of a pool that is made; later changes are Airflow's (Admin, Pools)."""
    queue: str = Field(min_length=1)
    """CeleryExecutor: queue of the same tasks; other executors do not look at it."""
    gpus: int = Field(ge=0)
    """KubernetesExecutor: GPUs that a pod of theirs asks for (nvidia.com/gpu); 0: none."""
    image: str
    """KubernetesExecutor: image of these pods; empty: that of the pod template."""
