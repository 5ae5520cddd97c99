"""Parameters of profiles. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    device: Literal["cpu", "cuda", "auto"]
    """Where texts and pictures are encoded: on processors, on a CUDA device, or there if the machine has one. Vectors
    in float32 differ by less than 1e-5. Engine ray encodes on processors, and so does precision int8."""
    actor_cpus: int = Field(ge=1)
    """Engine ray: processors of one actor."""

    @model_validator(mode="after")
    def _one_place(self) -> "ProfilesParams":
        if self.engine == "ray" and self.device == "cuda":
            raise ValueError("engine ray encodes on processors: device must be cpu or auto")
        return self


SiteName = Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9_]{0,39}\z")]


class PrivacyParams(BaseModel):
    """Section `privacy`: noise in what is learned from all users together and stored as such in a release."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    epsilon: float | None = Field(ge=0.01, le=20)
    """ε of each publication of changed statistics, for a whole user; null: without noise."""
    delta: float = Field(gt=0, le=1e-5)
    """δ: choose it far below one divided by the number of users."""
    period_days: float = Field(ge=0, le=366)
    """A like counts from the end of the period in which it happened. Until then, releases repeat the earlier noisy
    statistics, which costs no ε. 0: it counts at once, so every release with new likes costs ε."""
    allow_exact: bool
    """Publish exact statistics after releases with noise. What is told of a user then has no bound; otherwise a
    workspace without ε publishes nothing there."""


class UsersParams(BaseModel):
    """Section `users`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ridge_lambda: float = Field(gt=0)
    """λ of ridge users, in units of squared profile length, for models without a λ of their own."""
    lambda_factors: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """Factors on ridge_lambda that validation tries for a head. The chosen λ is stored in the model."""
    prior_weight: float = Field(ge=0, le=100)
    """Weight of the prior of ridge users (`recsys/profiles/prior.py`), for models without a λ of their own: how much
    what is liked together says about the tastes of all users. 0: nothing, and nothing is stored."""
    prior_weights: tuple[Annotated[float, Field(ge=0, le=100)], ...] = Field(min_length=1)
    """Weights that validation tries for a head, with every λ. The chosen one is stored in the model."""
    site: SiteName | None
    """Name of this workspace among sites that share a catalogue but no users; `recsys gram export` needs it."""
    sites: tuple[str, ...]
    """Likes by item of the other sites, see docs/operations.md: paths within the workspace or addresses s3://… of files
    that `recsys gram export` or `recsys gram merge` wrote, under their names."""

    @property
    def lambdas(self) -> tuple[float, ...]:
        """Every λ to try."""
        return tuple(self.ridge_lambda * factor for factor in self.lambda_factors)

    @property
    def untrained(self) -> tuple[float, float]:
        """λ and prior of users before anything is trained."""
        return self.ridge_lambda, self.prior_weight

    def lambda_or(self, chosen: float | None) -> float:
        """The λ of a model; `ridge_lambda` where it has none."""
        return self.ridge_lambda if chosen is None else chosen

    def prior_or(self, chosen_lambda: float | None, chosen: float | None, privacy: PrivacyParams) -> float:
        """The weight of the prior in releases of a model; `prior_weight` where it has no λ either.

        Args:
            chosen_lambda: λ of the model; None: it has none.
            chosen: weight of the model; None: a model with a λ was chosen without a prior.
            privacy: section `privacy`.

        Returns:
            The weight. With noise it is 0: the prior is made of what single users like together, and has no noise.
        """
        if privacy.epsilon is not None:
            return 0.0
        return self.prior_weight if chosen_lambda is None else chosen or 0.0

    def tried_with(self, privacy: PrivacyParams) -> "UsersParams":
        """The section as models are chosen by it: without priors where releases have none, see `prior_or`."""
        if privacy.epsilon is None:
            return self
        return self.model_copy(update={"prior_weight": 0.0, "prior_weights": (0.0,)})
