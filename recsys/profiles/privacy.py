"""Which items users like, differentially private: bounded sums with Gaussian noise, and an accountant.

What all users share is XᵀX over the items that somebody likes (`recsys/profiles/ridge.py`). Profiles come from the
catalogue, so this matrix knows of users which items are in X, and nothing else. That is what gets noise: one sum per
item. The matrix is computed from the noisy sums, so it is symmetric and positive semi-definite, and costs no more.
Noise on the matrix itself would have to hide a whole profile of every item that a user alone likes, in D² numbers.

Sensitivity. A user with k liked items adds a/√k to the sum of each, rounded down to a multiple of UNIT, and b to the
number of users, where a² + b² = 1. So a user adds a vector of length at most 1, and no other user's vector depends on
it: with or without one user, whatever they did, all sums together differ by at most 1 in L2 norm.

Noise. N(0, σ²) on every sum and on the number of users, for every item of the catalogue, liked or not. That is one
Gaussian mechanism of sensitivity 1: μ = 1/σ in Gaussian differential privacy (Dong, Roth & Su 2022, JRSS B 84(1)). Its
exact δ for any ε is that of Balle & Wang 2018 (ICML), and n mechanisms compose, exactly, to √n μ. Both need the normal
distribution alone: Google's dp-accounting gives the same numbers, and would hold attrs below 24.

The noise of an item follows from a secret, the period, all bounded sums and the item's id. So the same interactions
have the same noise in all releases of a period, and averaging them takes nothing away; other sums have other noise.
Anyone who has the secret can remove the noise. Two noises within one period reveal that an event came late or was
withdrawn, though not which. Noisy sums are rounded to multiples of UNIT, which hides the last bits of float64
(Mironov 2012, CCS).
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# Shape suffixes: P pairs of a user and a liked item, U users, I items.
UNIT = 2.0**-20
"""Sums are whole multiples of it, so they are exact in any order."""
N_USERS_SHARE = 0.01
"""b²: the number of users, a² + b² = 1."""
FALSE_SHARE_AT = 2.0
"""An item is in X if its noisy sum reaches so many σ: of the items that nobody likes 2.3 % do."""
VERSION = 1
"""Raise it when the same interactions get other sums or other noise."""
_OF_N_USERS, _OF_ITEM, _OF_NAME = b"n", b"i", b"s"


@dataclass(frozen=True)
class NoisySums:
    """How much users like each item, with noise. It may be published: the guarantee is (ε, δ) of the noise."""

    sums_I: NDArray[np.int64]
    """In units of UNIT, in the order of the given items."""
    n_users: int
    """Estimated number of users, at least 0."""
    digest: str
    """16 hex digits that name these sums and their noise. Made with the secret: nobody else can test a guess by it."""


def noise_scale(epsilon: float, delta: float) -> float:
    """σ of the noise for sensitivity 1.

    Args:
        epsilon: ε > 0.
        delta: δ in (0, 1).

    Returns:
        The smallest σ that is (ε, δ)-differentially private.
    """
    from scipy.optimize import brentq

    return 1 / float(brentq(lambda mu: delta_of(mu, epsilon) - delta, 1e-6, 1e3, xtol=1e-12))


def delta_of(mu: float, epsilon: float) -> float:
    """δ of a Gaussian mechanism at ε, exact: Φ(μ/2 - ε/μ) - e^ε Φ(-μ/2 - ε/μ).

    Args:
        mu: sensitivity divided by σ; of several mechanisms the root of the sum of squares.
        epsilon: ε >= 0.

    Returns:
        δ.

    Source: Balle & Wang 2018, "Improving the Gaussian Mechanism", theorem 8.
    """
    from scipy.special import log_ndtr, ndtr

    lost = math.exp(min(epsilon + float(log_ndtr(-mu / 2 - epsilon / mu)), 0.0))  # e^ε alone may overflow
    return float(ndtr(mu / 2 - epsilon / mu)) - lost


def epsilon_of(mu: float, delta: float) -> float:
    """ε of a Gaussian mechanism at δ, the inverse of `delta_of`.

    Args:
        mu: as in `delta_of`.
        delta: δ in (0, 1).

    Returns:
        The smallest ε >= 0.
    """
    from scipy.optimize import brentq

    if mu == 0 or delta_of(mu, 0.0) <= delta:
        return 0.0
    highest = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta))  # what zero-concentrated privacy promises
    return float(brentq(lambda epsilon: delta_of(mu, epsilon) - delta, 0.0, highest, xtol=1e-9))


def noisy_sums(
    pairs: pa.Table, item_ids: pa.Array, sigma: float, secret: bytes, period: str = ""
) -> NoisySums:
    """Bounded sums of likes with noise.

    Args:
        pairs: `user` and `item_id`, each pair once.
        item_ids: every item of the catalogue; likes of others bound what a user adds, and have no sum.
        sigma: see `noise_scale`.
        secret: 16 to 64 bytes that no reader of the sums knows.
        period: another one has other noise. It may depend on when files landed, never on what users did.

    Returns:
        The sums.
    """
    users, liked = pairs["user"].combine_chunks().dictionary_encode(), pairs["item_id"].combine_chunks()
    user_P = np.asarray(users.indices.to_numpy(zero_copy_only=False), np.int64)
    n_likes_U = np.bincount(user_P, minlength=len(users.dictionary))
    added_U = np.floor(math.sqrt(1 - N_USERS_SHARE) / UNIT / np.sqrt(np.maximum(n_likes_U, 1)))
    added_P = pa.array(added_U.astype(np.int64)[user_P], pa.int64())
    sums = pa.table({"item": liked, "sum": added_P}).group_by("item").aggregate([("sum", "sum")])
    sums = sums.sort_by("item")
    seed = _seed(sums, f"{VERSION} {period} {len(users.dictionary)} {sigma!r}", secret)
    place = pc.index_in(item_ids, value_set=sums["item"].combine_chunks())
    exact_I = pc.fill_null(sums["sum_sum"].combine_chunks().take(place), 0).to_numpy(zero_copy_only=False)
    noise_I = _normal(seed, (_OF_ITEM + one.encode("utf-8", "surrogatepass") for one in item_ids.to_pylist()))
    n_users = len(users.dictionary) + _normal(seed, [_OF_N_USERS])[0] * sigma / math.sqrt(N_USERS_SHARE)
    return NoisySums(
        exact_I.astype(np.int64) + np.rint(noise_I * sigma / UNIT).astype(np.int64),
        max(0, round(n_users)),
        hashlib.blake2b(_OF_NAME, key=seed, digest_size=8).hexdigest(),
    )


def are_liked(sums_I: NDArray[np.int64], sigma: float) -> NDArray[np.bool_]:
    """Which items count as liked by somebody, from noisy sums; computed from what is public already.

    Args:
        sums_I: in units of UNIT; of several sites added up.
        sigma: of the noise in them; of several sites the root of the sum of squares.

    Returns:
        The mask.
    """
    return sums_I * UNIT >= FALSE_SHARE_AT * sigma


def _seed(sums: pa.Table, about: str, secret: bytes) -> bytes:
    """64 bytes that follow from everything that the noise must change with."""
    found = hashlib.sha256(about.encode())
    for one in sums["item"].to_pylist():
        encoded = one.encode("utf-8", "surrogatepass")
        found.update(len(encoded).to_bytes(8, "little") + encoded)
    found.update(sums["sum_sum"].combine_chunks().to_numpy(zero_copy_only=False).tobytes())
    return hashlib.blake2b(found.digest(), key=secret).digest()


def _normal(seed: bytes, names: Iterable[bytes]) -> NDArray[np.float64]:
    """One number of the standard normal distribution for each name, by a keyed hash and the inverse of Φ."""
    from scipy.special import ndtri

    hashes = b"".join(hashlib.blake2b(name, key=seed, digest_size=8).digest() for name in names)
    uniform = ((np.frombuffer(hashes, "<u8") >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.asarray(ndtri(uniform), np.float64)
