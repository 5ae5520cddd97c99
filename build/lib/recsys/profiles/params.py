"""What steers profiles. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ProfilesParams(BaseModel):
    """Section `profiles`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    roles: tuple[Literal["champion", "challenger"], ...]
    """Encoders that get profiles; DVC's matrix."""
    chunk_texts: int = Field(gt=0)
    """Texts per cache file: a killed first encode resumes after the last full chunk."""


class UsersParams(BaseModel):
    """Section `users`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ridge_lambda: float = Field(gt=0)
    """λ of the ridge, in units of squared profile length; holds for models that brought none of their own."""
    lambda_factors: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """Times ridge_lambda: what is tried for a head; the λ that validation chooses goes with the model."""

    @property
    def lambdas(self) -> tuple[float, ...]:
        """Every λ that is tried."""
        return tuple(self.ridge_lambda * factor for factor in self.lambda_factors)

    def lambda_or(self, chosen: float | None) -> float:
        """The λ that was chosen with a model; `ridge_lambda` where none was."""
        return self.ridge_lambda if chosen is None else chosen
