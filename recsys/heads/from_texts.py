"""Learn a head without users: from the texts of a catalogue, and from views whose weights are given.

Its directions are the leading principal components of the landmarks' centred kernel. Centring removes what all items
share: that tells nothing about taste, and changes as newer items arrive.

Papers: Schölkopf, Smola & Müller 1998 (kernel principal components); Williams & Seeger 2000 (Nyström landmarks).
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from recsys.encoders.analyzer import Analyzer
from recsys.encoders.params import FirstLightParams
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError
from recsys.features.text import FIELD_END
from recsys.heads.kernel_head import Kernel, KernelHead
from recsys.heads.view_kernels import ViewKernel, add_views, centred

# Shape suffixes: N texts, M landmarks, L width of the base encoder, V terms, D directions.
SMALLEST_EIGENVALUE = 1e-3
"""Smallest eigenvalue of the kernel (diagonal 1) that counts. Smaller ones come from nearly equal texts."""
FORGOTTEN_AT = 4
"""Texts held in memory at most, as a multiple of the wanted landmarks."""
NO_KERNELS: Mapping[str, ViewKernel] = MappingProxyType({})
Fit = Callable[[NDArray[np.int64]], Mapping[str, ViewKernel]]
"""Makes the weighted kernels of views over some items."""


def no_views(_: NDArray[np.int64]) -> Mapping[str, ViewKernel]:
    """For heads that read texts alone."""
    return NO_KERNELS


@dataclass(frozen=True)
class Landmarks:
    """Texts to learn from, by ascending hash. Neither the catalogue's order nor repeats matter."""

    texts: tuple[str, ...]
    digest: str
    """SHA-256 (hex) over their hashes."""
    n_texts: int
    """Distinct texts that they were chosen from."""


def choose_landmarks(texts: Iterable[str], most: int) -> Landmarks:
    """Choose the `most` texts with the smallest hashes, or all where there are fewer.

    Args:
        texts: of a catalogue; read once, empty ones are left out.
        most: the most landmarks.

    Returns:
        The landmarks.
    """
    kept: dict[bytes, str] = {}
    distinct: set[bytes] = set()
    for text in texts:
        if not text.strip():
            continue
        digest = hashlib.sha256(text.encode()).digest()
        distinct.add(digest)
        kept[digest] = text
        if len(kept) > FORGOTTEN_AT * most:
            kept = {one: kept[one] for one in sorted(kept)[:most]}
    chosen = sorted(kept)[:most]
    digest_of_all = hashlib.sha256(b"".join(chosen)).hexdigest()
    return Landmarks(tuple(kept[one] for one in chosen), digest_of_all, len(distinct))


def are_long(words_NV: csr_array | csr_matrix, params: FirstLightParams) -> bool:
    """Whether texts count as long, by their terms."""
    return bool(np.median(np.diff(words_NV.indptr)) >= params.long_from_terms)


def fit_words(
    texts: Sequence[str], params: FirstLightParams, analyzer: Analyzer | None = None
) -> TfidfEncoder:
    """Learn terms and their weights; fields are told apart where texts are long and have several.

    Args:
        texts: to learn from.
        params: section `first_light`.
        analyzer: see `fit_tfidf`.

    Returns:
        The fitted encoder.

    Raises:
        EncoderError: there is no term in any text.
    """
    bag = fit_tfidf(texts, analyzer)
    has_fields = params.field_terms > 0 and any(FIELD_END in text for text in texts)
    if not (has_fields and are_long(bag.encode(texts), params)):
        return bag
    return fit_tfidf(texts, bag.analyzer, params.field_terms)


def learn_from_texts(
    texts: Sequence[str],
    vectors_ML: NDArray[np.float32],
    lexical: TfidfEncoder,
    params: FirstLightParams,
    n_texts: int | None = None,
    views: Mapping[str, ViewKernel] = NO_KERNELS,
) -> KernelHead:
    """Learn a centred head whose directions are the leading principal components of the landmarks' kernel.

    With b the eigenvectors divided by the roots of their eigenvalues, a text's coordinates are
    (k - mean of the landmarks' k) @ (b - mean of b): its centred kernel row, without the mean of the row itself.

    Args:
        texts: the landmarks.
        vectors_ML: their unit vectors by the base encoder.
        lexical: fitted on them.
        params: section `first_light`.
        n_texts: different texts of the catalogue, which bound the width; None: the landmarks are all there are.
        views: kernels over the same landmarks, by name, not yet centred. Each is centred over the landmarks that have
            the view, so that to lack it is neither like nor unlike other items.

    Returns:
        The head.
    """
    from scipy.linalg import eigh

    words_MV, m = csr_array(lexical.encode(texts)), len(texts)
    is_long = lexical.longest_field is not None or are_long(words_MV, params)
    kernel = Kernel(lexical, params.lexical_shares[is_long], params.gamma)
    exact_ML, n_axes = vectors_ML.astype(np.float64), params.width_of(m if n_texts is None else n_texts) - 1
    kernel_MM = kernel.compare(words_MV, exact_ML, csr_array(words_MV.T), exact_ML)
    mean_M = kernel_MM.mean(axis=0)
    kernel_MM += mean_M.mean() - mean_M - mean_M[:, None]
    joined = {name: centred(one) for name, one in views.items()}
    add_views(kernel_MM, joined, {name: one.own_rows for name, one in joined.items()})
    values_D, axes_MD = eigh(kernel_MM, overwrite_a=True, subset_by_index=(max(0, m - n_axes), m - 1))
    real = np.flatnonzero(values_D > SMALLEST_EIGENVALUE)[::-1]  # largest first
    values_D, axes_MD = values_D[real], axes_MD[:, real]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that runs give the same profiles.
    axes_MD *= np.sign(axes_MD[np.abs(axes_MD).argmax(axis=0), np.arange(len(real))])
    projection_MD = axes_MD / np.sqrt(values_D)
    projection_MD = np.ascontiguousarray(projection_MD - projection_MD.mean(axis=0), np.float32)
    mean_D = (mean_M @ projection_MD).astype(np.float32)
    # A view adds its weight to the squared length of items that have it; those without it are stretched less.
    constant = params.constant * float(np.sqrt(1 + sum(one.weight for one in joined.values())))
    return KernelHead(kernel, words_MV, vectors_ML, projection_MD, None, constant, mean_D, joined)


def learn_over_vectors(
    texts: Sequence[str],
    vectors_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    params: FirstLightParams,
    fit: Fit = no_views,
) -> KernelHead | None:
    """Learn a head of first light from texts whose vectors exist already. Nothing is packed.

    Args:
        texts: of a catalogue.
        vectors_of: from places of texts to their unit vectors by the base encoder, [M, L]; asked for landmarks alone.
        params: section `first_light`.
        fit: makes the kernels of views over the landmarks; called with their rows. Of items with the same text, only
            the last one can be a landmark.

    Returns:
        The head; None where there are fewer than `params.min_items` different texts, or no words in them.
    """
    landmarks = choose_landmarks(texts, params.max_landmarks)
    if landmarks.n_texts < params.min_items:
        return None
    try:
        lexical = fit_words(landmarks.texts, params)
    except EncoderError:
        return None
    chosen = set(landmarks.texts)
    row_of = {text: row for row, text in enumerate(texts) if text in chosen}
    rows = np.array([row_of[text] for text in landmarks.texts])
    return learn_from_texts(landmarks.texts, vectors_of(rows), lexical, params, landmarks.n_texts, fit(rows))
