"""The holdout as arrays over item rows and user rows, on which models are judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.held_out import hash_share
from recsys.catalogue.split import Split
from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, make_interactions, with_opinions
from recsys.dataset.versions import places_of, texts_of
from recsys.errors import ArtifactMissing
from recsys.features.views import NO_VIEWS, Views
from recsys.profiles.items import Segment
from recsys.ranking.ranker import Ranker
from recsys.storage.arrays import let_go, write_mapped
from recsys.storage.strings import UNKNOWN, Strings, distinct

MAPPED_FROM = 1 << 28
"""Bytes of profiles that are held in memory at most, where a file to map may be written."""
BLOCK_ROWS = 1 << 16
"""Profiles gathered at once for such a file."""
MIXED = "mixed"
"""Slice of warm and cold items together."""
# Shape suffixes: U users, I items, D dimension.


@dataclass(frozen=True)
class Holdout:
    """Data to learn from, and test interactions, over item rows and user rows."""

    known: Dataset
    """Data to learn from. Its users are those with a training history, sorted. Its items are in the order of a salted
    hash, so that equal scores favour no kind of item."""
    ranker: Ranker
    """Ranker of the model that made the profiles."""
    train: pa.Table
    """Training pairs of the split: user, item_id, timestamp."""
    test: Interactions
    """Interactions after the cut, over the same rows."""
    slice_of_item: NDArray[np.str_]
    """cold or warm."""
    is_judged: NDArray[np.bool_]
    cut: datetime | None
    updated_at: NDArray[np.datetime64]
    """When the used version of each item's text was written, in microseconds of UTC; NaT where that is unknown."""
    oldest_text: NDArray[np.datetime64]
    """When its first version was written, likewise."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Item id of each item row."""
        return self.known.item_ids

    @property
    def users(self) -> Sequence[str]:
        """Pseudonyms of the user rows."""
        return self.known.interactions.users

    def candidates(self, name: str) -> NDArray[np.int64]:
        """Rows of the judged items of a slice, ascending; all items for `mixed`."""
        return np.flatnonzero(((self.slice_of_item == name) | (name == MIXED)) & self.is_judged)


def make_holdout(
    split: Split,
    versions: pa.Table,
    segments: tuple[Segment, ...],
    ridge_lambda: float,
    seed: int,
    ranker: Ranker,
    lexical_width: int = 0,
    typical_weight: float = 0.0,
    views_of: Callable[[Sequence[str]], Views] = lambda _: NO_VIEWS,
    weighting: Weighting = YES_OR_NO,
    prior_weight: float = 0.0,
    mapped: Path | None = None,
) -> Holdout:
    """Join the split with texts and profiles, in the versions that the split chose.

    Args:
        split: from stage `split`.
        versions: all rows of the features: item_id, text, tags, updated_at, part, line.
        segments: profiles of the champion.
        ridge_lambda: λ of the user profiles.
        seed: salts the order of the items.
        ranker: of the model.
        lexical_width: leading dimensions of its profiles that hold words.
        typical_weight: of its users, see `recsys.ranking.typical`.
        views_of: gives the views of items in the order of their ids.
        weighting: of its users.
        prior_weight: of its users, see `recsys.profiles.prior`.
        mapped: file for the profiles of a large catalogue, see `_vectors`; None: they are in memory.

    Returns:
        The holdout.

    Raises:
        ArtifactMissing: a text or profile that the split names is missing; names item, part and line.
    """
    shares_I = np.array([hash_share(seed, item) for item in Strings(split.items["item_id"])], np.float64)
    items = split.items.take(pa.array(np.argsort(shares_I, kind="stable")))  # they are sorted by id
    texts, tags, oldest = _texts(items, versions)
    item_ids, users = Strings(items["item_id"]), Strings(distinct(split.train["user"]))
    train, test = (
        make_interactions(side["user"], side["item_id"], users, item_ids)
        for side in (split.train, split.test)
    )
    if (opinions := split.feedback_of("train")) is not None:
        # Releases count dislikes of items that nobody likes as well, so judging does.
        train = with_opinions(train, opinions, of_cold_items=True)
    if (opinions := split.feedback_of("test")) is not None:
        test = with_opinions(test, opinions, of_cold_items=True)
    known = Dataset(
        interactions=train,
        vectors_ID=_vectors(items, segments, mapped),
        texts=texts,
        tags=tags,
        ridge_lambda=ridge_lambda,
        seed=seed,
        lexical_width=lexical_width,
        prior_weight=prior_weight,
        typical_weight=typical_weight,
        views=views_of(item_ids),
        weighting=weighting,
    )
    return Holdout(
        known=known,
        ranker=ranker,
        train=split.train,
        test=test,
        slice_of_item=np.where(np.asarray(pc.equal(items["slice"], "warm")), "warm", "cold"),
        is_judged=np.asarray(pc.is_null(items["left_out"]).combine_chunks()).astype(bool),
        cut=split.summary.cut,
        updated_at=_times(items["updated_at"]),
        oldest_text=oldest,
    )


def with_profiles(
    holdout: Holdout,
    split: Split,
    segments: tuple[Segment, ...],
    ridge_lambda: float,
    ranker: Ranker,
    lexical_width: int = 0,
    typical_weight: float = 0.0,
    weighting: Weighting = YES_OR_NO,
    prior_weight: float = 0.0,
    mapped: Path | None = None,
) -> Holdout:
    """The same holdout with another model's profiles: users, candidates, texts and histories stay.

    Args:
        holdout: made with the champion's profiles.
        split: of this holdout.
        segments: profiles of the other model.
        ridge_lambda: λ of its users.
        ranker: of the other model.
        lexical_width: leading dimensions of its profiles that hold words.
        typical_weight: of its users.
        weighting: of its users.
        prior_weight: of its users, see `recsys.profiles.prior`.
        mapped: file for the profiles of a large catalogue, see `_vectors`; None: they are in memory.

    Returns:
        The holdout with its profiles.

    Raises:
        ArtifactMissing: a profile that the split names is missing; names item, part and line.
    """
    places_I = Strings(split.items["item_id"]).rows_in(Strings(holdout.item_ids).column)
    vectors_ID = _vectors(split.items.take(pa.array(places_I)), segments, mapped)
    return with_vectors(
        holdout, vectors_ID, ridge_lambda, ranker, lexical_width, typical_weight, weighting, prior_weight
    )


def with_vectors(
    holdout: Holdout,
    vectors_ID: NDArray[np.float32],
    ridge_lambda: float,
    ranker: Ranker,
    lexical_width: int = 0,
    typical_weight: float = 0.0,
    weighting: Weighting = YES_OR_NO,
    prior_weight: float = 0.0,
) -> Holdout:
    """The same holdout with another model's profiles, given as an array.

    Args:
        holdout: made with the champion's profiles.
        vectors_ID: another model's profiles of `holdout.known.texts`.
        ridge_lambda: λ of its users.
        ranker: of the other model.
        lexical_width: leading dimensions of its profiles that hold words.
        typical_weight: of its users.
        weighting: of its users.
        prior_weight: of its users, see `recsys.profiles.prior`.

    Returns:
        The holdout with its profiles.
    """
    known = replace(
        holdout.known,
        vectors_ID=vectors_ID,
        ridge_lambda=ridge_lambda,
        lexical_width=lexical_width,
        typical_weight=typical_weight,
        weighting=weighting,
        prior_weight=prior_weight,
    )
    return replace(holdout, known=known, ranker=ranker)


def _texts(items: pa.Table, versions: pa.Table) -> tuple[Strings, pa.Array, NDArray[np.datetime64]]:
    """Text and tags in the chosen version, and the time of the first version, for each item."""
    tags = versions["tags"].combine_chunks().take(pa.array(places_of(items, versions, "text")))
    row_V = Strings(items["item_id"]).rows_in(versions["item_id"])
    is_text_V = (row_V != UNKNOWN) & ~np.asarray(versions["deleted"].to_numpy(), bool)
    stamps = pa.table({"row": row_V, "written": versions["updated_at"]}).filter(is_text_V)
    first = stamps.group_by("row").aggregate([("written", "min")])
    places = pc.index_in(pa.array(np.arange(len(items))), value_set=first["row"].combine_chunks())
    oldest = first["written_min"].take(places)
    return texts_of(items, versions), tags, _times(oldest)


def _times(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    times: NDArray[np.datetime64] = column.to_numpy().astype("datetime64[us]")
    return times


def _vectors(
    items: pa.Table, segments: tuple[Segment, ...], mapped: Path | None = None
) -> NDArray[np.float32]:
    """The profile of each item in the chosen version, float32 [I, D].

    Where they take more than MAPPED_FROM bytes and a file is given, they are written to it and mapped, so that the
    profiles of two models of a large catalogue need not be in memory together.
    """
    tables = [segment.rows(["item_id", "part", "line", "deleted"]) for segment in segments]
    if not tables:
        raise ArtifactMissing("there are no profiles", remedy="run: dvc repro profiles@champion")
    place_I = places_of(items, pa.concat_tables(tables), "profile")
    starts = np.cumsum([0, *(len(table) for table in tables)])
    segment_I = np.searchsorted(starts, place_I, side="right") - 1
    shape = len(items), segments[0].vectors().shape[1]
    if mapped is None or 4 * shape[0] * shape[1] <= MAPPED_FROM:
        return _gathered(segments, segment_I, place_I - starts[segment_I])
    blocks = (slice(start, start + BLOCK_ROWS) for start in range(0, len(items), BLOCK_ROWS))
    return write_mapped(
        mapped,
        shape,
        (_gathered(segments, segment_I[part], (place_I - starts[segment_I])[part]) for part in blocks),
    )


def _gathered(
    segments: tuple[Segment, ...], segment_N: NDArray[np.int64], row_N: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Rows of the segments' vectors, float32 [N, D]; what was mapped for them is let go."""
    vectors_ND = np.empty((len(row_N), segments[0].vectors().shape[1]), np.float32)
    for position in np.unique(segment_N).tolist():
        here, of_segment = segment_N == position, segments[position].vectors()
        vectors_ND[here] = of_segment[row_N[here]]
        let_go(of_segment)
    return vectors_ND
