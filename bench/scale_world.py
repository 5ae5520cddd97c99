"""The landed files of `bench.scale`: titles made of real ones, and who saved what as real readers do.

Title i is made of the halves of two of CiteULike's papers, its parents, so it is the same in every catalogue. A user is
a copy of a real reader: for each paper that the reader saved, the copy saves one of the titles whose first half is that
paper's. So popularity and taste are those of real people, over any number of items.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.serve_world import papers
from bench.titles import real_titles
from recsys.artifacts import Artifacts
from recsys.models.reference import ModelReference
from recsys.planning.probing import unit_rows

FIRST_DAY = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
DAYS = 365
DAY_SECONDS = 86_400
SEED = 20260101
ROWS_PER_FILE = 1_000_000
PLACED_AT_ONCE = 65_536
NOISE = 0.3
"""Length of the random part of a placed vector, beside two parents of length 1."""


def parents_of(n: int, offset: int = 0) -> NDArray[np.int64]:
    """Parents of titles, [n, 2]: places among the real ones; the first gives the beginning.

    Args:
        n: titles.
        offset: number of the first one.

    Returns:
        The same numbers for the same title in any catalogue.
    """
    found = np.random.Generator(np.random.Philox(SEED)).integers(len(real_titles()), size=(offset + n, 2))
    return found[offset:]


def titles_of(parents_N2: NDArray[np.int64], offset: int = 0) -> list[str]:
    """Titles made of the halves of their parents; a number makes each its own."""
    heads, tails = _halves()
    return [
        f"{heads[first]} {tails[second]} no {number}"
        for number, (first, second) in enumerate(parents_N2.tolist(), offset)
    ]


def land_items(landing: Path, name: str, numbers: range, revised: str = "") -> None:
    """Write a catalogue file.

    Args:
        landing: the landing zone.
        name: of the file, Parquet.
        numbers: of the items.
        revised: appended to each title.
    """
    titles = titles_of(parents_of(len(numbers), numbers.start), numbers.start)
    ids = [f"t{number}" for number in numbers]
    table = pa.table({"item_id": ids, "title": [title + revised for title in titles]})
    _land(landing / "catalogue" / name, table)


def land_interactions(landing: Path, items: int, interactions: int) -> None:
    """Write the log of copies of real readers, in files of a million rows.

    Args:
        landing: the landing zone.
        items: in the catalogue.
        interactions: in the log; a copy may save a title twice.
    """
    saves, rng = Saves(items), np.random.default_rng(SEED)
    for number, done in enumerate(range(0, interactions, ROWS_PER_FILE)):
        numbers = np.arange(done, min(done + ROWS_PER_FILE, interactions))
        _land(
            landing / "interactions" / f"saved-{number:02d}.parquet", saves.of(numbers, rng, FIRST_DAY, DAYS)
        )


def land_later_interactions(landing: Path, name: str, items: int, interactions: int, n: int) -> None:
    """Write what some of the people in the log saved in the day after it: more titles of papers that they saved.

    Args:
        landing: the landing zone.
        name: of the file; it is the seed of who saves what.
        items: in the catalogue, as for the log.
        interactions: in the log.
        n: interactions to write.
    """
    rng = np.random.default_rng([SEED, *name.encode()])
    numbers = np.sort(rng.integers(interactions, size=n))
    last_day = FIRST_DAY + DAYS * DAY_SECONDS
    _land(landing / "interactions" / name, Saves(items).of(numbers, rng, last_day, 1))


class Saves:
    """Who saves which title.

    Args:
        items: in the catalogue.
    """

    def __init__(self, items: int) -> None:
        self._paper_P, self._reader_P = _real_log()
        first_I = parents_of(items)[:, 0]
        self._by_paper = np.argsort(first_I, kind="stable")
        self._count = np.bincount(first_I, minlength=len(real_titles()))
        self._start = np.cumsum(self._count) - self._count
        self._known_P = np.flatnonzero(self._count[self._paper_P])

    def of(
        self, number_N: NDArray[np.int64], rng: np.random.Generator, first_day: int, days: int
    ) -> pa.Table:
        """The saves with these numbers, as a log; the numbers say who saves a title of which paper."""
        pair_N, copy_N = self._known_P[number_N % len(self._known_P)], number_N // len(self._known_P)
        paper_N = self._paper_P[pair_N]
        # Few titles have most of the readers.
        child_N = (self._count[paper_N] * rng.random(len(number_N)) ** 2).astype(np.int64)
        user_N = self._reader_P[pair_N] + copy_N * (self._reader_P.max() + 1)
        times_N = first_day + rng.integers(days * DAY_SECONDS, size=len(number_N))
        return _log(user_N, self._by_paper[self._start[paper_N] + child_N], times_N)


def place_vectors(at: Artifacts, model: ModelReference, n: int, kept: Path) -> None:
    """Put vectors of texts into the vector cache: the sum of a title's parents' real vectors, and some noise.

    Args:
        at: the workspace; stage `features` has run.
        model: whose encoder the vectors are said to be of.
        n: items; the texts of those with higher numbers are left to the encoder.
        kept: folder of vector caches, for those of the real titles.
    """
    from recsys.features.text import feature_files
    from recsys.models.encoding import vectors_of

    real, placed, parents_I2 = _real_vectors(at, model, kept), vectors_of(model, at), parents_of(n)
    for feature in feature_files(at.features):
        with pq.ParquetFile(feature.path) as file:
            batches = enumerate(file.iter_batches(PLACED_AT_ONCE, columns=["item_id", "text_hash"]))
            for number, some in batches:
                items_N = np.array([int(one.removeprefix("t")) for one in some["item_id"].to_pylist()])
                kept_N = items_N < n
                vectors_ND = real[parents_I2[items_N[kept_N]]].sum(axis=1)
                rng = np.random.default_rng((SEED, number))
                vectors_ND += NOISE * unit_rows(rng, len(vectors_ND), real.shape[1])
                vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
                placed.add(np.array(some["text_hash"].to_pylist())[kept_N].tolist(), vectors_ND)


def _real_vectors(at: Artifacts, model: ModelReference, kept: Path) -> NDArray[np.float32]:
    """Vectors of the real titles by the encoder, without its head; encoded once."""
    from recsys.models.encoding import encode_cached

    alone = ModelReference.of(model.encoder)
    return encode_cached(alone, real_titles(), at, 2048, 4096, kept)


def _land(target: Path, table: pa.Table) -> None:
    """Write a file as producers must: under a temporary name, then renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    pq.write_table(table, temporary)
    temporary.rename(target)


def _log(user_N: NDArray[np.int64], item_N: NDArray[np.int64], times_N: NDArray[np.int64]) -> pa.Table:
    ids = [
        pc.binary_join_element_wise(name, pa.array(of).cast(pa.string()), "")
        for name, of in (("u", user_N), ("t", item_N))
    ]
    times = pa.array(times_N * 1_000_000, pa.timestamp("us", tz="UTC"))
    return pa.table(
        {"user_id": ids[0], "item_id": ids[1], "event": pa.repeat("save", len(ids[0])), "timestamp": times}
    )


def _real_log() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place of the paper among the real titles, and number of the reader, for each save."""
    items, saved = papers()
    paper_ids, paper_P = items["item_id"].to_pylist(), saved["item_id"].to_pylist()
    row_of = {item: row for row, item in enumerate(paper_ids)}
    _, reader_P = np.unique(np.array(saved["user_id"].to_pylist()), return_inverse=True)
    return np.array([row_of[item] for item in paper_P]), reader_P.astype(np.int64)


@cache
def _halves() -> tuple[list[str], list[str]]:
    words = [title.split() for title in real_titles()]
    heads = [" ".join(one[: len(one) // 2 + 1]) for one in words]
    return heads, [" ".join(one[len(one) // 2 :]) for one in words]
