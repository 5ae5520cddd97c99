"""Parameters of heads and item weights. Values live in params.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class FusionParams(BaseModel):
    """Section `fusion`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    width: int = Field(ge=0)
    """Directions of a head, at most. 0: no head, profiles are the encoder's own."""
    words_width: int = Field(ge=2)
    """How many of them hold words apart, if that is chosen; one of these brings profiles to unit length."""
    words_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """How much words apart count beside the other dimensions, in deviations of the scores; validation chooses; 0: heads
    hold no words apart."""
    standard_errors: float = Field(ge=0)
    """A head is taken if its gain on validation, less this many standard errors, is above 0."""
    lexical_shares: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(min_length=1)
    """Weights of the words' kernel beside the encoder's that validation chooses from, each in [0, 1)."""
    metric_powers: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """How strongly directions that many users need are stretched, chosen by validation; 0: not at all."""
    gamma: float = Field(gt=0)
    """Sharpness of the encoder's kernel, exp(gamma * (cosine - 1))."""
    kernel_lambda: float = Field(gt=0)
    """Ridge of the kernel regression that finds the directions."""
    smoothing: float = Field(ge=0)
    """Weight of what ALS factors predict beside a user's own history; 0: none."""
    max_factors: int = Field(ge=1)
    """ALS factors, at most."""
    items_per_factor: int = Field(ge=1)
    """Small data sets get one factor per this many items."""
    als_alpha: float = Field(gt=0)
    """Confidence of an interaction."""
    als_regularization: float = Field(ge=0)
    """Ridge of the factors."""
    als_iterations: int = Field(ge=1)
    """Rounds of alternating least squares."""
    ease_lambdas: tuple[Annotated[float, Field(gt=0)], ...]
    """λ of EASE, in users: how strongly weights between items are pulled to what profiles predict. Validation chooses
    one or none. Empty: lists are ordered by profiles alone."""
    popularity_powers: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    """How far item weights lower popular items, so that the tail keeps its places. Validation chooses; 0: no effect."""
    lifts: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """Factor on the profile score of cold items beside warm ones; validation chooses."""
    max_loss_tail: float = Field(ge=0)
    """How far the chosen item weights may lower ndcg@k of the tail, against profiles alone and the encoder alone."""
    max_weighted_items: int = Field(ge=2)
    """Number of items with weights between them: those with the most interactions."""
    weights_per_item: int = Field(ge=1)
    """Weights kept for each: those that change its score most."""
    max_landmarks: int = Field(ge=2)
    """Number of items that a text is compared with: those with the most interactions."""
    max_users: int = Field(ge=2)
    """Users whose tastes find the directions, sampled by the seed where there are more."""
    seed: int = Field(ge=0)
    """Of everything random."""

    @property
    def apart_width(self) -> int:
        """Dimensions that hold words apart, with the one that brings profiles to unit length.

        Half of the width at most; 0 where that is too narrow, or where no weight asks for them.
        """
        most = min(self.words_width, self.width // 2)
        return most if most > 1 and any(self.words_weights) else 0

    @property
    def meaning_width(self) -> int:
        """Dimensions beside these."""
        return self.width - self.apart_width
