"""What a head remembers of the texts that people met: further dimensions beside those that the text alone gives.

A text that was not there when the head was learned has zeros there, as a new or edited one has: it is placed by its
words and meaning alone. So a profile still depends on nothing but its text, and one inner product ranks both kinds.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N texts asked, T texts remembered, F dimensions of memory.
DIGEST_DIGITS = 32


@dataclass(frozen=True)
class Memory:
    """Texts by digest, and the dimensions of each."""

    digests_T: NDArray[np.bytes_]
    """Ascending, none twice."""
    rows_TF: NDArray[np.float32]

    @property
    def dim(self) -> int:
        """F."""
        return int(self.rows_TF.shape[1])

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Dimensions of each text, float32 [N, F]; zeros for one that is not remembered."""
        asked_N = digests(texts)
        place_N = np.minimum(np.searchsorted(self.digests_T, asked_N), len(self.digests_T) - 1)
        is_known_N = self.digests_T[place_N] == asked_N
        return np.where(is_known_N[:, None], self.rows_TF[place_N], np.float32(0))


def digests(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """128 bits of SHA-256 of each text, in hexadecimal digits."""
    found = [hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS] for text in texts]
    return np.array(found, f"S{DIGEST_DIGITS}")


def joined(units_ND: NDArray[np.floating], memory_NF: NDArray[np.floating]) -> NDArray[np.floating]:
    """Unit rows of text and what is remembered, side by side, at unit length again.

    Args:
        units_ND: unit rows.
        memory_NF: further dimensions.

    Returns:
        [N, D + F]; where nothing is remembered, the text's own row and zeros.
    """
    lengths_N1 = np.sqrt(1 + np.square(memory_NF).sum(axis=1, keepdims=True))
    rows: NDArray[np.floating] = np.concatenate([units_ND, memory_NF], axis=1) / lengths_N1
    return rows
