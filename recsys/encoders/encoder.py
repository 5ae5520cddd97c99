"""What every encoder offers."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Encoder(Protocol):
    """Turns texts into unit vectors. A vector depends on its text alone, never on the other texts of its batch.

    Texts of items and texts that look for items may get different prefixes: nothing else in the code knows of them.
    """

    @property
    def hash(self) -> str:
        """Hash of weights, tokenizer, pooling, prefixes, length and precision."""

    @property
    def dim(self) -> int:
        """Width of its vectors."""

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Encode texts of items.

        Args:
            texts: none of them empty; repeats cost nothing.
            on_progress: called after each batch with the number of texts that it finished.

        Returns:
            float32 [len(texts), dim], rows of length 1, in the order of `texts`.

        Raises:
            EncoderError: a text is empty, or a vector is not finite; names the text.
        """

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts that look for items, such as searches or words about a user; otherwise as `encode`."""

    def prepare_queries(self) -> None:
        """Open whatever queries of any length need, so that none of them waits for it, or reads a file.

        Raises:
            EncoderError: a file is missing or damaged.
        """

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Number of tokens of each text of an item, [len(texts)]."""
