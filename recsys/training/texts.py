"""Texts as token ids in one array, and blocks of texts of equal length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.source import TOKENIZER
from recsys.encoders.transformer import equal_batches, load_tokenizer, tokens_of

# Shape suffixes: N texts, T tokens of all texts, B texts of a batch, L tokens of each, S tokens of the batch.


@dataclass(frozen=True)
class Words:
    """The tokens of a batch's texts that are used."""

    places_S: NDArray[np.int64]
    """Their places among the tokens of all texts, text after text."""
    lengths_B: NDArray[np.int64]
    """Number of tokens of each text."""

    def block(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the tokens of some texts of one length, [B, L].

        Args:
            rows: texts of the batch.

        Returns:
            Places among the tokens of all texts.
        """
        starts_B = np.cumsum(self.lengths_B) - self.lengths_B
        places_BL: NDArray[np.int64] = self.places_S[
            starts_B[rows][:, None] + np.arange(int(self.lengths_B[rows[0]]))
        ]
        return places_BL

    def packs(self, pack_tokens: int) -> Iterator[list[NDArray[np.int64]]]:
        """Packs of about `pack_tokens` tokens: lists of blocks, each with the numbers of texts of one length."""
        pack: list[NDArray[np.int64]] = []
        n_tokens = 0
        for found in equal_batches(self.lengths_B.tolist(), pack_tokens):
            rows = np.array(found, np.int64)
            size = len(rows) * int(self.lengths_B[rows[0]])
            if pack and n_tokens + size > pack_tokens:
                yield pack
                pack, n_tokens = [], 0
            pack.append(rows)
            n_tokens += size
        if pack:
            yield pack


@dataclass(frozen=True)
class Tokens:
    """Token ids of N texts, one after the other: first one text per item, then variants, then further texts."""

    ids_T: NDArray[np.int64]
    starts_N: NDArray[np.int64]
    """Start of each text; the last text ends at the end."""
    variants_I1: NDArray[np.int64]
    """Item i's variants are the texts from variants_I1[i] up to variants_I1[i + 1]."""

    @property
    def n_items(self) -> int:
        """Number of items; the first texts are theirs."""
        return len(self.variants_I1) - 1

    def varied(self, rows: NDArray[np.int64], chance: float, rng: np.random.Generator) -> NDArray[np.int64]:
        """Replace some of the items' texts by variants, at random.

        Args:
            rows: items.
            chance: probability of each item with variants.
            rng: of this batch.

        Returns:
            Texts, in the order of `rows`.
        """
        first, n = self.variants_I1[rows], self.variants_I1[rows + 1] - self.variants_I1[rows]
        picked = first + (rng.random(len(rows)) * n).astype(np.int64)
        return np.where((rng.random(len(rows)) < chance) & (n > 0), picked, rows)

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Number of tokens of each text."""
        return np.diff(self.starts_N, append=len(self.ids_T))

    def words(
        self, rows: NDArray[np.int64], drop: float = 0.0, rng: np.random.Generator | None = None
    ) -> Words:
        """The tokens of some texts, some left out at random; never the first and the last one, which mark its ends.

        Args:
            rows: texts.
            drop: probability of each token to be left out; at least one between the ends stays.
            rng: of this batch, so that packs do not matter. None: nothing is left out.

        Returns:
            The tokens that are used.
        """
        lengths_B = self.lengths_N[rows]
        starts_B = np.cumsum(lengths_B) - lengths_B
        within_S = np.arange(lengths_B.sum()) - np.repeat(starts_B, lengths_B)
        places_S = np.repeat(self.starts_N[rows], lengths_B) + within_S
        if drop == 0 or rng is None:
            return Words(places_S, lengths_B)
        is_inner_S = (within_S > 0) & (within_S < np.repeat(lengths_B, lengths_B) - 1)
        drawn_S = np.where(is_inner_S, rng.random(len(within_S)), 1.0)
        longest_S = np.repeat(np.maximum.reduceat(np.where(is_inner_S, drawn_S, 0), starts_B), lengths_B)
        kept_S = (drawn_S >= drop) | (drawn_S == longest_S)
        return Words(places_S[kept_S], np.add.reduceat(kept_S.astype(np.int64), starts_B))


def tokenise(
    texts: Sequence[str],
    source: Path,
    max_tokens: int,
    variants: Sequence[Sequence[str]] = (),
    further: Sequence[str] = (),
    prefix: str = "",
) -> Tokens:
    """Tokenise texts exactly like the packed encoder.

    Args:
        texts: one per item, none of them empty.
        source: folder with tokenizer.json.
        max_tokens: longer texts are cut, special tokens included.
        variants: of each item's text; () where no item has any.
        further: texts of no item, none of them empty.
        prefix: `encoder.item_prefix`; stands before each text.

    Returns:
        The tokens.
    """
    tokenizer = load_tokenizer(source / TOKENIZER, max_tokens)
    n_variants = [len(some) for some in variants] if variants else [0] * len(texts)
    variants_I1 = len(texts) + np.cumsum([0, *n_variants])
    texts = [*texts, *(one for some in variants for one in some), *further]
    found = tokens_of(tokenizer, prefix, texts)
    lengths = np.array([len(ids) for ids in found], np.int64)
    return Tokens(np.concatenate(found), np.concatenate([[0], np.cumsum(lengths)[:-1]]), variants_I1)
