"""Parameters of the gate. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class GateParams(BaseModel):
    """Section `gate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    floor_metric: str
    """Metric that is compared with the floors and with the champion, such as ndcg@20."""
    min_margin_over_floor: float
    """What the lower end of the paired 95 % interval over each floor must reach on the cold slice."""
    min_margin_over_champion: float
    """What the lower end of the paired 95 % interval of (challenger - champion) must exceed on cold items, or on mixed
    lists if cold items keep to `max_loss_cold`. With several seeds the interval of their mean must exceed it, too."""
    max_loss_cold: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may lie below 0 on cold items if mixed lists are surely
    better."""
    max_loss_warm: float = Field(ge=0)
    """How far the lower end of (challenger - champion) may lie below 0 on warm items."""
    max_loss_head: float = Field(ge=0)
    """The same on the warm items with the most interactions."""
    max_loss_tail: float = Field(ge=0)
    """The same on all other warm items."""
    max_loss_mixed: float = Field(ge=0)
    """The same on lists of warm and cold items together."""
    max_loss_coverage: float = Field(ge=0, le=1)
    """The same for coverage: the share of the cold candidates that appear in some list."""
    max_rise_gini: float = Field(ge=0, le=1)
    """How far the upper end of the difference in Gini of the cold items' exposure may lie above 0."""
    max_loss_worst_decile: float = Field(ge=0, le=1)
    """How far the lower end may lie below 0 for the mean recall of the worst tenth of the cold items."""
    min_test_users: int = Field(ge=1)
    """With fewer test users the gate stays closed."""
    min_coverage: float = Field(ge=0, le=1)
    """Share of the cold candidates that must appear in some user's list."""
    needs_approval: bool
    """Whether a person must approve a challenger after the gate opened, before `train_challenger` promotes it."""
