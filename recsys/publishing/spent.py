"""What releases with noise have told of a user so far, all together."""

import math

from pydantic import BaseModel, ConfigDict, Field

from recsys.profiles.privacy import epsilon_of, noise_scale
from recsys.profiles.users_summary import Guarantee


class ReleasedPrivacy(BaseModel):
    """What the shared statistics of all users tell of one of them at most, see `recsys/profiles/privacy.py`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guarantee: Guarantee
    """Of this release alone."""
    n_publications: int = Field(ge=1)
    """Statistics with noise of their own in this release and those before it."""
    mu: float = Field(gt=0, allow_inf_nan=False)
    """Of all of them together, in Gaussian differential privacy."""

    @property
    def epsilon_so_far(self) -> float:
        """ε of all of them together, at the δ of this release."""
        return epsilon_of(self.mu, self.guarantee.delta)

    @classmethod
    def after(cls, guarantee: Guarantee | None, before: "ReleasedPrivacy | None") -> "ReleasedPrivacy | None":
        """Account for a release.

        Args:
            guarantee: of its statistics; None: they have no noise.
            before: of the release before it; None: that has none.

        Returns:
            None without noise. The same statistics as before cost nothing.
        """
        if guarantee is None or (before and before.guarantee == guarantee):
            return before if guarantee else None
        mu = 1 / noise_scale(guarantee.epsilon, guarantee.delta)
        return cls(
            guarantee=guarantee,
            n_publications=1 + (before.n_publications if before else 0),
            mu=math.hypot(mu, before.mu if before else 0.0),
        )
