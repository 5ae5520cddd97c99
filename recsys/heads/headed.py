"""An encoder with a kernel head, used as one encoder: from texts to profiles."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.encoder import Encoder
from recsys.encoders.reference import EncoderReference
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError
from recsys.heads.head_file import read_head
from recsys.heads.kernel_head import KernelHead
from recsys.profiles.completion import n_completing


class HeadedEncoder:
    """Implements `Encoder`: encodes texts and projects the vectors to profiles.

    Args:
        base: makes the vectors.
        head: makes profiles of them.
        profiles_hash: key of profiles made by both.
    """

    def __init__(self, base: Encoder, head: KernelHead, profiles_hash: str) -> None:
        self.hash = profiles_hash
        self.dim = head.dim
        self._base = base
        self._head = head

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return self._head.profiles(texts, self._base.encode(texts, on_progress))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder.encode_queries` and `KernelHead.profiles`."""
        return self._head.profiles(texts, self._base.encode_queries(texts), as_queries=True)

    def prepare_queries(self) -> None:
        """See `Encoder.prepare_queries`."""
        self._head.prepare()
        self._base.prepare_queries()

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """See `Encoder.count_tokens`."""
        return self._base.count_tokens(texts)


def query_profiles(encoder: Encoder, texts: Sequence[str], lexical_width: int) -> NDArray[np.float32]:
    """Profiles of texts that look for items.

    Args:
        encoder: from texts to profiles, with or without a head.
        texts: queries, or words about a user.
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        float32 [N, dim].
    """
    if not texts:
        return np.empty((0, encoder.dim), np.float32)
    found_ND: NDArray[np.float32] = np.array(encoder.encode_queries(texts))
    found_ND[:, : n_completing(lexical_width)] = 0
    return found_ND


def load_head(folder: Path, dim: int) -> KernelHead:
    """Open a packed head and check the width of its profiles.

    Args:
        folder: its files.
        dim: width of a profile.

    Returns:
        The head.

    Raises:
        EncoderError: it is missing, damaged, or of another width.
    """
    head = read_head(folder)
    if head.dim != dim:
        raise EncoderError(
            f"the head in {folder} makes profiles of width {head.dim}, not {dim}",
            remedy=f"delete {folder} and run recsys fetch-champion",
        )
    return head


def open_carrying(
    reference: EncoderReference,
    encoders: Path,
    batch_tokens: int,
    threads: int | None = None,
    device: str = "cpu",
) -> HeadedEncoder:
    """Open an encoder whose files include a head, from before models had parts.

    Args:
        reference: the encoder; its `dim` is that of the profiles.
        encoders: folder of packed encoders.
        batch_tokens: tokens per batch.
        threads: see `open_encoder`.
        device: likewise.

    Returns:
        The encoder, from texts to profiles.

    Raises:
        ArtifactMissing: it is not packed here.
        EncoderError: a file is missing, damaged or not what OpenVINO reads.
    """
    head = load_head(encoders / reference.hash, reference.dim)
    base_reference = reference.model_copy(update={"dim": head.base_dim})
    base = open_encoder(base_reference, encoders, batch_tokens, threads, device)
    return HeadedEncoder(base, head, reference.hash)
