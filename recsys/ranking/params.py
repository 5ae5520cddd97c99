"""Parameters of learned rankers. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys.dataset.trait_names import NONE, TraitNames

TraitName = Annotated[str, Field(min_length=1, max_length=64)]


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
    """Weight of the auxiliary task: to reconstruct the item's profile from its projection."""
    sets: tuple[TraitName, ...]
    """What the ranker compares items by, as sets of values that they share: `tags`, `relations` (the things and items
    that an item is linked to), or any of `publish.attributes`, such as brand."""
    numbers: tuple[TraitName, ...]
    """Attributes of items that the ranker compares by their distance: `age` (the time since an item's first
    interaction), or any of `publish.attributes`, such as price."""
    purchase_events: tuple[str, ...]
    """Events that are purchases; an interaction of any kind is a click."""
    purchase_weight: float = Field(ge=0, le=1)
    """Lists are ordered by P(click) (1 - this + this * P(purchase | click))."""
    learning_rate: float = Field(gt=0)
    """Learning rate of AdamW."""
    weight_decay: float = Field(ge=0)
    """Weight decay of AdamW."""
    batch: int = Field(ge=1)
    """Examples of a step."""
    epochs: int = Field(ge=1)
    """Maximum number of epochs."""
    patience: int = Field(ge=1)
    """Epochs without a lower loss on held-out pairs, after which training stops."""
    held_out: float = Field(gt=0, lt=1)
    """Share of the users, and of the items, that are held out to decide when to stop and to calibrate probabilities."""
    standard_errors: float = Field(ge=0)
    """A learned ranker is taken if its gain over item weights minus this many standard errors is above 0 on warm and on
    mixed lists."""
    max_loss_cold: float = Field(ge=0)
    """How far the lower end of its gain may lie below 0 on lists of cold items alone. 0: it must surely lose nothing
    there; the same lists are allowed."""
    seed: int

    @property
    def traits(self) -> TraitNames:
        """What is read of items beside their scores; nothing where no learned ranker is tried."""
        return TraitNames(self.sets, self.numbers) if self.kinds else NONE
