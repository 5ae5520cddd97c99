"""Parameters of Airflow: time limits of tasks, when the slow loop runs, and where. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[float, Field(gt=0)]
LongTask = Literal[
    "ingest", "validate", "images", "features", "split", "profiles", "users", "index", "finetune", "evaluate",
    "publish", "catch-up",
]  # fmt: skip


class TasksParams(BaseModel):
    """Section `tasks`: read by Airflow when it parses the DAGs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit_min: Minutes
    """Minutes after which a try of a task is stopped. It is tried again while retries are left."""
    limits_min: dict[LongTask, Minutes]
    """Limits of tasks whose work grows with the catalogue, by stage or command. The next try continues their work."""


class SlowLoopParams(BaseModel):
    """Section `slow_loop`: read by Airflow when it parses the DAGs, so a change shows within a minute."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    train_cron: str
    """When `train_challenger` starts by itself, as cron in UTC; empty: not by the clock."""
    train_after_interactions: int = Field(ge=0)
    """Number of interactions accepted since the last training that start the next one, checked every
    `arrivals.sweep_s` seconds; 0: never."""
    champion_sweep_s: int = Field(ge=1)
    """Seconds between two checks whether the champion is the published model, in case a webhook was lost."""
    keep_workspaces: int = Field(ge=0)
    """Workspaces of successful trainings that are kept, newest first. Those of failed trainings are kept anyway."""
    checkpoint_s: float = Field(gt=0)
    """Where workers share no disk (RECSYS_STATE): seconds after which checkpoints of a training are stored. A worker
    that takes over from a killed one trains again what came after the last of them."""
    approval_hours: float = Field(gt=0)
    """With gate.needs_approval: hours that a challenger waits for a person. Then its task fails; the champion stays."""
    pool: str = Field(min_length=1)
    """Airflow pool of the tasks that use a GPU; created with `pool_slots` slots where it does not exist."""
    pool_slots: int = Field(ge=1)
    """Slots of a new pool. Change those of an existing pool in Airflow (Admin, Pools)."""
    queue: str = Field(min_length=1)
    """CeleryExecutor: queue of these tasks. Other executors ignore it."""
    gpus: int = Field(ge=0)
    """KubernetesExecutor: GPUs that their pods request (nvidia.com/gpu); 0: none."""
    image: str
    """KubernetesExecutor: image of these pods; empty: that of the pod template."""
