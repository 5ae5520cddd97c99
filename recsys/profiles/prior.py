"""What users' tastes have in common: the prior of ridge users, estimated from what is liked together.

Ridge regression is the posterior mean of a Bayesian linear regression whose weights w have the prior N(0, σ²/λ · I): a
user may like anything as well as anything else. The tastes of other users say more. Those who like one thing often like
certain others, so some directions of the profiles' space vary much between users, and most hardly. The covariance is

    Σ = I + a · D / tr(ZᵀZ) · (ZᵀZ - XᵀX)⁺,    z_u = c_u · Σ x / √n over the items that user u likes

with n the sum of c_u² over the users who like an item, X the profiles of these items, and D the number of dimensions.
ZᵀZ is XᵀCX with C the cosines between items by the users who like them (Sarwar et al. 2001). Its diagonal, where every
item is liked together with itself, is XᵀX; without it, the sum says nothing where nobody likes two things. (·)⁺ keeps
the `RANK` largest eigenvalues above 0. `a` is the prior weight; 0 is plain ridge regression.

A user counts by the pairs of liked items, so by the square of the likes: one crawler could outweigh a whole shop. So
c_u = min(1, m / likes of u), with m the number of likes that the share `USUAL` of the users do not exceed. Whoever
likes more counts as if it were m items.

Estimating a prior from the data that it serves is empirical Bayes (Efron & Morris 1973). A sample of users is enough.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recsys.catalogue.pseudonyms import PSEUDONYM_FORM

# Shape suffixes: U users, I items, S chosen items, D dimensions, R directions of the prior.
PRIOR_VERSION = 2
"""Raise it when the same likes and profiles would give another prior."""
RANK = 128
MAX_USERS = 4000
MAX_ITEMS = 4000
"""Those with the most users of the sample: they bound the work, D² times both."""
ROUNDING = 1e-9
"""Smaller eigenvalues, as a share of the trace, are rounding errors."""
USUAL = 0.95
"""Share of users who count in full. On validation folds of MovieLens .75 to 1 differ by .0015 at most."""
MIN_USERS = 50
"""What fewer users like together is too much by chance."""


def sample_users(users: Sequence[str]) -> NDArray[np.int64]:
    """Choose at most MAX_USERS users, whatever the order of their names; new users change few of them.

    Args:
        users: distinct names.

    Returns:
        Their places. Where there are more users these are the first in the alphabet: pseudonyms are keyed hashes, so
        they are drawn at random. Other names are hashed for that.
    """
    if len(users) <= MAX_USERS:
        return np.arange(len(users))
    names = [user if PSEUDONYM_FORM.fullmatch(user) else _hashed(user) for user in users]
    return np.array(sorted(range(len(users)), key=names.__getitem__)[:MAX_USERS], np.int64)


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def learn_prior(
    likes_UI: csr_array, vectors_of: Callable[[NDArray[np.int64]], NDArray[np.floating]], first: int = 0
) -> NDArray[np.float32] | None:
    """Learn the prior with weight 1.

    Args:
        likes_UI: 1 for each like of a sample of users.
        vectors_of: from ascending columns of it to their unit profiles.
        first: number of leading dimensions of profiles that ridge regression leaves out, and the prior with it.

    Returns:
        rows_RD, orthogonal to each other, with Σ = I + rowsᵀ rows; None where too few users like several of the items.
    """
    likes_UI = likes_UI[np.diff(likes_UI.indptr) > 1]
    n_users_I = np.bincount(likes_UI.indices, minlength=likes_UI.shape[1])
    chosen = np.sort(np.argsort(-n_users_I, kind="stable")[:MAX_ITEMS])
    chosen = chosen[n_users_I[chosen] > 0]
    if likes_UI.shape[0] < MIN_USERS:
        return None
    profiles_SD = vectors_of(chosen).astype(np.float64)[:, first:]
    tastes_UD = _damped(likes_UI, chosen) @ profiles_SD
    together_DD = tastes_UD.T @ tastes_UD
    length = np.trace(together_DD)
    together_DD -= profiles_SD.T @ profiles_SD
    values_R, directions_DR = _largest(together_DD)
    real = values_R > ROUNDING * length
    if not real.any():
        return None
    values_R, directions_DR = values_R[real], directions_DR[:, real]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that runs give the same bytes.
    directions_DR *= np.sign(directions_DR[np.abs(directions_DR).argmax(axis=0), np.arange(len(values_R))])
    rows_RD = (directions_DR * np.sqrt(values_R * len(together_DD) / length)).T
    return np.ascontiguousarray(np.pad(rows_RD, ((0, 0), (first, 0))), np.float32)


def _damped(likes_UI: csr_array, chosen: NDArray[np.int64]) -> csr_array:
    """c_u / √n of each like of the chosen items, [U, S]; their columns have length 1."""
    n_items_U = np.diff(likes_UI.indptr)
    counts_U = np.minimum(1, np.quantile(n_items_U, USUAL) / n_items_U)
    counted_US = diags_array(counts_U) @ csr_array(likes_UI[:, chosen])
    lengths_S = np.sqrt(counted_US.power(2).sum(axis=0))
    return csr_array(counted_US @ diags_array(1 / lengths_S))


def prior_among(
    users: Sequence[str],
    likes_UI: csr_array,
    vectors_of: Callable[[NDArray[np.int64]], NDArray[np.floating]],
    weight: float,
    first: int = 0,
) -> NDArray[np.float32] | None:
    """The prior of users, from a sample of them; as a release has it.

    Args:
        users: names of the rows.
        likes_UI: 1 for each like.
        vectors_of: see `learn_prior`.
        weight: of the prior; 0: there is none.
        first: see `learn_prior`.

    Returns:
        rows_RD with this weight; None where there is no prior.
    """
    if weight == 0:
        return None
    return weighed(learn_prior(csr_array(likes_UI[sample_users(users)]), vectors_of, first), weight)


def weighed(rows_RD: NDArray[np.float32] | None, weight: float) -> NDArray[np.float32] | None:
    """The prior with another weight.

    Args:
        rows_RD: the prior with weight 1; None: there is none.
        weight: >= 0.

    Returns:
        The rows; None where the weight is 0 too.
    """
    return None if rows_RD is None or weight == 0 else rows_RD * np.float32(np.sqrt(weight))


def _largest(matrix_DD: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The RANK largest eigenvalues of a symmetric matrix, largest first, with their eigenvectors in columns."""
    from scipy.linalg import eigh

    n = len(matrix_DD)
    values_R, vectors_DR = eigh(matrix_DD, subset_by_index=(max(0, n - RANK), n - 1))
    return values_R[::-1], vectors_DR[:, ::-1]
