"""Parameters of the gate. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class GateParams(BaseModel):
    """Section `gate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    floor_metric: str
    """Metric of the comparison with floors and champion, such as ndcg@20."""
    min_margin_over_floor: float
    """The lower end of the paired 95 % interval over each floor must reach this on cold items."""
    min_margin_over_champion: float
    """The lower end of the paired 95 % interval of (challenger - champion) must exceed this on cold items, or on mixed
    lists if cold items keep to `max_loss_cold`. With several seeds the interval of their mean must exceed it too."""
    max_loss_cold: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may be below 0 on cold items, if mixed lists are clearly
    better."""
    max_loss_warm: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may be below 0 on warm items."""
    max_loss_head: float = Field(ge=0)
    """How far it may be below 0 on the head: the warm items with the most users."""
    max_loss_tail: float = Field(ge=0)
    """How far it may be below 0 on the tail: the other warm items. Validation chooses item weights that will pass this,
    compared with what is published before anything is trained."""
    max_loss_mixed: float = Field(ge=0)
    """How far it may be below 0 on mixed lists of warm and cold items."""
    max_loss_coverage: float = Field(ge=0, le=1)
    """How far the lower end may be below 0 for coverage: the share of cold candidates that are in at least one list."""
    max_rise_gini: float = Field(ge=0, le=1)
    """How far the upper end of the difference in the Gini of cold items' exposure may be above 0."""
    max_loss_worst_decile: float = Field(ge=0, le=1)
    """How far the lower end of the difference in the mean recall of the worst tenth of cold items may be below 0."""
    max_loss_group: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may be below 0 on mixed lists of each group of users."""
    max_rise_gap: float = Field(ge=0)
    """How much wider the challenger's gap between the best and the worst served group of `evaluate.groups` may be than
    the champion's, on mixed lists. It compares means: the intervals are those of `max_loss_group`."""
    max_rise_regret: float = Field(ge=0, le=1)
    """How far the upper end of the difference in regret may be above 0 on mixed lists: of the shown items whose opinion
    is known, the share that users dislike. It has no effect where nothing but likes is known."""
    max_loss_robustness: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may be below 0 on cold items with perturbed texts, for each
    kind of `evaluate.robustness`."""
    max_rise_stuffing: float = Field(ge=0)
    """How many more places of a list, at the upper end, items stuffed with popular words may win by the challenger than
    by the champion."""
    min_test_users: int = Field(ge=1)
    """With fewer test users the gate stays closed."""
    min_coverage: float = Field(ge=0, le=1)
    """Share of the cold candidates that must be in at least one list."""
    needs_approval: bool
    """Whether a person must approve a challenger that passed the gate, before `train_challenger` promotes it."""
