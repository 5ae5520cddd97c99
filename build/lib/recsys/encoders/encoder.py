"""What every encoder offers."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Encoder(Protocol):
    """Texts to unit vectors. A vector depends on its text alone, never on the batch that it came in."""

    @property
    def hash(self) -> str:
        """What the encoder is: weights, tokenizer, pooling, length, precision."""

    @property
    def dim(self) -> int:
        """Width of its vectors."""

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Encode.

        Args:
            texts: none empty; repeats cost nothing.
            on_progress: called after each batch with how many more of `texts` are done.

        Returns:
            float32 [len(texts), dim], rows of length 1, in the order of `texts`.

        Raises:
            EncoderError: a text is empty, or a vector is not finite; names the text.
        """

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens that each text costs, [len(texts)]."""
