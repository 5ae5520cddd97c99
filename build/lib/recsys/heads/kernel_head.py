"""A kernel head: the vectors of a base encoder and the words of the text become one profile, in one space.

Two texts are compared by k(x, y) = a · cosine of TF-IDF + (1 - a) · exp(γ (cosine of the base encoder - 1)). A profile
is the text's comparison with M landmarks, times a matrix [M, D], at unit length. A head may hold words apart as well,
see `Words`: they stand before that, and a dimension before both brings the whole to unit length. Words and meaning join
in one space of stated width, so one inner product serves recommendation, similar items and search.

Papers: Williams & Seeger 2000 (Nyström landmarks); `recsys/heads` says how the matrix is learned from interactions,
`first_light.py` how without any.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.reference import HEAD, TERMS
from recsys.encoders.tfidf import TfidfEncoder, tfidf_of
from recsys.errors import EncoderError
from recsys.storage.arrays import read_arrays
from recsys.storage.atomic import write_whole

# Shape suffixes: N texts, L width of the base encoder, M landmarks, V terms, D directions, W dimensions of words.
Real = TypeVar("Real", np.float32, np.float64)
HEAD_VERSION = 3
"""3 holds words apart, or a constant; a head with neither is written as version 2, and 1 is read as 2 is."""
ARRAYS = ("idf", "words_data", "words_indices", "words_indptr", "vectors", "projection")
"""Of head.npz; one with others, such as texts that it remembers, was tried and is refused."""
MAX_CHARACTERS = 16
"""Longest character n-gram."""
WORDS = "words_projection"
"""Beside them in version 3."""
BLOCK_ROWS = 256
"""Texts multiplied at once: bounds memory."""


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
    """Dimensions that hold a text's TF-IDF row alone, as far as so many can."""

    projection_MW: NDArray[np.float32]
    """A text's TF-IDF cosines with the landmarks, times this, have nearly the inner products of the TF-IDF rows. They
    are no unit rows: a text whose words are seldom met says less."""
    share: float
    """s, in (0, 1): of a profile's squared length, where all of the text's words are known."""

    def beside(self, cosines_NM: csr_array, unit_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        """What is left to unit length, words, and the other dimensions.

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
    """Landmarks and what their comparison with a text becomes."""

    kernel: Kernel
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    projection_MD: NDArray[np.float32]
    words: Words | None = None
    """None: profiles are made by the kernel alone."""
    constant: float = 0.0
    """A last coordinate that every text has before the kernel's part is brought to unit length; 0: none. A text that is
    like few landmarks is then not stretched until it looks as much like them as others do."""

    @property
    def dim(self) -> int:
        """Width of a profile."""
        return self.lexical_width + int(self.projection_MD.shape[1]) + (self.constant > 0)

    @property
    def lexical_width(self) -> int:
        """Leading dimensions of a profile that hold words: W, and the one that brings it to unit length."""
        return 0 if self.words is None else 1 + int(self.words.projection_MW.shape[1])

    @property
    def base_dim(self) -> int:
        """L."""
        return int(self.vectors_ML.shape[1])

    def profiles(self, texts: Sequence[str], vectors_NL: NDArray[np.float32]) -> NDArray[np.float32]:
        """Profiles of texts.

        Args:
            texts: N texts.
            vectors_NL: their unit vectors by the base encoder.

        Returns:
            float32 [N, dim], unit rows; each depends on its text alone.

        Raises:
            EncoderError: a text is like no landmark at all; names it.
        """
        n = len(texts)
        words_NV = csr_array(self.kernel.lexical.encode(texts))
        profiles_ND = np.empty((n, self.dim), np.float32)
        words_VM, vectors_ML, projection_MD = self._exact
        for start in range(0, n, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            vectors_BL = vectors_NL[part].astype(np.float64)
            compared_BM = self.kernel.compare(words_NV[part], vectors_BL, words_VM, vectors_ML)
            block_BD = compared_BM @ projection_MD
            if self.constant > 0:
                block_BD = np.pad(block_BD, ((0, 0), (0, 1)), constant_values=self.constant)
            lengths_B1 = np.linalg.norm(block_BD, axis=1, keepdims=True)
            if not (lengths_B1 > 0).all():  # NaN compares false
                text = texts[start + int(np.nan_to_num(lengths_B1).argmin())]
                raise EncoderError(f"{text[:80]!r} is like no landmark", remedy="train the challenger again")
            block_BD /= lengths_B1
            if self.words is not None:
                block_BD = self.words.beside(csr_array(words_NV[part] @ words_VM), block_BD)
            profiles_ND[part] = block_BD
        return profiles_ND

    @cached_property
    def _exact(self) -> tuple[csr_array, NDArray[np.float64], NDArray[np.float64]]:
        """The landmarks' words by terms, and their vectors and the matrix in float64.

        BLAS rounds a row by where it stands in a batch. Computed in float64 and rounded once, two batches differ in
        about one value of a billion, by its last bit; in float32 every third row did.
        """
        words_VM = csr_array(self.words_MV.T)
        return words_VM, self.vectors_ML.astype(np.float64), self.projection_MD.astype(np.float64)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write head.npz and head.json; the same head gives the same bytes."""
        terms, idf_V, characters = self.kernel.lexical.parts()
        arrays = {
            "idf": idf_V,
            "words_data": self.words_MV.data.astype(np.float32),
            "words_indices": self.words_MV.indices.astype(np.int32),
            "words_indptr": self.words_MV.indptr.astype(np.int64),
            "vectors": self.vectors_ML,
            "projection": self.projection_MD,
        }
        if self.words is not None:
            arrays[WORDS] = self.words.projection_MW
        buffer = io.BytesIO()
        by_rows: dict[str, Any] = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        np.savez(buffer, **by_rows)
        said = {
            "version": HEAD_VERSION if self.words or self.constant > 0 else HEAD_VERSION - 1,
            "lexical_share": self.kernel.lexical_share,
            "gamma": self.kernel.gamma,
            "characters": characters,
            "terms": terms,
        } | ({"words_share": self.words.share} if self.words else {})
        if self.constant > 0:
            said["constant"] = self.constant
        write_whole(folder / HEAD, buffer.getvalue())
        write_whole(folder / TERMS, (json.dumps(said, ensure_ascii=False) + "\n").encode())
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
            said: dict[str, Any] = json.loads((folder / TERMS).read_text(encoding="utf-8"))
            if said["version"] > HEAD_VERSION:
                raise EncoderError(
                    f"{folder / TERMS} is of version {said['version']}, newest known is {HEAD_VERSION}",
                    remedy="update Firstlight",
                )
            names = (*ARRAYS, WORDS) if "words_share" in said else ARRAYS
            return cls._of(said, read_arrays(folder / HEAD, names))
        except (OSError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise EncoderError(
                f"{folder} has no readable head: {error}",
                remedy=f"delete {folder} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error

    @classmethod
    def _of(cls, said: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "KernelHead":
        """Join both files; a ValueError where they do not fit together or hold what is no number."""
        terms, characters = said["terms"], said["characters"]
        vectors_ML, projection_MD, idf_V = arrays["vectors"], arrays["projection"], arrays["idf"]
        n, n_terms = len(vectors_ML), len(terms)
        if not all(isinstance(term, str) for term in terms) or len(set(terms)) != n_terms:
            raise ValueError(f"{TERMS} names a term twice, or one that is no text")
        if characters is not None and not 1 <= characters[0] <= characters[1] <= MAX_CHARACTERS:
            raise ValueError(f"{TERMS} has character n-grams of {characters}")
        shapes = (vectors_ML.ndim, projection_MD.ndim, len(projection_MD), idf_V.shape)
        words = Words(arrays[WORDS], float(said["words_share"])) if WORDS in arrays else None
        fits = words is None or (words.projection_MW.ndim == 2 and len(words.projection_MW) == n)
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
        words_MV.check_format(full_check=True)  # what points outside would be read from foreign memory
        lexical = tfidf_of(terms, idf_V, (characters[0], characters[1]) if characters else None)
        kernel = Kernel(lexical, float(said["lexical_share"]), float(said["gamma"]))
        if not (0 <= kernel.lexical_share <= 1 and 0 <= kernel.gamma < np.inf):
            raise ValueError(f"{TERMS} has lexical_share {kernel.lexical_share} and gamma {kernel.gamma}")
        constant = float(said.get("constant", 0))
        if not 0 <= constant < np.inf:
            raise ValueError(f"{TERMS} has a constant of {constant}")
        return cls(kernel, words_MV, vectors_ML, projection_MD, words, constant)
