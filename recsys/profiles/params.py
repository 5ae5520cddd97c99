"""What steers profiles. Values live in params.yaml."""

from typing import Literal

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
    """λ of the ridge, in units of squared profile length."""
