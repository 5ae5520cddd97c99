"""User profiles in the space of the items: ridge regression with one Gram matrix for all users.

w = (XᵀX + λΣ⁻¹)⁻¹ b with b = Σ x over the distinct items that the user likes. X holds the profiles of items with likes,
never of items that nobody could have clicked yet. b is computed from the history on demand, so a changed text rewrites
no user. Σ is the prior of all users, I where there is none (`recsys/profiles/prior.py`).

Where the leading dimensions of profiles hold words, a user is the plain sum there, w = b / λ, and ridge regression uses
the other dimensions only. Over both it would remove from the words what the other dimensions explain, and what all
items share changes over time. The first of these dimensions completes unit length; users have 0 there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.completion import n_completing

# Shape suffixes: U users, I items, D dimension.


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with the Gram matrix that all users share."""

    gram: NDArray[np.float64]
    """[D, D], XᵀX."""
    ridge_lambda: float
    """λ > 0, in units of squared profile length."""
    lexical_width: int = 0
    """Number of leading dimensions that it leaves out, see `recsys.heads.reference.HeadReference.lexical_width`."""
    prior_RD: NDArray[np.float32] | None = None
    """Rows of the prior, orthogonal to each other: Σ = I + rowsᵀ rows, see `recsys.profiles.prior`. None: Σ = I."""

    @cached_property
    def _factor(self) -> NDArray[np.floating]:
        metric_DD = self.gram.copy()
        metric_DD[: self.lexical_width] = metric_DD[:, : self.lexical_width] = 0
        metric_DD += self.ridge_lambda * np.eye(len(metric_DD))
        if self.prior_RD is not None:  # Σ⁻¹ = I - Σ r rᵀ / (1 + |r|²) over the rows
            rows_RD = self.prior_RD.astype(np.float64)
            rows_RD /= np.sqrt(1 + (rows_RD**2).sum(axis=1, keepdims=True))
            metric_DD -= self.ridge_lambda * (rows_RD.T @ rows_RD)
        factor_DD = np.linalg.cholesky(metric_DD)
        return np.asfortranarray(factor_DD)  # LAPACK would copy it for every user

    @cached_property
    def _inverse(self) -> NDArray[np.floating]:
        """Of the matrix whose factor `_factor` is. Half of it is read for a user, once; the factor, twice."""
        from scipy.linalg.lapack import dpotri

        inverse_DD, _ = dpotri(self._factor, lower=1)
        return np.asfortranarray(inverse_DD)

    def weights(self, b_UD: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute user profiles from sums of item profiles.

        Args:
            b_UD: Σ x over each user's items.

        Returns:
            w_UD; the score of an item is w · x. A zero row stays zero.

        Raises:
            ValueError: b_UD is not [U, D] for this Gram matrix, or holds a number that is not finite.
        """
        from scipy.linalg import cho_solve
        from scipy.linalg.blas import dsymv

        if b_UD.ndim != 2 or b_UD.shape[1] != len(self.gram):
            raise ValueError(f"b must be [U, {len(self.gram)}], got {list(b_UD.shape)}")
        if not np.isfinite(b_UD).all():
            raise ValueError("b holds a number that is not finite")
        b_DU = b_UD.T.astype(np.float64)
        if len(b_UD) == 1:  # a service asks for one user at a time: several times faster than `cho_solve`
            solved_DU = dsymv(1.0, self._inverse, b_DU[:, 0], lower=1)[:, None]
        else:
            solved_DU = cho_solve((self._factor, True), b_DU, check_finite=False)
        solved_DU[: n_completing(self.lexical_width)] = 0
        return np.ascontiguousarray(solved_DU.T, dtype=np.float32)

    def deviations(self, vectors_ID: NDArray[np.floating]) -> NDArray[np.float64]:
        """How uncertain the scores of items are: √(xᵀ (XᵀX + λΣ⁻¹)⁻¹ x), the same for all users.

        Times σ this is the standard deviation of w · x, where the users' profiles are read as the means of a Bayesian
        linear regression whose targets have the standard deviation σ.

        Args:
            vectors_ID: item profiles.

        Returns:
            One number per item, larger for items that are unlike those of X.
        """
        from scipy.linalg import solve_triangular

        profile_DI = vectors_ID.T.astype(np.float64)
        profile_DI[: n_completing(self.lexical_width)] = 0
        return np.asarray(np.linalg.norm(solve_triangular(self._factor, profile_DI, lower=True), axis=0))
