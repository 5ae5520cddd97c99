"""Attention over packed texts, which follow one another without padding. All other layers run on all tokens at once.

A pack is [1, T, D]: blocks of texts of one length, T tokens in total. Linear layers, norms and activations do not
depend on where a text ends. Attention does, and is computed block by block. The vectors are the same, with fewer and
larger matrix products.

Paper: Krell et al. 2021, arXiv:2107.02027 (packing without cross-contamination). It uses the attention interface of
transformers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

# Shape suffixes: H heads, T tokens of the pack, N texts of a block, L tokens of each, E width of a head.
NAME = "packed"
_BLOCKS: ContextVar[tuple[tuple[int, int], ...] | None] = ContextVar("blocks", default=None)


@contextmanager
def attending(blocks: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Restrict attention to each text, within this context.

    Args:
        blocks: number of texts and tokens per text of each block, in the order of the pack.

    Yields:
        Nothing.
    """
    before = _BLOCKS.set(tuple(blocks))
    try:
        yield
    finally:
        _BLOCKS.reset(before)


def use_packed_attention(model: Any) -> None:  # noqa: ANN401  a transformers model
    """Let a model's layers obey `attending`. Outside of it they attend as usual, without a mask.

    Args:
        model: a transformers encoder, changed in place.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    model.config._attn_implementation = NAME


def _attention(
    module: Any,  # noqa: ANN401  the attention layer
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,  # noqa: ANN401  what other implementations take
) -> tuple[Tensor, None]:
    blocks = _BLOCKS.get()
    if blocks is None:
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling
        )
        return out.transpose(1, 2), None
    sizes = [n * length for n, length in blocks]
    pieces = (one[0].split(sizes, dim=1) for one in (query, key, value))
    found_HTE = []
    for (n, length), *qkv in zip(blocks, *pieces, strict=True):
        q_HNLE, k_HNLE, v_HNLE = (one.reshape(len(one), n, length, -1) for one in qkv)
        out = torch.nn.functional.scaled_dot_product_attention(
            q_HNLE, k_HNLE, v_HNLE, dropout_p=dropout, scale=scaling
        )
        found_HTE.append(out.reshape(len(out), n * length, -1))
    return torch.cat(found_HTE, dim=1).transpose(0, 1)[None], None
