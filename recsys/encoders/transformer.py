"""A packed transformer encoder. On processors it needs tokenizers and OpenVINO only, so it starts within a second.

A vector depends on its text alone, to the last bit. Measured with OpenVINO 2026.4.1 on MiniLM, float32 and int8: in
batches of equal token count, without padding and mask, a row has the same bits alone and in any batch (1 to 500 rows,
4 to 256 tokens, one or two threads). Padding to another length changes it by up to 2e-7. So a batch holds texts of one
token count only, and the packed model has no mask. This costs nothing, since padding is work too. Single queries are
padded, and masked: see `short_texts.py`. A killed run that continues with other batches makes the same files. Another
processor or OpenVINO version may round differently. With a head (`recsys/heads/kernel_head.py`) about one value in a
billion may differ in its last bit.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.encoder import Encoder
from recsys.encoders.reference import MODEL, TOKENIZER, EncoderReference
from recsys.encoders.runtime import open_runner
from recsys.encoders.short_texts import PROBE, ShortTexts
from recsys.errors import EncoderError, UnreadableText
from recsys.storage.packed import verify_sizes

TOKENIZED_AT_ONCE = 8192
UNIT_TOLERANCE = 1e-3


class TransformerEncoder:
    """Implements `Encoder` on a packed folder. May be shared between threads: batches are computed one at a time."""

    def __init__(
        self,
        reference: EncoderReference,
        folder: Path,
        batch_tokens: int,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.hash = reference.hash
        self.dim = reference.dim
        self._folder, self._batch_tokens = folder, batch_tokens
        self._item_prefix, self._query_prefix = reference.item_prefix, reference.query_prefix
        self._tokenizer = load_tokenizer(folder / TOKENIZER, reference.max_tokens)
        shapes = ("[?,?]", f"[?,{reference.dim}]")
        self._run = open_runner(folder / MODEL, shapes, reference.precision, threads, device, batch_tokens)
        self._short = ShortTexts(folder / MODEL, reference.max_tokens, threads) if device == "cpu" else None
        self._turn = threading.Lock()

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        return self._encode(self._item_prefix, texts, on_progress)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Encoder.encode_queries`. On processors each short text is encoded by itself, see `short_texts.py`."""
        _require_words(texts)
        vectors, left = np.empty((len(texts), self.dim), np.float32), []
        for place, ids in enumerate(tokens_of(self._tokenizer, self._query_prefix, texts)):
            with self._running():
                found = None if self._short is None else self._short.vector(ids)
            if found is None:
                left.append(place)
            else:
                vectors[place] = found
        if left:
            vectors[left] = self._encode(self._query_prefix, [texts[place] for place in left])
        self._check(vectors, texts)
        return vectors

    def prepare_queries(self) -> None:
        """See `Encoder.prepare_queries`: each fixed size is opened, and the model of any shape for longer queries."""
        with self._running():
            if self._short is not None:
                self._short.open()
            self._run(np.array([PROBE]))

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """See `Encoder.count_tokens`."""
        tokens = tokens_of(self._tokenizer, self._item_prefix, texts)
        return np.array([len(ids) for ids in tokens], np.int64)

    def _encode(
        self, prefix: str, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        _require_words(texts)
        places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(text, []).append(place)
        tokens = tokens_of(self._tokenizer, prefix, list(places))
        rows = list(places.values())
        vectors = np.empty((len(texts), self.dim), np.float32)
        for batch in equal_batches([len(ids) for ids in tokens], self._batch_tokens):
            with self._running():
                found = self._run(np.stack([tokens[one] for one in batch]))
            self._check(found, [texts[rows[one][0]] for one in batch])
            repeats = [len(rows[one]) for one in batch]
            vectors[[place for one in batch for place in rows[one]]] = np.repeat(found, repeats, axis=0)
            if on_progress is not None:
                on_progress(sum(repeats))
        return vectors

    @contextmanager
    def _running(self) -> Iterator[None]:
        """One thread at a time, since a runner refuses a second caller; it opens what it needs for the first text."""
        with self._turn:
            try:
                yield
            except RuntimeError as error:
                if self._short is None:  # torch says what is wrong, such as too little memory
                    raise
                raise cannot_run(self._folder, error) from error

    def _check(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> None:
        off = np.abs(np.linalg.norm(vectors, axis=1) - 1)
        if not (off < UNIT_TOLERANCE).all():  # NaN compares false
            text = texts[int(np.nan_to_num(off, nan=np.inf).argmax())]
            raise EncoderError(f"encoder {self.hash[:10]} gives no unit vector for {text[:80]!r}")


def _require_words(texts: Sequence[str]) -> None:
    for place, text in enumerate(texts):
        if not text.strip():
            raise EncoderError(
                f"text {place} is empty", remedy="leave items without text out, or give them a title"
            )


def load_tokenizer(path: Path, max_tokens: int) -> Any:  # noqa: ANN401  a tokenizers.Tokenizer
    """Open tokenizer.json. Texts are cut to `max_tokens`, never padded.

    Args:
        path: the file.
        max_tokens: special tokens included.

    Returns:
        A tokenizers.Tokenizer.

    Raises:
        EncoderError: it is missing or damaged.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise EncoderError(f"{path} cannot be read: {error}", remedy="recsys fetch-champion") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def tokens_of(tokenizer: Any, prefix: str, texts: Sequence[str]) -> list[NDArray[np.int64]]:  # noqa: ANN401
    """Token ids of texts behind a prefix.

    Args:
        tokenizer: by `load_tokenizer`.
        prefix: stands before each text; its tokens count among those that a text may have.
        texts: none of them empty.

    Returns:
        Ids of each text, special tokens included.

    Raises:
        UnreadableText: the tokenizer makes no token of a text; names it.
    """
    found = [
        np.array(one.ids, np.int64)
        for start in range(0, len(texts), TOKENIZED_AT_ONCE)
        for one in tokenizer.encode_batch_fast(
            [prefix + text for text in texts[start : start + TOKENIZED_AT_ONCE]]
        )
    ]
    for text, ids in zip(texts, found, strict=True):
        if len(ids) == 0:
            raise UnreadableText(
                f"the encoder's tokenizer makes no token of {text[:80]!r}",
                remedy="give a text that it can read, or choose a model for its language",
            )
    return found


def equal_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions of texts in batches of equal length, shortest first, at most `batch_tokens` tokens each."""
    order = np.argsort(np.asarray(lengths, np.int64), kind="stable")
    sizes = np.asarray(lengths, np.int64)[order]
    for group in np.split(order, np.flatnonzero(np.diff(sizes)) + 1):
        if len(group) == 0:
            continue
        per_batch = max(1, batch_tokens // max(1, lengths[group[0]]))
        for start in range(0, len(group), per_batch):
            yield group[start : start + per_batch].tolist()


def open_encoder(
    reference: EncoderReference,
    encoders: Path,
    batch_tokens: int,
    threads: int | None = None,
    device: str = "cpu",
) -> Encoder:
    """Open a packed encoder, without the head that may be among its files.

    Args:
        reference: which one; `dim` is the width of the transformer's vectors.
        encoders: folder of packed encoders, one folder per hash.
        batch_tokens: tokens per batch; affects speed and memory, never the vectors.
        threads: how many work on one batch; None: as many as there are processors. The vectors do not depend on it.
        device: cpu for OpenVINO, or a device of torch such as cuda: vectors in float32 differ by less than 1e-5.

    Returns:
        The encoder.

    Raises:
        ArtifactMissing: it is not packed here.
        EncoderError: a file is missing, damaged or not what OpenVINO reads.
    """
    folder = encoders / reference.hash
    verify_sizes(folder, reference.files)
    try:
        return TransformerEncoder(reference, folder, batch_tokens, threads, device)
    except RuntimeError as error:  # what openvino and torch raise
        raise cannot_run(folder, error) from error


def cannot_run(folder: Path, error: RuntimeError) -> EncoderError:
    """Of a packed model in a folder."""
    return EncoderError(
        f"{folder / MODEL} cannot be run: {error}", remedy=f"delete {folder} and run recsys fetch-champion"
    )
