"""Pooling: the token vectors of a text become one vector, in the packed encoder and in training alike."""

from typing import Any


def pooled(hidden_BLD: Any, pooling: str) -> Any:  # noqa: ANN401  tensors; torch is not imported here
    """Pool a batch of texts of one length, so that there is no padding, whichever side a model pads on.

    Args:
        hidden_BLD: token vectors, a torch tensor.
        pooling: mean of all tokens, cls (the first token) or last (the last one, which has read all others in a
            decoder).

    Returns:
        [B, D].
    """
    if pooling == "mean":
        return hidden_BLD.mean(1)
    return hidden_BLD[:, 0 if pooling == "cls" else -1]
