"""Parameters of heads and item weights. Values live in params.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class FusionParams(BaseModel):
    """Section `fusion`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    width: int = Field(ge=0)
    """The most directions of a head in a large catalogue. 0: no head, the encoder's vectors are the profiles."""
    wide_up_to: int = Field(ge=0)
    """A head learned from at most this many items has up to twice as many directions: users differ along more of them
    than a large catalogue can afford to store. 0: never."""
    words_width: int = Field(ge=2)
    """Number of dimensions for separate words, if validation chooses them; one of these completes unit length."""
    words_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """Weights of separate words, in standard deviations of the other scores; validation chooses one. 0: no separate
    words."""
    standard_errors: float = Field(ge=0)
    """A head is used if its gain on validation minus this many standard errors is above 0."""
    lexical_shares: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(min_length=1)
    """Weights of the words' kernel, each in [0, 1); validation chooses one. The encoder's kernel has the rest."""
    metric_powers: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """How strongly directions that explain many users are stretched; validation chooses one. 0: not at all."""
    constants: tuple[Annotated[float, Field(gt=0)], ...]
    """A coordinate that every profile has, before it is scaled to unit length, in units of the coordinates' median
    length: a text that resembles few others is stretched less. Tried for the best trained head; validation chooses one
    or none. Empty: none is tried."""
    alike_powers: tuple[Annotated[float, Field(gt=0, le=1)], ...]
    """How much less a like counts that the user's other likes resemble. Tried for the best trained head and for first
    light; validation chooses one or none for each. Empty: none is tried."""
    gamma: float = Field(gt=0)
    """Sharpness of the encoder's kernel, exp(gamma * (cosine - 1))."""
    view_weights: tuple[Annotated[float, Field(ge=0)], ...]
    """Weights of a view's kernel, relative to 1 for the text's; validation chooses one for each view. 0: the view is
    not used. Empty, or only 0: no view is."""
    view_decay: float = Field(ge=0)
    """How similar two items count that share no name but both resemble one landmark, relative to 1 for items that share
    all names. 0: not at all."""
    view_gamma: float = Field(gt=0)
    """Sharpness of the kernel of a view with vectors, like gamma."""
    kernel_lambda: float = Field(gt=0)
    """Ridge of the kernel regression that finds the directions."""
    smoothing: float = Field(ge=0)
    """Weight of what ALS factors predict, added to a user's own history; 0: none."""
    max_factors: int = Field(ge=1)
    """Maximum number of ALS factors."""
    items_per_factor: int = Field(ge=1)
    """In small data sets there is one factor for this many items."""
    als_alpha: float = Field(gt=0)
    """Confidence of an interaction."""
    als_regularization: float = Field(ge=0)
    """Ridge of the factors."""
    als_iterations: int = Field(ge=1)
    """Rounds of alternating least squares."""
    ease_lambdas: tuple[Annotated[float, Field(gt=0)], ...]
    """λ of EASE, in users: how strongly weights between items are pulled towards what profiles predict. Validation
    chooses one or none. Empty: lists are ordered by profiles alone."""
    head_factors: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    """Factor on the scores of the head (`evaluate.head_share`) beside item weights, so that the tail keeps its places.
    Validation chooses one; 1: the head is not lowered."""
    lifts: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """Factor on the profile score of cold items; validation chooses one."""
    max_weighted_items: int = Field(ge=2)
    """The most items that have weights between them: those with the most interactions."""
    weights_per_item: int = Field(ge=1)
    """Weights kept for each item: those that change its score most."""
    max_landmarks: int = Field(ge=2)
    """The most items that a text is compared with: those with the most interactions."""
    max_users: int = Field(ge=2)
    """The most users that directions are learned from; a sample where there are more."""
    max_validation_items: int = Field(ge=1000)
    """Where there are more items, validation chooses on some of the users, by the seed, who have at most so many items
    together. The head is then learned from all."""
    seed: int = Field(ge=0)
    """Seed of everything random in learning a head."""

    def for_items(self, n_items: int) -> "FusionParams":
        """The section for a dataset of this many items, where `width` is the largest width that its head may have.

        Args:
            n_items: all items of the dataset, held-out ones too, so that validation tries what is learned at the end.

        Returns:
            The section, not to be widened again.
        """
        wider = {"width": 2 * self.width} if n_items <= self.wide_up_to else {}
        return self.model_copy(update={**wider, "wide_up_to": 0})

    @property
    def apart_width(self) -> int:
        """Dimensions for separate words, including the one that completes unit length.

        At most half of the width; 0 where that is too narrow, or where all weights are 0.
        """
        most = min(self.words_width, self.width // 2)
        return most if most > 1 and any(self.words_weights) else 0

    @property
    def meaning_width(self) -> int:
        """The other dimensions."""
        return self.width - self.apart_width
