"""Open the parts of a packed model. Heavy libraries are imported when a part is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from recsys.encoders.encoder import Encoder
from recsys.encoders.runtime import Device, device_for
from recsys.heads.reference import has_views
from recsys.models.reference import ModelReference

if TYPE_CHECKING:
    from recsys.heads.kernel_head import KernelHead


def open_vectors(
    model: ModelReference, cache: Path, batch_tokens: int, threads: int | None = None, device: Device = "cpu"
) -> Encoder:
    """Open the encoder part.

    Args:
        model: which one.
        cache: folder of packed parts.
        batch_tokens: tokens per batch; affects speed and memory, never the vectors.
        threads: see `open_encoder`.
        device: `profiles.device` where much is encoded; what answers requests runs on processors.

    Returns:
        An encoder, from texts to the vectors that the vector cache holds.

    Raises:
        ArtifactMissing: it is not packed here.
        ConfigError: cuda is wanted and there is none.
        EncoderError: a file is missing, damaged or not what OpenVINO reads.
    """
    from recsys.encoders.transformer import open_encoder

    place = device_for(device, model.encoder.precision)
    if model.encoder.carries_head:
        from recsys.heads.headed import open_carrying

        return open_carrying(model.encoder, cache / "encoders", batch_tokens, threads, place)
    return open_encoder(model.encoder, cache / "encoders", batch_tokens, threads, place)


def open_head(model: ModelReference, cache: Path) -> "KernelHead | None":
    """Open the head part.

    Args:
        model: which one.
        cache: folder of packed parts.

    Returns:
        The head; None where the encoder's vectors are the profiles.

    Raises:
        EncoderError: it is missing or damaged.
    """
    if model.head is None:
        return None
    from recsys.heads.headed import load_head

    return load_head(cache / "heads" / model.head.hash, model.head.dim)


def uses_views(model: ModelReference, cache: Path) -> bool:
    """Whether profiles depend on more than texts. Only the names of the arrays in the head's file are read.

    Args:
        model: which one.
        cache: folder of packed parts.

    Returns:
        False for a head without views, and where there is no head.

    Raises:
        EncoderError: the head is missing or damaged.
    """
    return model.head is not None and has_views(cache / "heads" / model.head.hash)


def open_model(model: ModelReference, cache: Path, batch_tokens: int) -> Encoder:
    """Open encoder and head as one encoder, from texts to profiles.

    Args:
        model: which one.
        cache: folder of packed parts.
        batch_tokens: tokens per batch.

    Returns:
        An encoder, from texts to profiles.

    Raises:
        ArtifactMissing: a part is not packed here.
        EncoderError: a file is missing or damaged.
    """
    return with_head(model, open_vectors(model, cache, batch_tokens), open_head(model, cache))


def with_head(model: ModelReference, vectors: Encoder, head: "KernelHead | None") -> Encoder:
    """Both parts as one encoder.

    Args:
        model: which one.
        vectors: by `open_vectors`.
        head: by `open_head`.

    Returns:
        An encoder, from texts to profiles.
    """
    if head is None:
        return vectors
    from recsys.heads.headed import HeadedEncoder

    return HeadedEncoder(vectors, head, model.profiles_hash)
