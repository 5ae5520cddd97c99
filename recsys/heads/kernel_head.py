"""A kernel head: the vectors of a base encoder and the words of the text become one profile, in one space.

Two texts are compared by k(x, y) = a · cosine of TF-IDF + (1 - a) · exp(γ (cosine of the base encoder - 1)). A profile
is the row of k(text, landmark) over M landmarks, times a matrix [M, D], scaled to unit length. Views of the items may
add to k, see `view_kernels.py`. A head may also keep separate dimensions for words, see `Words`. They come first, after
one dimension that brings the whole to unit length. Words and meaning thus share one space, and one inner product serves
recommendation, similar items and search.

Paper: Williams & Seeger 2000 (Nyström landmarks). `learning.py` learns the matrix from interactions, `from_texts.py`
without them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.tfidf import TfidfEncoder
from recsys.errors import EncoderError
from recsys.features.views import NO_VIEWS, Views, check_rows
from recsys.heads.query_kernel import QueryKernel
from recsys.heads.view_kernels import Rows, ViewKernel, add_views, evidence
from recsys.storage.arrays import shared

# Shape suffixes: N texts, L width of the base encoder, M landmarks, V terms, D directions, W dimensions of words.
Real = TypeVar("Real", np.float32, np.float64)
QUERY_LEXICAL_SHARE = 0.25
"""What first light gives exact words in short texts, as queries are. With an index of words beside it, none of .1, .25,
.4 and .8 was surely better on the queries of Cranfield."""
BLOCK_ROWS = 256
"""Texts processed at once; bounds memory."""


@dataclass(frozen=True)
class Kernel:
    """How alike two texts are, 0 to 1."""

    lexical: TfidfEncoder
    lexical_share: float
    """a."""
    gamma: float
    """γ."""

    def compare(
        self,
        words_NV: csr_array,
        vectors_NL: NDArray[Real],
        words_VM: csr_array,
        vectors_ML: NDArray[Real],
    ) -> NDArray[Real]:
        """Compare every text with every landmark.

        Args:
            words_NV: TF-IDF rows of the texts.
            vectors_NL: their unit vectors by the base encoder; zeros where there is no text.
            words_VM: TF-IDF of the landmarks, by terms.
            vectors_ML: their unit vectors.

        Returns:
            kernel_NM, of the vectors' precision.
        """
        kernel_NM: NDArray[Real] = vectors_NL @ vectors_ML.T
        kernel_NM -= 1
        kernel_NM *= self.gamma
        np.exp(kernel_NM, out=kernel_NM)
        kernel_NM *= 1 - self.lexical_share
        kernel_NM[~vectors_NL.any(axis=1)] = 0  # an item without text is unlike every text
        if self.lexical_share > 0:
            shared = csr_array(words_NV @ words_VM).tocoo()
            kernel_NM[shared.row, shared.col] += self.lexical_share * shared.data
        return kernel_NM


@dataclass(frozen=True)
class Words:
    """Separate dimensions for words: they approximate a text's TF-IDF row."""

    projection_MW: NDArray[np.float32]
    """Maps a text's TF-IDF cosines with the landmarks to vectors whose inner products approximate those of the TF-IDF
    rows. These vectors are not of unit length: a text with rare words gets a shorter one."""
    share: float
    """s, in (0, 1): the share of a profile's squared length that words have, if all words of the text are known."""

    def beside(self, cosines_NM: csr_array, unit_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        """Put the dimensions of words before the others, and before both one that completes unit length.

        Args:
            cosines_NM: TF-IDF cosines of the texts with the landmarks.
            unit_ND: the other dimensions, unit rows.

        Returns:
            [N, 1 + W + D], unit rows.
        """
        words_NW = np.sqrt(self.share) * np.asarray(cosines_NM @ self.projection_MW.astype(np.float64))
        left_N1 = np.sqrt(np.maximum(self.share - (words_NW**2).sum(axis=1, keepdims=True), 0))
        made = np.hstack([left_N1, words_NW, np.sqrt(1 - self.share) * unit_ND])
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


@dataclass(frozen=True)
class KernelHead:
    """Landmarks, and the matrix that maps a text's kernel row over them to a profile."""

    kernel: Kernel
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    """Vectors of the landmarks, unit rows. Those of a loaded head are mapped from a file that processes share."""
    projection_MD: NDArray[np.float32]
    """Maps a kernel row to a profile. That of a loaded head is mapped like the vectors."""
    words: Words | None = None
    """Separate dimensions for words; None: there are none."""
    constant: float = 0.0
    """A coordinate that is the same for every text, added before scaling to unit length; 0: none. Without it a text
    that resembles few landmarks would be stretched until it looks as similar to them as other texts do."""
    mean_D: NDArray[np.float32] | None = None
    """Mean of the landmarks' coordinates by their texts, subtracted from those of every text; views have means of their
    own. None: nothing is subtracted. Never together with `words`."""
    views: Mapping[str, ViewKernel] = field(default_factory=dict)
    """Kernels of views, by name, each with a weight above 0; they are added to that of the text."""
    constant_first: bool = False
    """Whether the constant comes first, in a dimension where users and queries are 0: texts that are nearly nothing but
    the constant would be near everything. In a centred head it always does; else, in heads from before, it comes last.
    Never together with `words`."""
    folder: Path | None = None
    """Where it was loaded from; the same numbers in float64 are mapped from files there, if they are needed."""

    @property
    def dim(self) -> int:
        """Width of a profile."""
        has_last = self.constant > 0 and not self._constant_leads
        return self.lexical_width + int(self.projection_MD.shape[1]) + has_last

    @property
    def lexical_width(self) -> int:
        """Number of leading dimensions that ridge regression leaves out, see `recsys.profiles.ridge`.

        They are the W dimensions of words and the one that completes unit length; without words only the latter, where
        the constant comes first.
        """
        n_words = 0 if self.words is None else int(self.words.projection_MW.shape[1])
        return 1 + n_words if self.words is not None or self._constant_leads else 0

    @property
    def base_dim(self) -> int:
        """L."""
        return int(self.vectors_ML.shape[1])

    def profiles(
        self,
        texts: Sequence[str],
        vectors_NL: NDArray[np.float32],
        views: Views = NO_VIEWS,
        *,
        as_queries: bool = False,
    ) -> NDArray[np.float32]:
        """Profiles of texts.

        Args:
            texts: N texts.
            vectors_NL: their unit vectors by the base encoder; zeros for an item without text, see `knows`.
            views: further evidence about the same N items. Views that the head does not know are not used; queries
                have none.
            as_queries: they are few words that look for items. Exact words then count at most QUERY_LEXICAL_SHARE: an
                item holds few of the words that people would ask for it by, and whoever searches has an index of words
                beside this.

        Returns:
            float32 [N, dim], unit rows. Each row depends on its item alone. Those of queries are a little less exact,
            see `QueryKernel.coordinates`.

        Raises:
            EncoderError: a text resembles no landmark at all; names it.
        """
        n = len(texts)
        check_rows(views, n)
        words_NV = csr_array(self.kernel.lexical.encode(texts))
        rows = {} if as_queries else evidence(self.views, views)
        profiles_ND = np.empty((n, self.dim), np.float32)
        mean_D = self._for_queries[1] if as_queries else self.mean_D
        for start in range(0, n, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            rows_B = {name: rows_N[part] for name, rows_N in rows.items()}
            if as_queries:
                raw_BD = self._for_queries[0].coordinates(words_NV, vectors_NL, range(n)[part])
            else:
                raw_BD = self._raw(words_NV[part], vectors_NL[part], rows_B)
            block_BD = self._with_constant(raw_BD, mean_D, np.asarray(vectors_NL[part].any(axis=1)))
            lengths_B1 = np.linalg.norm(block_BD, axis=1, keepdims=True)
            nothing_B = (lengths_B1[:, 0] == 0) & ~vectors_NL[part].any(axis=1)
            block_BD[nothing_B, :1], lengths_B1[nothing_B] = 1, 1
            if not (lengths_B1 > 0).all():  # NaN compares false
                text = texts[start + int(np.nan_to_num(lengths_B1).argmin())]
                raise EncoderError(
                    f"{text[:80]!r} resembles no landmark", remedy="train the challenger again"
                )
            block_BD /= lengths_B1
            if self.words is not None:
                block_BD = self.words.beside(csr_array(words_NV[part] @ self._words_VM), block_BD)
            profiles_ND[part] = block_BD
        return profiles_ND

    def knows(self, views: Views, n: int) -> NDArray[np.bool_]:
        """Whether the head's views say anything of items, which those without text need for a profile.

        Args:
            views: of the items.
            n: number of items.

        Returns:
            [n]. A profile of one that is False means nothing.
        """
        is_known_N = np.zeros(n, np.bool_)
        for name, rows_N in evidence(self.views, views).items():
            for start in range(0, n, BLOCK_ROWS):
                part = slice(start, start + BLOCK_ROWS)
                is_known_N[part] |= self.views[name].compare(rows_N[part]).any(axis=1)
        return is_known_N

    def prepare(self) -> None:
        """Compute what all queries need, so that processes forked afterwards share it."""
        self._for_queries[0].prepare()
        self.kernel.lexical.encode(["words"])

    def _raw(
        self, words_BV: csr_array, vectors_BL: NDArray[np.float32], rows_B: Mapping[str, Rows]
    ) -> NDArray[np.float64]:
        """Coordinates of items before anything is added or scaled."""
        vectors_ML, projection_MD = self._exact
        exact = self.kernel.compare(words_BV, vectors_BL.astype(np.float64), self._words_VM, vectors_ML)
        add_views(exact, self.views, rows_B)
        return np.asarray(exact @ projection_MD)

    def _with_constant(
        self,
        block_BD: NDArray[np.float64],
        mean_D: NDArray[np.floating] | None,
        has_text_B: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Take the mean away from texts, and add the constant."""
        if mean_D is not None:
            block_BD = block_BD - np.outer(has_text_B, mean_D)
        if not (self.constant or self._constant_leads):
            return block_BD
        constant_B1 = np.full((len(block_BD), 1), self.constant)
        return np.hstack([constant_B1, block_BD] if self._constant_leads else [block_BD, constant_B1])

    @property
    def _constant_leads(self) -> bool:
        """Whether the constant is the first coordinate."""
        return self.constant_first or self.mean_D is not None

    @cached_property
    def _for_queries(self) -> tuple[QueryKernel, NDArray[np.floating] | None]:
        """The kernel with fewer exact words, and the mean of the landmarks' directions under it."""
        share, fewer = self.kernel.lexical_share, min(self.kernel.lexical_share, QUERY_LEXICAL_SHARE)
        kernel = QueryKernel(fewer, self.kernel.gamma, self._words_VM, self.vectors_ML, self.projection_MD)
        if self.mean_D is None or share in (fewer, 1):
            return kernel, self.mean_D
        # The mean is linear in the share: take the part of exact words out, and weigh both parts anew.
        words_M = self.mean_words_M
        by_words_D = np.zeros(self.projection_MD.shape[1])
        for start in range(0, len(words_M), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            by_words_D += words_M[part].astype(np.float64) @ self.projection_MD[part].astype(np.float64)
        by_meaning_D = (self.mean_D - share * by_words_D) / (1 - share)
        return kernel, fewer * by_words_D + (1 - fewer) * by_meaning_D

    @property
    def mean_words_M(self) -> NDArray[np.float32]:
        """Mean of the landmarks' TF-IDF cosines with each of them."""
        return np.asarray(self.words_MV @ self.words_MV.mean(axis=0)).ravel()

    @cached_property
    def _words_VM(self) -> csr_array:
        """The landmarks' words by term."""
        return csr_array(self.words_MV.T)

    @cached_property
    def _exact(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The landmarks' vectors and the matrix, in float64.

        BLAS rounds a row differently depending on its place in a batch. In float32, every third row differs between two
        batches; computed in float64 and rounded once, about one value in a billion does, in its last bit.
        """
        if self.folder is None:
            return self.vectors_ML.astype(np.float64), self.projection_MD.astype(np.float64)
        return (
            shared(self.folder / "vectors.float64.npy", self.vectors_ML, np.float64),
            shared(self.folder / "projection.float64.npy", self.projection_MD, np.float64),
        )
