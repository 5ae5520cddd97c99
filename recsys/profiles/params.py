"""Parameters of profiles. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ProfilesParams(BaseModel):
    """Section `profiles`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    roles: tuple[Literal["champion", "challenger"], ...]
    """Models that get profiles; the matrix of DVC's stage."""
    chunk_texts: int = Field(gt=0)
    """Texts per cache file. A killed run continues after the last full chunk."""
    engine: Literal["local", "ray"]
    """Where texts are encoded and a head makes profiles, with the same results: in this process, or on the Ray cluster
    that this machine has joined (`RAY_ADDRESS`; where that is not set, on one of this machine alone)."""
    actor_cpus: int = Field(ge=1)
    """Engine ray: processors of one actor."""


class UsersParams(BaseModel):
    """Section `users`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ridge_lambda: float = Field(gt=0)
    """λ of ridge users, in units of squared profile length, for models without a λ of their own."""
    lambda_factors: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """Factors on ridge_lambda that validation tries for a head. The chosen λ is stored in the model."""

    @property
    def lambdas(self) -> tuple[float, ...]:
        """Every λ to try."""
        return tuple(self.ridge_lambda * factor for factor in self.lambda_factors)

    def lambda_or(self, chosen: float | None) -> float:
        """The λ of a model; `ridge_lambda` where it has none."""
        return self.ridge_lambda if chosen is None else chosen
