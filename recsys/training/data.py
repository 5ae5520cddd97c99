"""What training may see: the items of the split's training pairs, some of them held out again, cold, for validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.catalogue.split import Split, hash_share
from recsys.dataset.histories import only_items
from recsys.errors import ArtifactMissing, ConfigError
from recsys.validation.folds import first_times, newest, times_of

# Shape suffixes: U users, I items, E items learned from.
MIN_USERS = 2


@dataclass(frozen=True)
class TrainingSet:
    """Items and users have rows here; everything refers to them."""

    item_ids: tuple[str, ...]
    """Items with a training pair, sorted."""
    texts: tuple[str, ...]
    """One per item: the version that judging uses."""
    places: tuple[tuple[str, int], ...]
    """Part and line of each text."""
    users: tuple[str, ...]
    """Pseudonyms, sorted."""
    fit_UI: csr_array
    """1 where a user met an item that is learned from, float32."""
    held_UI: csr_array
    """1 where a user met an item of the validation slice."""
    is_held_I: NDArray[np.bool_]
    """The validation slice: cold within training, its pairs are in no history."""
    times: Mapping[str, NDArray[np.float64]]
    """When items were new, by kind, see `evaluation.folds.cold_folds`."""

    @cached_property
    def fit_rows(self) -> NDArray[np.int64]:
        """Rows of the items that are learned from, ascending [E]."""
        return np.flatnonzero(~self.is_held_I)

    @cached_property
    def held_rows(self) -> NDArray[np.int64]:
        """Rows of the validation slice, ascending."""
        return np.flatnonzero(self.is_held_I)

    @cached_property
    def fit_IU(self) -> csr_array:
        """`fit_UI` by items."""
        return csr_array(self.fit_UI.T)

    @cached_property
    def n_met_I(self) -> NDArray[np.int64]:
        """Users of each item, in the pairs that are learned from."""
        return np.asarray(np.diff(self.fit_IU.indptr), np.int64)

    @cached_property
    def n_items_U(self) -> NDArray[np.int64]:
        """Items of each user, in the pairs that are learned from."""
        return np.asarray(np.diff(self.fit_UI.indptr), np.int64)


def make_training_set(split: Split, versions: pa.Table, validation_share: float, seed: int) -> TrainingSet:
    """Join the split's training pairs with the texts that judging uses, and hold out the validation slice.

    Args:
        split: only its training side is read, and which version of a text counts.
        versions: rows of the features: part, line, text.
        validation_share: share of the training items that is held out cold: the newest by their first interaction, or
            by their first text; random ones where neither tells new from old.
        seed: salts the hash that chooses random ones.

    Returns:
        The training set; the same for any order of rows.

    Raises:
        ConfigError: there are no pairs, or fewer than two users with two items: nothing can be learned from.
        ArtifactMissing: the text of a training item is not there; names item, part and line.
    """
    train = split.train
    if train.num_rows == 0:
        raise ConfigError(
            "finetune: no interaction lies before the cut, so nothing is warm",
            remedy="land interactions, then run: dvc repro split",
        )
    item_ids = tuple(sorted(pc.unique(train["item_id"]).to_pylist()))
    users = tuple(sorted(pc.unique(train["user"]).to_pylist()))
    pairs_UI = _matrix(train, users, item_ids)
    times = _times(train, versions, users, item_ids, pairs_UI)
    held_I = _held(item_ids, times, validation_share, seed)
    fit_UI, held_UI = only_items(pairs_UI, ~held_I), only_items(pairs_UI, held_I)
    n_users = int((np.diff(fit_UI.indptr) > 1).sum())
    if n_users < MIN_USERS:
        raise ConfigError(
            f"finetune: {n_users} of {len(users)} users have two items to learn from: one is remembered, one is asked",
            remedy="land more interactions, or lower finetune.validation_share",
        )
    texts, places = _texts(item_ids, split.items, versions)
    return TrainingSet(item_ids, texts, places, users, fit_UI, held_UI, held_I, times)


def _times(
    train: pa.Table,
    versions: pa.Table,
    users: tuple[str, ...],
    item_ids: tuple[str, ...],
    pairs_UI: csr_array,
) -> dict[str, NDArray[np.float64]]:
    rows, columns = (
        pc.index_in(train[name], value_set=pa.array(ids, pa.string())).to_numpy()
        for name, ids in (("user", users), ("item_id", item_ids))
    )
    met = first_times(rows, columns, times_of(train["timestamp"]), pairs_UI)
    first = versions.group_by("item_id").aggregate([("updated_at", "min")])
    place = pc.index_in(pa.array(item_ids, pa.string()), value_set=first["item_id"].combine_chunks())
    return {"first interaction": met, "first text": times_of(first["updated_at_min"].take(place))}


def _held(
    item_ids: tuple[str, ...], times: Mapping[str, NDArray[np.float64]], share: float, seed: int
) -> NDArray[np.bool_]:
    """The newest share by the first kind of time that tells new from old, else a random one."""
    for times_I in times.values():
        rows = newest(item_ids, np.arange(len(item_ids)), seed, times_I, share)
        if rows is not None:
            return np.isin(np.arange(len(item_ids)), rows)
    return np.array([hash_share(seed, "validation", item) < share for item in item_ids], bool)


def _matrix(pairs: pa.Table, users: tuple[str, ...], item_ids: tuple[str, ...]) -> csr_array:
    rows = pc.index_in(pairs["user"], value_set=pa.array(users, pa.string())).to_numpy()
    columns = pc.index_in(pairs["item_id"], value_set=pa.array(item_ids, pa.string())).to_numpy()
    ones = np.ones(len(rows), np.float32)
    matrix = csr_array((ones, (rows, columns)), shape=(len(users), len(item_ids)))
    matrix.sort_indices()
    return matrix


def _texts(
    item_ids: tuple[str, ...], items: pa.Table, versions: pa.Table
) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    wanted = items.filter(pc.is_in(items["item_id"], value_set=pa.array(item_ids, pa.string())))
    place_of = {
        row["item_id"]: (row["part"], row["line"])
        for row in wanted.select(["item_id", "part", "line"]).to_pylist()
    }
    known = versions.filter(pc.is_in(versions["item_id"], value_set=pa.array(item_ids, pa.string())))
    columns = (known[name].to_pylist() for name in ("part", "line", "text"))
    text_at = {(part, line): text for part, line, text in zip(*columns, strict=True)}
    lost = next((item for item in item_ids if text_at.get(place_of[item]) is None), None)
    if lost is not None:
        part, line = place_of[lost]
        raise ArtifactMissing(
            f"item {lost!r} has no text from part {part}, line {line}",
            remedy="features and split belong to different data: run dvc repro split",
        )
    places = tuple(place_of[item] for item in item_ids)
    return tuple(text_at[place] for place in places), places
