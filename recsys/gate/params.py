"""What steers the gate. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class GateParams(BaseModel):
    """Section `gate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    floor_metric: str
    """Metric on the cold slice that is compared with the floors, such as ndcg@20."""
    min_margin_over_floor: float
    """What the lower end of the paired 95 % interval of (champion - floor) must reach."""
    min_test_users: int = Field(ge=1)
    """Fewer test users give no verdict but a refusal."""
    min_coverage: float = Field(ge=0, le=1)
    """Share of the cold candidates that must appear in some user's list."""
