"""Parameters of monitoring. Values live in params.yaml."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"\A\S.*\z")]


class MonitorParams(BaseModel):
    """Section `monitor`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    false_alarms: float = Field(gt=0, le=0.1)
    """The highest share of ordinary arrivals that may cause an alarm, over all signals of a table together."""
    learn_arrivals: int = Field(ge=5)
    """Earlier arrivals that are needed before one is judged; until then the page says "learning"."""
    window_arrivals: int = Field(ge=5, le=500)
    """Earlier arrivals that an arrival is compared with: the newest ones."""
    shown_arrivals: int = Field(ge=1, le=500)
    """Arrivals that are judged and shown: the newest ones."""
    sample_rows: int = Field(ge=40, le=2000)
    """Items of an arrival, or users of its interactions, that are compared: drawn at random, the same each time. Larger
    samples notice smaller changes."""
    min_rows: int = Field(ge=4)
    """Smaller arrivals are judged together with those that follow, once they have this many rows."""
    accept_after: int = Field(ge=1)
    """After this many alarms of a signal in a row, the new state counts as ordinary, and later arrivals are compared
    with it."""
    numbers: tuple[Name, ...]
    """Columns of the catalogue with a number whose distribution is watched, such as price."""
    train_on: tuple[Name, ...]
    """Signals whose alarm starts a training (`train_challenger`); docs/monitoring.md lists them."""
    metrics_file: str
    """Where `recsys watch` writes metrics for Prometheus's textfile collector; "": nowhere."""

    @model_validator(mode="after")
    def _alarms_in_a_row_are_shown(self) -> Self:
        """Alarms in a row are counted among the arrivals that are judged."""
        if self.shown_arrivals <= self.accept_after:
            raise ValueError(
                f"shown_arrivals is {self.shown_arrivals}: more than accept_after ({self.accept_after}) are needed, or "
                "no lasting change would ever be accepted"
            )
        return self
