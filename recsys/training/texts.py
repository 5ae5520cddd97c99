"""Texts as token ids, in one array; batches of equal length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.source import TOKENIZER
from recsys.encoders.transformer import TOKENIZED_AT_ONCE, equal_batches, load_tokenizer

# Shape suffixes: N texts, T tokens of all texts, B texts of a batch, L tokens of each.


@dataclass(frozen=True)
class Tokens:
    """Token ids of N texts, one after the other: first one per item, then variants of them."""

    ids_T: NDArray[np.int64]
    starts_N: NDArray[np.int64]
    """Where each text starts; the last text ends at the end."""
    variants_I1: NDArray[np.int64]
    """Item i's variants are the texts from here up to where those of item i + 1 start."""

    @property
    def n_items(self) -> int:
        """Items; the first texts are theirs."""
        return len(self.variants_I1) - 1

    def varied(self, rows: NDArray[np.int64], chance: float, rng: np.random.Generator) -> NDArray[np.int64]:
        """Some of the items' texts replaced by one of their variants.

        Args:
            rows: items.
            chance: to be replaced, where an item has variants.
            rng: for this batch.

        Returns:
            Texts, in the order of `rows`.
        """
        first, n = self.variants_I1[rows], self.variants_I1[rows + 1] - self.variants_I1[rows]
        picked = first + (rng.random(len(rows)) * n).astype(np.int64)
        return np.where((rng.random(len(rows)) < chance) & (n > 0), picked, rows)

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts_N, append=len(self.ids_T))

    def block(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """ids_BL of texts of one length."""
        length = int(self.lengths_N[rows[0]])
        ids_BL: NDArray[np.int64] = self.ids_T[self.starts_N[rows][:, None] + np.arange(length)]
        return ids_BL

    def batches(self, rows: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
        """Places in `rows` of texts of one length, at most `batch_tokens` tokens together, shortest first."""
        for places in equal_batches(self.lengths_N[rows].tolist(), batch_tokens):
            yield np.array(places, np.int64)

    def packs(self, rows: NDArray[np.int64], pack_tokens: int) -> Iterator[list[NDArray[np.int64]]]:
        """Lists of blocks (places in `rows` of texts of one length), about `pack_tokens` tokens together."""
        pack: list[NDArray[np.int64]] = []
        n_tokens = 0
        for places in self.batches(rows, pack_tokens):
            size = len(places) * int(self.lengths_N[rows[places[0]]])
            if pack and n_tokens + size > pack_tokens:
                yield pack
                pack, n_tokens = [], 0
            pack.append(places)
            n_tokens += size
        if pack:
            yield pack


def tokenise(
    texts: Sequence[str], source: Path, max_tokens: int, variants: Sequence[Sequence[str]] = ()
) -> Tokens:
    """Cut texts into tokens exactly as the packed encoder will.

    Args:
        texts: one per item, none empty.
        source: folder with tokenizer.json.
        max_tokens: longer texts are cut, special tokens included.
        variants: of each item's text; () where no item has any.

    Returns:
        The tokens.
    """
    tokenizer = load_tokenizer(source / TOKENIZER, max_tokens)
    n_variants = [len(some) for some in variants] if variants else [0] * len(texts)
    variants_I1 = len(texts) + np.cumsum([0, *n_variants])
    texts = [*texts, *(one for some in variants for one in some)]
    found = [
        np.array(one.ids, np.int64)
        for start in range(0, len(texts), TOKENIZED_AT_ONCE)
        for one in tokenizer.encode_batch_fast(texts[start : start + TOKENIZED_AT_ONCE])
    ]
    lengths = np.array([len(ids) for ids in found], np.int64)
    return Tokens(np.concatenate(found), np.concatenate([[0], np.cumsum(lengths)[:-1]]), variants_I1)
