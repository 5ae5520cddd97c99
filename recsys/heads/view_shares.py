"""How much each part of a head contributes to an item's profile: exact words, the vector of the text, and each view.

Before it is scaled to unit length, a profile is the sum of what the parts of the kernel add: p = sum of p_v. The share
of part v is <p_v, p> / <p, p>. Shares sum to 1; one is below 0 where a part points away from the rest. They follow from
the parts' kernels and q = P p, with P the head's matrix, because <p_v, p> = k_v · q. In a centred head every part is
what it adds to the mean of the landmarks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.features.views import Views
from recsys.heads.kernel_head import BLOCK_ROWS, KernelHead
from recsys.heads.view_kernels import Rows, evidence

# Shape suffixes: N items, B items of a block, P parts, V terms, M landmarks, L width of the base
# encoder, D width of a profile.
WORDS, TEXT = "words", "text"
"""Parts beside the views: exact words, and the vectors of the base encoder."""


def parts_of(views: Iterable[str]) -> tuple[str, ...]:
    """Names of the parts that may contribute to profiles of a head that joins these views."""
    return (WORDS, TEXT, *sorted(views))


def view_shares(
    head: KernelHead,
    texts: Sequence[str],
    vectors_NL: NDArray[np.float32],
    views: Views,
    profiles_ND: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Shares of the parts in the profiles of some items.

    Args:
        head: one that joins views. The constant of a centred head counts for no part.
        texts: N texts.
        vectors_NL: their unit vectors by the base encoder.
        views: of the same items.
        profiles_ND: what the head made of them.

    Returns:
        [N, P], in the order of `parts_of`; 0 for a view that an item lacks.
    """
    parts = parts_of(head.views)
    words_NV, rows = csr_array(head.kernel.lexical.encode(texts)), evidence(head.views, views)
    first, apart = head.lexical_width, head.words.share if head.words else 0.0
    shares_NP = np.zeros((len(texts), len(parts)), np.float32)
    for start in range(0, len(texts), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        unit_BD = profiles_ND[part, first : first + head.projection_MD.shape[1]]
        weights_BM = unit_BD @ head.projection_MD.T
        rows_B = {name: rows_N[part] for name, rows_N in rows.items()}
        found = dict(_products(head, words_NV[part], vectors_NL[part], rows_B, unit_BD, weights_BM))
        whole_B = np.sum(list(found.values()), axis=0)
        whole_B[whole_B == 0] = np.inf  # an item of which nothing is known: no part has a share
        for place, name in enumerate(parts):
            if name in found:
                shares_NP[part, place] = (1 - apart) * found[name] / whole_B
    has_text_N = vectors_NL.any(axis=1)
    shares_NP[has_text_N, 0] += apart  # separate words have this share of the length
    shares_NP[~has_text_N] /= 1 - apart
    return shares_NP


def _products(
    head: KernelHead,
    words_BV: csr_array,
    vectors_BL: NDArray[np.float32],
    rows_B: Mapping[str, Rows],
    unit_BD: NDArray[np.float32],
    weights_BM: NDArray[np.float32],
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each part's weighted kernel times the weights of the landmarks, row by row."""
    share, by_term = head.kernel.lexical_share, csr_array(head.words_MV.T)
    mean_words_B, mean_text_B = _means(head, unit_BD, weights_BM)
    has_text_B = vectors_BL.any(axis=1)
    shared_BM = csr_array(words_BV @ by_term)
    words_B = share * np.asarray(shared_BM.multiply(weights_BM).sum(axis=1)).ravel()
    yield WORDS, words_B - has_text_B * mean_words_B
    meaning = replace(head.kernel, lexical_share=0.0)
    alike_BM = meaning.compare(words_BV, vectors_BL, by_term, head.vectors_ML)
    text_B = (1 - share) * np.einsum("bm,bm->b", alike_BM, weights_BM, dtype=np.float64)
    yield TEXT, text_B - has_text_B * mean_text_B
    for name, rows in rows_B.items():
        kernel = head.views[name]
        yield name, kernel.weight * np.einsum("bm,bm->b", kernel.compare(rows), weights_BM)


def _means(
    head: KernelHead, unit_BD: NDArray[np.float32], weights_BM: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the means of the landmarks' words and of their vectors add to <p_v, p>; 0 where none is subtracted."""
    if head.mean_D is None:
        nothing_B = np.zeros(len(unit_BD))
        return nothing_B, nothing_B
    both_B = unit_BD.astype(np.float64) @ head.mean_D
    words_B = head.kernel.lexical_share * (weights_BM.astype(np.float64) @ head.mean_words_M)
    return words_B, both_B - words_B
