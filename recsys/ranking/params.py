"""Parameters of learned rankers. Values live in params.yaml."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RankerParams(BaseModel):
    """Section `ranker`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kinds: tuple[Literal["mlp"], ...]
    """Learned rankers that validation may choose instead of item weights; empty: none is tried."""
    depth: int = Field(ge=100, le=2000)
    """Candidates that are recalled for a user, and ranked again."""
    negatives: int = Field(ge=0)
    """Candidates without a click that are learned from, for each user; 0: all. The others are corrected for."""
    width: int = Field(ge=0, le=256)
    """Dimensions that profiles are projected to; 0: profiles are read by their scores alone."""
    hidden: tuple[int, int]
    """Units of the two hidden layers."""
    text_weight: float = Field(ge=0)
    """Weight of the auxiliary task: to give the item's profile back from its projection."""
    purchase_events: tuple[str, ...]
    """Events that are purchases; an interaction of any kind is a click."""
    purchase_weight: float = Field(ge=0, le=1)
    """Lists are ordered by P(click) (1 - this + this * P(purchase | click))."""
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    batch: int = Field(ge=1)
    """Examples of a step."""
    epochs: int = Field(ge=1)
    """The most."""
    patience: int = Field(ge=1)
    """Epochs without a lower loss on held-out pairs, after which training stops."""
    held_out: float = Field(gt=0, lt=1)
    """Share of the users, and of the items, that are held out to decide when to stop and to calibrate probabilities."""
    standard_errors: float = Field(ge=0)
    """A learned ranker is taken if its gain over item weights minus this many standard errors is above 0 on warm and on
    mixed lists."""
    max_loss_cold: float = Field(ge=0)
    """How far the lower end of its gain may lie below 0 on lists of cold items alone."""
    seed: int
