"""Parameters of evaluation. Values live in params.yaml."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys.baselines.params import RivalName


class EvaluateParams(BaseModel):
    """Section `evaluate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    k: int = Field(ge=1)
    """Cutoff of the headline metrics."""
    max_users: int = Field(ge=1)
    """The most test users; a sample where there are more."""
    head_share: float = Field(gt=0, lt=1)
    """Share of the warm candidates that forms the slice `head`: those with the most users before the cut."""
    short_history: int = Field(ge=1)
    """Users who like at most this many items before the cut are the group `short histories`, all others `long
    histories`; their mixed lists are judged separately too."""
    groups: str
    """CSV file with the columns user (a pseudonym) and group, relative to the workspace: the mixed lists of each group
    are judged separately. Only evaluation reads it. Empty: there is none."""
    min_group_users: int = Field(ge=2)
    """Groups with fewer test users are not judged."""
    low_grade: float = Field(ge=0, lt=1)
    """A like with a value among this lowest share of the values of its event counts as a dislike in regret@k."""
    robustness: tuple[Literal["typos", "cut", "stuffed"], ...]
    """Cold items are also ranked by perturbed texts: with typing errors, cut in half, or (a tenth of the items) with
    popular words put in front. Empty: by none. Each kind makes champion and challenger encode the items once more."""
    robustness_items: int = Field(ge=2)
    """The most cold items of these lists; a sample where there are more."""
    bootstrap_rounds: int = Field(ge=100)
    """Resamples of a paired interval."""
    rivals: tuple[RivalName, ...]
    """Baselines that are learned over the champion's profiles and judged for comparison; they decide nothing. Any of
    `rbf_ridge`, `als_map`, `ease_prior`, `two_tower`, `blend`."""
    seed: int
    """Seed of sampling and bootstrap."""

    @field_validator("rivals")
    @classmethod
    def _distinct(cls, rivals: tuple[RivalName, ...]) -> tuple[RivalName, ...]:
        if len(set(rivals)) < len(rivals):
            raise ValueError(f"each rival may be named once, got {', '.join(rivals)}")
        return rivals
