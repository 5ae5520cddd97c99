"""A cold-start task on any data set: learn from everything but the cold items' interactions, rank the cold items."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.dataset.interactions import Interactions, make_interactions, with_opinions
from recsys.errors import UnreadableFile
from recsys.evaluation.words import joined, text_columns
from recsys.features.params import FeaturesParams
from recsys.features.text import item_texts
from recsys.profiles.alike import with_alike
from recsys.profiles.gram import gram_of
from recsys.profiles.prior import prior_among
from recsys.profiles.ridge import Ridge
from recsys.ranking.tasks import rank
from recsys.storage.strings import Strings
from recsys.validation.folds import cold_folds, dates_of, times_of

# Shape suffixes: U users, I items, C cold items, D dimension.
N_EXAMPLES = 3
"""Number of unknown ids in a message."""


@dataclass(frozen=True)
class Task:
    """Interactions to learn from, and cold items to rank. Items are rows in the order of the items file."""

    interactions: Interactions
    """Interactions of all users of the file, sorted, without those with cold items."""
    texts: tuple[str, ...]
    fields: tuple[str, ...]
    """Columns that became text, in order."""
    cold: NDArray[np.int64]
    """Rows of the candidates, ascending."""
    times: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """When items were new, by kind: their first interaction, or a column of dates; see `folds.cold_folds`."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Item ids, in the order of the items file."""
        return self.interactions.item_ids

    @property
    def users(self) -> Sequence[str]:
        """Sorted."""
        return self.interactions.users

    @property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items with interactions; none of them is cold."""
        return self.interactions.warm

    def folds(self, seed: int) -> dict[str, NDArray[np.int64]]:
        """Folds of warm items for validation, see `folds.cold_folds`."""
        return cold_folds(self.item_ids, self.warm, seed, self.times)


def make_task(
    items: pa.Table,
    interactions: pa.Table,
    cold_ids: Sequence[str],
    features: FeaturesParams,
    fields: Sequence[str] = (),
) -> Task:
    """Make the task. Interactions with cold items are dropped before anything uses them.

    A pair counts once. Rows with a weight of 0 or less are no interactions; weights say how strong likes and dislikes
    are.

    Args:
        items: item_id and text columns.
        interactions: user_id, item_id, optionally weight; what `tables.read_interactions` adds where it is there.
        cold_ids: the candidates.
        features: section `features`; its fields are replaced by the columns that become text.
        fields: columns of items to use as text, in this order; none: all that hold words, see `words.text_columns`.

    Returns:
        The task.

    Raises:
        UnreadableFile: an item is listed twice, has no text or is unknown; a field is unknown; or nothing is left to
            learn from.
    """
    item_ids = tuple(items["item_id"].to_pylist())
    row_of_item = {item: row for row, item in enumerate(item_ids)}
    if len(row_of_item) < len(item_ids):
        twice = next(item for row, item in enumerate(item_ids) if row_of_item[item] != row)
        raise UnreadableFile(f"--items lists item {twice!r} twice", remedy="keep one row per item")
    unknown = next((item for item in cold_ids if item not in row_of_item), None)
    if unknown is not None:
        raise UnreadableFile(
            f"--cold lists {unknown!r}, which --items lacks", remedy="add its row to --items"
        )
    fields = _known_fields(items, fields) if fields else text_columns(items).taken
    texts = _texts(items, fields, features)
    cold = np.sort(np.array([row_of_item[item] for item in cold_ids], np.int64))
    users = tuple(sorted(pc.unique(interactions["user_id"]).to_pylist()))
    known = _interactions(interactions, users, item_ids, cold)
    if not len(known.warm):
        strangers = unknown_items(interactions, item_ids)
        examples = ", ".join(map(repr, strangers[:N_EXAMPLES]))
        hint = f"; {len(strangers):,} of their items are unknown, such as {examples}" if strangers else ""
        raise UnreadableFile(
            f"--interactions hold no like of items of --items that are not cold{hint}",
            remedy="add interactions to learn from, with the ids of --items",
        )
    return Task(known, texts, fields, cold, _times(items, known))


def unknown_items(interactions: pa.Table, item_ids: Sequence[str]) -> list[str]:
    """Items with interactions that the items file lacks.

    Args:
        interactions: item_id.
        item_ids: known ids.

    Returns:
        Distinct ids, sorted.
    """
    return sorted(set(pc.unique(interactions["item_id"]).to_pylist()) - set(item_ids))


def rank_cold(
    task: Task,
    vectors_ID: NDArray[np.float32],
    ridge_lambda: float,
    k: int,
    lexical_width: int = 0,
    weighting: Weighting = YES_OR_NO,
    gram: NDArray[np.float64] | None = None,
    prior_weight: float = 0.0,
) -> pa.Table:
    """Rank the best k cold items for every user. Users without a history get the mean of all users.

    Args:
        task: the task.
        vectors_ID: item profiles.
        ridge_lambda: λ.
        k: length of the lists; at most the number of cold items.
        lexical_width: leading dimensions of the profiles that hold words.
        weighting: how much likes and dislikes count.
        gram: XᵀX of the users' ridge regression; None: X holds the warm items.
        prior_weight: of the users' prior.

    Returns:
        user_id, item_id, rank (1 = best), by user and rank.
    """
    gram = gram_of(vectors_ID, task.warm) if gram is None else gram
    prior_RD = prior_among(
        task.users, task.interactions.matrix_UI, vectors_ID.__getitem__, prior_weight, lexical_width
    )
    ridge = Ridge(gram, ridge_lambda, lexical_width, prior_RD)
    signals_UI = with_alike(
        task.interactions.signals(weighting),
        task.interactions.matrix_UI,
        vectors_ID,
        weighting.alike,
        lexical_width,
    )
    b_UD = signals_UI @ vectors_ID.astype(np.float64)
    n_U = task.interactions.n_items_U
    b_UD[n_U == 0] = (b_UD[n_U > 0] / n_U[n_U > 0, None]).mean(axis=0)
    k, everybody = min(k, len(task.cold)), np.arange(len(task.users))
    rows_UK = rank(_Sums(ridge, b_UD, vectors_ID, task.warm), everybody, task.cold, k).rows_UK
    item_ids, users = Strings(task.item_ids).column, Strings(task.users).column
    return pa.table(
        {
            "user_id": users.take(pa.array(np.repeat(np.arange(len(task.users)), k))),
            "item_id": item_ids.take(pa.array(rows_UK.ravel())),
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), len(task.users))),
        }
    )


@dataclass(frozen=True)
class _Sums:
    """Ridge users, given their sums of profiles."""

    ridge: Ridge
    b_UD: NDArray[np.float64]
    vectors_ID: NDArray[np.float32]
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = w · x."""
        return self.ridge.weights(self.b_UD[users]) @ self.vectors_ID[candidates].T


def _known_fields(items: pa.Table, fields: Sequence[str]) -> tuple[str, ...]:
    unknown = next((name for name in fields if name not in items.column_names), None)
    if unknown is not None:
        there = ", ".join(name for name in items.column_names if name != "item_id")
        raise UnreadableFile(
            f"--items has no column {unknown!r} to take as text", remedy=f"name some of {there}, or none"
        )
    return tuple(fields)


def _texts(items: pa.Table, fields: tuple[str, ...], features: FeaturesParams) -> tuple[str, ...]:
    """One text per item, made by the usual preprocessing."""
    if not fields:
        raise UnreadableFile("--items has no column of text beside item_id", remedy="add a column title")
    values = {name: joined(items[name]) for name in fields}
    rows = [{name: values[name][row] for name in fields} for row in range(items.num_rows)]
    bare = next((row for row, words in enumerate(rows) if not any(map(str.strip, words.values()))), None)
    if bare is not None:
        raise UnreadableFile(
            f"--items: item {items['item_id'][bare].as_py()!r} has no text", remedy="give it a title"
        )
    table = pa.Table.from_pylist(
        [
            {
                "item_id": items["item_id"][row].as_py(),
                "title": words.pop("title", None),
                "description": words.pop("description", None),
                "tags": [tags] if (tags := words.pop("tags", None)) else None,
                "attributes": json.dumps(words, ensure_ascii=False),
                "deleted": False,
                "part": "items",
                "line": row + 1,
            }
            for row, words in enumerate(rows)
        ],
        schema=CATALOGUE_SCHEMA,
    )
    made = item_texts(table, features.model_copy(update={"fields": fields}))
    return tuple(made["text"].to_pylist())


def _interactions(
    log: pa.Table, users: tuple[str, ...], item_ids: tuple[str, ...], cold: NDArray[np.int64]
) -> Interactions:
    """Likes of known items that are not cold, with their times and strengths where there are any; and dislikes."""
    likes = log
    if "weight" in log.column_names:
        likes = log.filter(pc.greater(log["weight"].cast(pa.float64()).fill_null(1.0), 0))
    times_R = times_of(likes["timestamp"]) if "timestamp" in log.column_names else None
    made = make_interactions(likes["user_id"], likes["item_id"], users, item_ids, times_R).without(cold)
    if not {"weight", "latest"} <= set(log.column_names):
        return made
    return with_opinions(made, log.rename_columns({"user_id": "user"}))


def _times(items: pa.Table, interactions: Interactions) -> dict[str, NDArray[np.float64]]:
    """When items were new, by kind."""
    first_I = interactions.first_times()
    used = {} if first_I is None else {"first interaction": first_I}
    return used | dates_of({name: items[name] for name in items.column_names})
