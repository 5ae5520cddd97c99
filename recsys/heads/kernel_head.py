"""A kernel head: the vectors of a base encoder and the words of the text become one profile, in one space.

Two texts are compared by k(x, y) = a · cosine of TF-IDF + (1 - a) · exp(γ (cosine of the base encoder - 1)). A profile
is the row of k(text, landmark) over M landmarks, times a matrix [M, D], scaled to unit length. A head may also keep
separate dimensions for words, see `Words`. They come first, after one dimension that brings the whole to unit length.
Words and meaning thus share one space, and one inner product serves recommendation, similar items and search.

Paper: Williams & Seeger 2000 (Nyström landmarks). `learning.py` learns the matrix from interactions, `first_light.py`
from texts alone.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.reference import HEAD, TERMS
from recsys.encoders.tfidf import TfidfEncoder
from recsys.errors import EncoderError
from recsys.features.views import NO_VIEWS, Views, check_rows
from recsys.storage.arrays import read_arrays, shared
from recsys.storage.atomic import write_whole

# Shape suffixes: N texts, L width of the base encoder, M landmarks, V terms, D directions, W dimensions of words.
Real = TypeVar("Real", np.float32, np.float64)
HEAD_VERSION = 4
"""Version 4 adds centring; version 3 adds separate words and the constant. A head is written in the oldest version that
can express it. Version 1 is read like version 2."""
ARRAYS = ("idf", "words_data", "words_indices", "words_indptr", "vectors", "projection")
"""Arrays of head.npz. A file with further arrays is refused."""
MAX_CHARACTERS = 16
"""Longest character n-gram."""
WORDS = "words_projection"
"""A further array in version 3."""
MEAN = "mean"
"""A further array in version 4."""
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
            vectors_NL: their unit vectors by the base encoder.
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
        """Put the words in front of the other dimensions, and before both what is missing to unit length.

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
    """A last coordinate, the same for every text, added before scaling to unit length; 0: none. Without it a text that
    resembles few landmarks would be stretched until it looks as similar to them as other texts do."""
    mean_D: NDArray[np.float32] | None = None
    """Mean of the landmarks' coordinates, subtracted from those of every text. The constant then comes first, in a
    dimension where users are 0, so nothing is learned from what all items share. None: nothing is subtracted, and the
    constant comes last. Never together with `words`."""
    folder: Path | None = None
    """Where it was loaded from; the same numbers in float64 are mapped from files there, if they are needed."""

    @property
    def dim(self) -> int:
        """Width of a profile."""
        has_last = self.mean_D is None and self.constant > 0
        return self.lexical_width + int(self.projection_MD.shape[1]) + has_last

    @property
    def lexical_width(self) -> int:
        """Number of leading dimensions that ridge regression leaves out, see `recsys.profiles.users`.

        They are the W dimensions of words and the one that completes unit length; of a centred head only the latter.
        """
        n_words = 0 if self.words is None else int(self.words.projection_MW.shape[1])
        return 0 if self.words is None and self.mean_D is None else 1 + n_words

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
            vectors_NL: their unit vectors by the base encoder.
            views: further evidence about the same N items. Views that the head does not know are not used.
            as_queries: they are few words that look for items. Exact words then count at most QUERY_LEXICAL_SHARE: an
                item holds few of the words that people would ask for it by, and whoever searches has an index of words
                beside this.

        Returns:
            float32 [N, dim], unit rows. Each row depends on its text alone; of queries, which are computed in float32,
            but for rounding, a few millionths at most.

        Raises:
            EncoderError: a text resembles no landmark at all; names it.
        """
        n = len(texts)
        check_rows(views, n)
        words_NV = csr_array(self.kernel.lexical.encode(texts))
        profiles_ND = np.empty((n, self.dim), np.float32)
        kernel, mean_D = self._for_queries if as_queries else (self.kernel, self.mean_D)
        for start in range(0, n, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            raw_BD = self._raw(kernel, words_NV[part], vectors_NL[part], as_queries)
            block_BD = self._with_constant(raw_BD, mean_D)
            lengths_B1 = np.linalg.norm(block_BD, axis=1, keepdims=True)
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

    def prepare(self) -> None:
        """Compute what all queries need, so that processes forked afterwards share it."""
        _ = self._words_VM, self._for_queries
        self.kernel.lexical.encode(["words"])

    def _raw(
        self, kernel: Kernel, words_BV: csr_array, vectors_BL: NDArray[np.float32], as_queries: bool
    ) -> NDArray[np.float64]:
        """Coordinates of texts before anything is added or scaled. Half the bytes are read for queries."""
        if as_queries:
            compared = kernel.compare(words_BV, vectors_BL, self._words_VM, self.vectors_ML)
            return np.asarray(compared @ self.projection_MD, np.float64)
        vectors_ML, projection_MD = self._exact
        exact = kernel.compare(words_BV, vectors_BL.astype(np.float64), self._words_VM, vectors_ML)
        return np.asarray(exact @ projection_MD)

    def _with_constant(
        self, block_BD: NDArray[np.float64], mean_D: NDArray[np.floating] | None
    ) -> NDArray[np.float64]:
        """Add the constant: first where coordinates are centred, else last; nowhere where it is 0."""
        if mean_D is not None:
            return np.pad(block_BD - mean_D, ((0, 0), (1, 0)), constant_values=self.constant)
        return np.pad(block_BD, ((0, 0), (0, int(self.constant > 0))), constant_values=self.constant)

    @cached_property
    def _for_queries(self) -> tuple[Kernel, NDArray[np.floating] | None]:
        """The kernel with fewer exact words, and the mean of the landmarks' directions under it."""
        share, fewer = self.kernel.lexical_share, min(self.kernel.lexical_share, QUERY_LEXICAL_SHARE)
        kernel = replace(self.kernel, lexical_share=fewer)
        if self.mean_D is None or share in (fewer, 1):
            return kernel, self.mean_D
        # The mean is linear in the share: take the part of exact words out, and weigh both parts anew.
        words_M = np.asarray(self.words_MV @ self.words_MV.mean(axis=0)).ravel()
        by_words_D = np.zeros(self.projection_MD.shape[1])
        for start in range(0, len(words_M), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            by_words_D += words_M[part].astype(np.float64) @ self.projection_MD[part].astype(np.float64)
        by_meaning_D = (self.mean_D - share * by_words_D) / (1 - share)
        return kernel, fewer * by_words_D + (1 - fewer) * by_meaning_D

    @cached_property
    def _words_VM(self) -> csr_array:
        """The landmarks' words by term."""
        return csr_array(self.words_MV.T)

    @cached_property
    def _exact(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The landmarks' vectors and the matrix in float64.

        BLAS rounds a row differently at different places of a batch. Computed in float64 and rounded once, about one
        value in a billion differs between two batches, in its last bit; in float32 every third row did.
        """
        if self.folder is None:
            return self.vectors_ML.astype(np.float64), self.projection_MD.astype(np.float64)
        return (
            shared(self.folder / "vectors.float64.npy", self.vectors_ML, np.float64),
            shared(self.folder / "projection.float64.npy", self.projection_MD, np.float64),
        )

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write head.npz and head.json; the same head gives the same bytes."""
        lexical = self.kernel.lexical
        arrays = {
            "idf": lexical.idf_V.astype(np.float32, copy=False),
            "words_data": self.words_MV.data.astype(np.float32),
            "words_indices": self.words_MV.indices.astype(np.int32),
            "words_indptr": self.words_MV.indptr.astype(np.int64),
            "vectors": self.vectors_ML.astype(np.float32, copy=False),
            "projection": self.projection_MD.astype(np.float32, copy=False),
        }
        if self.words is not None:
            arrays[WORDS] = self.words.projection_MW
        if self.mean_D is not None:
            arrays[MEAN] = self.mean_D
        buffer = io.BytesIO()
        by_rows: dict[str, Any] = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        np.savez(buffer, **by_rows)
        plain = {
            "version": 4 if self.mean_D is not None else 3 if self.words or self.constant > 0 else 2,
            "lexical_share": self.kernel.lexical_share,
            "gamma": self.kernel.gamma,
            "characters": lexical.characters,
            "terms": list(lexical.terms),
        } | ({"words_share": self.words.share} if self.words else {})
        if self.constant > 0:
            plain["constant"] = self.constant
        if self.mean_D is not None:
            plain["centred"] = True
        write_whole(folder / HEAD, buffer.getvalue())
        write_whole(folder / TERMS, (json.dumps(plain, ensure_ascii=False) + "\n").encode())
        return folder / HEAD, folder / TERMS

    @classmethod
    def load(cls, folder: Path) -> "KernelHead":
        """Read what `save` wrote.

        Args:
            folder: a packed head's.

        Returns:
            The head.

        Raises:
            EncoderError: a file is missing or damaged, or was written by a newer version.
        """
        try:
            plain: dict[str, Any] = json.loads((folder / TERMS).read_text(encoding="utf-8"))
            if plain["version"] > HEAD_VERSION:
                raise EncoderError(
                    f"{folder / TERMS} is of version {plain['version']}, newest known is {HEAD_VERSION}",
                    remedy="update Firstlight",
                )
            more = [name for name, key in ((WORDS, "words_share"), (MEAN, "centred")) if key in plain]
            head = cls._of(plain, read_arrays(folder / HEAD, (*ARRAYS, *more)))
        except (OSError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise EncoderError(
                f"{folder} has no readable head: {error}",
                remedy=f"delete {folder} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error
        return replace(
            head,
            folder=folder,
            vectors_ML=shared(folder / "vectors.float32.npy", head.vectors_ML, np.float32),
            projection_MD=shared(folder / "projection.float32.npy", head.projection_MD, np.float32),
        )

    @classmethod
    def _of(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "KernelHead":
        """Build a head from both files; ValueError where they do not fit together or hold a non-finite number."""
        terms, characters = plain["terms"], plain["characters"]
        vectors_ML, projection_MD, idf_V = arrays["vectors"], arrays["projection"], arrays["idf"]
        n, n_terms = len(vectors_ML), len(terms)
        if not all(isinstance(term, str) for term in terms) or len(set(terms)) != n_terms:
            raise ValueError(f"{TERMS} names a term twice, or one that is no text")
        if characters is not None and not 1 <= characters[0] <= characters[1] <= MAX_CHARACTERS:
            raise ValueError(f"{TERMS} has character n-grams of {characters}")
        shapes = (vectors_ML.ndim, projection_MD.ndim, len(projection_MD), idf_V.shape)
        words = Words(arrays[WORDS], float(plain["words_share"])) if WORDS in arrays else None
        fits = words is None or (words.projection_MW.ndim == 2 and len(words.projection_MW) == n)
        mean_D = arrays.get(MEAN)
        fits &= mean_D is None or (words is None and mean_D.shape == projection_MD.shape[1:])
        if shapes != (2, 2, n, (n_terms,)) or not fits:
            raise ValueError(f"{HEAD} holds arrays that do not fit {n} landmarks and {n_terms} terms")
        if words is not None and not 0 < words.share < 1:
            raise ValueError(f"{TERMS} has words_share {words.share}")
        for name in arrays.keys() - {"words_indices", "words_indptr"}:
            if arrays[name].dtype != np.float32 or not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} in {HEAD} is not of finite float32 numbers")
        words_MV = csr_array(
            (arrays["words_data"], arrays["words_indices"], arrays["words_indptr"]), shape=(n, n_terms)
        )
        words_MV.check_format(full_check=True)  # an index out of bounds would read foreign memory
        lexical = TfidfEncoder(terms, idf_V, (characters[0], characters[1]) if characters else None)
        kernel = Kernel(lexical, float(plain["lexical_share"]), float(plain["gamma"]))
        if not (0 <= kernel.lexical_share <= 1 and 0 <= kernel.gamma < np.inf):
            raise ValueError(f"{TERMS} has lexical_share {kernel.lexical_share} and gamma {kernel.gamma}")
        constant = float(plain.get("constant", 0))
        if not 0 <= constant < np.inf:
            raise ValueError(f"{TERMS} has a constant of {constant}")
        return cls(kernel, words_MV, vectors_ML, projection_MD, words, constant, mean_D)
