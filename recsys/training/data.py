"""The training set: items of the split's training pairs. Some of them are held out again, cold, for validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.catalogue.held_out import hash_share
from recsys.catalogue.split import Split
from recsys.catalogue.weighting import Scales
from recsys.dataset.interactions import Interactions, make_interactions, with_opinions
from recsys.dataset.versions import texts_of
from recsys.errors import ConfigError
from recsys.storage.strings import UNKNOWN, Strings, distinct
from recsys.validation.folds import newest, times_of

# Shape suffixes: U users, I items, E items learned from.
MIN_USERS = 2


@dataclass(frozen=True)
class TrainingSet:
    """The training side of a split, over item rows and user rows."""

    interactions: Interactions
    """All interactions of the training side; every item has one."""
    texts: Sequence[str]
    """One per item: the version that evaluation uses too."""
    places: pa.Table
    """Part and line of each text."""
    is_held_I: NDArray[np.bool_]
    """The validation slice: items that are held out cold, so no history contains them."""
    times: Mapping[str, NDArray[np.float64]]
    """When items were new, by kind of time (see `validation.folds.cold_folds`); empty for a split by item hash."""
    scales: Scales = field(default_factory=dict)
    """Scales by which the strengths of the interactions were computed."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Sorted."""
        return self.interactions.item_ids

    @property
    def users(self) -> Sequence[str]:
        """Pseudonyms, sorted."""
        return self.interactions.users

    @cached_property
    def fit(self) -> Interactions:
        """Interactions to learn from: those with items outside the validation slice."""
        return self.interactions.only_items(~self.is_held_I)

    @cached_property
    def held(self) -> Interactions:
        """Interactions with items of the validation slice."""
        return self.interactions.only_items(self.is_held_I)

    @cached_property
    def fit_rows(self) -> NDArray[np.int64]:
        """Rows of the items to learn from, ascending [E]."""
        return np.flatnonzero(~self.is_held_I)

    @cached_property
    def held_rows(self) -> NDArray[np.int64]:
        """Rows of the validation slice, ascending."""
        return np.flatnonzero(self.is_held_I)

    @cached_property
    def older_rows(self) -> NDArray[np.int64]:
        """A random sample of the items to learn from, as many as the validation slice at most, ascending.

        How their ranking changes from the first epoch to the last shows what training forgets.
        """
        order = np.argsort([hash_share(0, "older", self.item_ids[row]) for row in self.fit_rows])
        return np.sort(self.fit_rows[order[: len(self.held_rows)]])

    @cached_property
    def fit_UI(self) -> csr_array:
        """`fit` as a float32 matrix, the precision of the losses."""
        return self.fit.matrix_UI.astype(np.float32)

    @cached_property
    def fit_IU(self) -> csr_array:
        """`fit_UI`, transposed."""
        return csr_array(self.fit_UI.T)


def make_training_set(
    split: Split,
    versions: pa.Table,
    validation_share: float,
    seed: int,
    known_until: datetime | None = None,
) -> TrainingSet:
    """Join the split's training pairs with the items' texts, and hold out the validation slice.

    Args:
        split: its training side, and the version of each text that counts.
        versions: rows of the features: part, line, text.
        validation_share: share of the training items that is held out cold, as the split holds items out: the newest by
            first interaction or by first text; random ones where neither tells new from old, or where the split is by
            item hash.
        seed: salts the hash that chooses random ones.
        known_until: only items that nobody interacted with before are held out, since what training begins from may
            know the others; None: it knows none.

    Returns:
        The training set. It does not depend on the order of rows.

    Raises:
        ConfigError: there are no pairs, or fewer than two users with two items.
        ArtifactMissing: the text of a training item is missing; names item, part and line.
    """
    train = split.train
    if train.num_rows == 0:
        raise ConfigError(
            "finetune: no interaction lies before the cut, so nothing is warm",
            remedy="land interactions, then run: dvc repro split",
        )
    item_ids, users = Strings(distinct(train["item_id"])), Strings(distinct(train["user"]))
    interactions = make_interactions(
        train["user"], train["item_id"], users, item_ids, times_of(train["timestamp"])
    )
    if (opinions := split.feedback_of("train")) is not None:
        interactions = with_opinions(interactions, opinions)
    # The newest items choose otherwise than the random ones by which a split by item hash is judged.
    times = _times(interactions, versions) if split.summary.by == "time" else {}
    is_held_I = _held(item_ids, times, validation_share, seed)
    if known_until is not None:
        is_held_I &= times["first interaction"] >= known_until.timestamp()
    n_users = int((interactions.only_items(~is_held_I).n_items_U > 1).sum())
    if n_users < MIN_USERS:
        raise ConfigError(
            f"finetune: {n_users} of {len(users)} users have two items to learn from: one for the history, one to find",
            remedy="land more interactions, or lower finetune.validation_share",
        )
    items = split.items.take(pa.array(Strings(split.items["item_id"]).rows_in(item_ids.column)))
    places = items.select(["part", "line"])
    return TrainingSet(
        interactions, texts_of(items, versions), places, is_held_I, times, split.summary.scales
    )


def _times(interactions: Interactions, versions: pa.Table) -> dict[str, NDArray[np.float64]]:
    unknown_I = np.full(len(interactions.item_ids), np.nan)
    used_I = interactions.first_times()
    first = versions.group_by("item_id").aggregate([("updated_at", "min")])
    rows_I = Strings(first["item_id"]).rows_in(Strings(interactions.item_ids).column)
    return {
        "first interaction": unknown_I if used_I is None else used_I,
        "first text": times_of(first["updated_at_min"].take(pa.array(rows_I, mask=rows_I == UNKNOWN))),
    }


def _held(
    item_ids: Sequence[str], times: Mapping[str, NDArray[np.float64]], share: float, seed: int
) -> NDArray[np.bool_]:
    """The newest share, by the first kind of time that distinguishes new items from old ones; else a random share."""
    for times_I in times.values():
        rows = newest(item_ids, np.arange(len(item_ids)), seed, times_I, share)
        if rows is not None:
            return np.isin(np.arange(len(item_ids)), rows)
    return np.array([hash_share(seed, "validation", item) < share for item in item_ids], bool)
