"""Further inputs of a training besides its items: further texts, and the champion's vectors of all texts."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.split import Split
from recsys.dataset.versions import places_of, taken
from recsys.encoders.reference import EncoderReference
from recsys.errors import ConfigError
from recsys.progress import report_progress
from recsys.storage.strings import distinct, is_among
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams

# Shape suffixes: I items, F further texts, N = I + F texts, T texts learned from, B texts of a batch, D dimension.
SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s*")
PIECE_WORDS = (3, 24)
"""Words of a window: at least the first, fewer than the second."""
PIECE_CHARACTERS = (6, 48)
"""The same where a text has no spaces between words."""
DRAWS_PER_PIECE = 20
"""Draws per wanted window. If they are used up, the texts hold too few different windows."""


@dataclass(frozen=True)
class Corpus:
    """Further texts, and the vectors that a student imitates or that training stays close to."""

    further: tuple[str, ...] = ()
    """F texts; their rows follow those of the items."""
    targets_ND: NDArray[np.float32] | None = None
    """The champion's vectors, unit rows: of the texts of all items, then of the further ones. None where training reads
    no champion."""
    teacher: str = ""
    """Hash of the champion's encoder; empty without one."""

    def rows_to_learn_from(self, training_set: TrainingSet) -> NDArray[np.int64]:
        """Rows of distinct texts [T], ascending: of the items to learn from, and the further ones.

        Texts that an item of the validation slice has too are left out.
        """
        texts = (*training_set.texts, *self.further)
        taken = {training_set.texts[row] for row in training_set.held_rows}
        rows = []
        for row in (*training_set.fit_rows, *range(len(training_set.texts), len(texts))):
            if texts[row] not in taken:
                taken.add(texts[row])
                rows.append(row)
        return np.array(rows, np.int64)

    def targets_of(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """The champion's vectors of some texts, [B, D]."""
        if self.targets_ND is None:
            raise ValueError("there is no champion")
        return self.targets_ND[rows_B]

    def agreement(self, vectors_ID: NDArray[np.float32], rows: NDArray[np.int64]) -> float | None:
        """Mean cosine with the champion over some items.

        Args:
            vectors_ID: of all items, unit rows.
            rows: items.

        Returns:
            The mean; None without a champion, or without items.
        """
        if self.targets_ND is None or not len(rows):
            return None
        return float((vectors_ID[rows].astype(np.float64) * self.targets_ND[rows]).sum(axis=1).mean())

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over texts and champion."""
        return hashlib.sha256("\0".join((self.teacher, *self.further)).encode()).hexdigest()


def make_corpus(
    params: FinetuneParams,
    training_set: TrainingSet,
    split: Split,
    versions: pa.Table,
    champion: EncoderReference | None,
    encode: Callable[[EncoderReference, Sequence[str], bool], NDArray[np.float32]],
) -> Corpus:
    """Collect further texts for objectives `texts` and `distill`, and the champion's vectors where it is used.

    Args:
        params: section `finetune`.
        training_set: the items.
        split: the holdout.
        versions: rows of the features.
        champion: whose vectors are wanted; None: nobody's.
        encode: encoder and texts -> vectors; True: the texts are pieces of others.

    Returns:
        The corpus.

    Raises:
        ConfigError: the objective learns from texts, and there are fewer than two.
    """
    further = further_texts(split, versions) if params.learns_from_texts else ()
    corpus = Corpus(further)
    if params.learns_from_texts:
        require_texts(corpus, training_set)
    if champion is None:
        return corpus
    whole = (*training_set.texts, *further)
    if params.objective != "distill":
        return Corpus(further, encode(champion, whole, False), champion.hash)
    rows = corpus.rows_to_learn_from(training_set)
    pieces = pieces_of([whole[row] for row in rows], params.student_texts - len(rows), params.seed)
    report_progress(
        f"{len(whole):,} texts and {len(pieces):,} pieces of them for teacher {champion.hash[:10]} to encode"
    )
    targets = [encode(champion, whole, False), *([encode(champion, pieces, True)] if pieces else [])]
    return Corpus((*further, *pieces), np.concatenate(targets), champion.hash)


def further_texts(split: Split, versions: pa.Table) -> tuple[str, ...]:
    """Texts of items without interactions in the training side, except the items that evaluation ranks.

    Cold items of the test side are left out, so that a challenger does not do better on them than on items that arrive
    later. The test side's interactions are read for nothing else.

    Args:
        split: the holdout.
        versions: rows of the features: item_id, part, line, text.

    Returns:
        Distinct texts, sorted.

    Raises:
        ArtifactMissing: the features lack an item's version; names item, part and line.
    """
    used = pa.concat_arrays([distinct(side["item_id"]) for side in (split.train, split.test)])
    items = split.items.filter(~is_among(split.items["item_id"], used))
    texts = taken(versions["text"], pa.array(places_of(items, versions, "text")))
    return tuple(sorted({text for text in texts.to_pylist() if text}))  # an item may have a picture instead


def pieces_of(texts: Sequence[str], n: int, seed: int) -> tuple[str, ...]:
    """Pieces of texts for a student to learn from where texts are few: sentences, then windows of words.

    Args:
        texts: whole ones.
        n: the most pieces.
        seed: of the windows.

    Returns:
        Distinct pieces, none of them a whole text; fewer than n where the texts hold no more. They do not depend on
        the order of `texts`.
    """
    whole = sorted(set(texts))
    found: dict[str, None] = {}
    for piece in (*_sentences(whole), *_windows(whole, n * DRAWS_PER_PIECE, seed)):
        if len(found) >= n:
            break
        found.setdefault(piece)
    return tuple(found)


def _sentences(texts: Sequence[str]) -> Iterator[str]:
    known = set(texts)
    for text in texts:
        for part in SENTENCE_END.split(text):
            if len(part.split()) >= PIECE_WORDS[0] and part not in known:
                yield part


def _windows(texts: Sequence[str], n_draws: int, seed: int) -> Iterator[str]:
    known, rng = set(texts), np.random.default_rng(seed)
    for _ in range(n_draws if texts else 0):
        text = texts[int(rng.integers(len(texts)))]
        words, bounds, space = text.split(), PIECE_WORDS, " "
        if len(words) <= PIECE_WORDS[0]:
            words, bounds, space = list(text), PIECE_CHARACTERS, ""
        size = int(rng.integers(*bounds))
        start = int(rng.integers(max(1, len(words) - size + 1)))
        piece = space.join(words[start : start + size]).strip()
        if piece and piece not in known:
            yield piece


def require_texts(corpus: Corpus, training_set: TrainingSet) -> None:
    """Refuse a corpus that holds nothing to learn from.

    Args:
        corpus: further texts.
        training_set: the items.

    Raises:
        ConfigError: there are fewer than two different texts outside the validation slice.
    """
    if (n := len(corpus.rows_to_learn_from(training_set))) < 2:  # noqa: PLR2004
        raise ConfigError(
            f"finetune: {n} different text(s) to learn from, and two are needed",
            remedy="let more of the catalogue land, or lower finetune.validation_share",
        )
