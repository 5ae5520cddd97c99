"""What releases with noise have told of a user so far, all together."""

import math

from pydantic import BaseModel, ConfigDict, Field

from recsys.profiles.privacy import epsilon_of, noise_scale
from recsys.profiles.users_summary import Guarantee


class ReleasedPrivacy(BaseModel):
    """What the shared statistics of all users tell of one of them at most, see `recsys/profiles/privacy.py`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guarantee: Guarantee | None = None
    """Of this release alone; None: it has no noise, but releases before it have. What it tells has no bound."""
    n_publications: int = Field(ge=1)
    """Statistics with noise of their own in this release and those before it."""
    mu: float = Field(gt=0, allow_inf_nan=False)
    """Of all of them together, in Gaussian differential privacy."""

    @property
    def epsilon_so_far(self) -> float | None:
        """ε of all of them together, at the δ of this release; None where this release has no noise."""
        return epsilon_of(self.mu, self.guarantee.delta) if self.guarantee else None

    @classmethod
    def after(cls, guarantee: Guarantee | None, before: "ReleasedPrivacy | None") -> "ReleasedPrivacy | None":
        """Account for a release.

        Args:
            guarantee: of its statistics; None: they have no noise.
            before: of the release before it; None: none has had noise.

        Returns:
            None where neither has ever had noise. The same statistics as before cost nothing; what was told stays told
            where a release has no noise.
        """
        if guarantee is None:
            return before.model_copy(update={"guarantee": None}) if before else None
        if before and before.guarantee == guarantee:
            return before
        mu = 1 / noise_scale(guarantee.epsilon, guarantee.delta)
        return cls(
            guarantee=guarantee,
            n_publications=1 + (before.n_publications if before else 0),
            mu=math.hypot(mu, before.mu if before else 0.0),
        )
