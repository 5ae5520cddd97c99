"""User profiles in the space of the items, by ridge regression with one Gram matrix; and histories, one per part.

w = (XᵀX + λΣ⁻¹)⁻¹ b with b = Σ x over the distinct items that the user likes. X holds the profiles of items with likes,
never of items that nobody could have clicked yet. b is computed from the history on demand, so a changed text rewrites
no user. Σ is the prior of all users, I where there is none (`recsys/profiles/prior.py`).

Where the leading dimensions of profiles hold words, a user is the plain sum there, w = b / λ, and ridge regression uses
the other dimensions only. Over both it would remove from the words what the other dimensions explain, and what all
items share changes over time. The first of these dimensions completes unit length; users have 0 there.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.feedback import weighed
from recsys.catalogue.opinions import (
    FURTHER,
    LIKE,
    OPINIONS_SCHEMA,
    WITHDRAWAL,
    disliked_items,
    liked,
    liked_items,
    opinions,
    with_columns,
)
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.errors import ArtifactMissing
from recsys.profiles.gram import gram_of
from recsys.storage.atomic import write_parquet

__all__ = [
    "Histories",
    "HistoryFile",
    "Ridge",
    "gram_of",
    "history_files",
    "history_key",
    "history_users",
    "joined",
    "load_histories",
    "read_history",
    "sums_of",
    "users_key",
    "write_histories",
]

# Shape suffixes: U users, I items, D dimension.
HISTORY_VERSION = 2
HISTORY_SCHEMA = OPINIONS_SCHEMA
"""Files of version 1 lack `latest` and `weight`: they hold only likes."""
WEIGHED_VERSION = 3
"""Of files for a model with a weighting: likes have strengths, and what the weighting reads beside them is there."""
PAIRS = ["user", "item_id", "timestamp"]
GROUP_ROWS = 65_536
"""Opinions of a row group of a history file. They are in the order of users, so a user is in one group or two."""
NAMES = ["user", "item_id"]
"""Columns that a table of opinions holds as dictionaries in memory."""
HISTORY_NAME = re.compile(r"(?P<part>.+)-(?P<key>[0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class Ridge:
    """Ridge regression with the Gram matrix that all users share."""

    gram: NDArray[np.float64]
    """[D, D], XᵀX."""
    ridge_lambda: float
    """λ > 0, in units of squared profile length."""
    lexical_width: int = 0
    """Number of leading dimensions that it leaves out, see `recsys.heads.reference.HeadReference.lexical_width`."""
    prior_RD: NDArray[np.float32] | None = None
    """Rows of the prior, orthogonal to each other: Σ = I + rowsᵀ rows, see `recsys.profiles.prior`. None: Σ = I."""

    @cached_property
    def _factor(self) -> NDArray[np.floating]:
        metric_DD = self.gram.copy()
        metric_DD[: self.lexical_width] = metric_DD[:, : self.lexical_width] = 0
        metric_DD += self.ridge_lambda * np.eye(len(metric_DD))
        if self.prior_RD is not None:  # Σ⁻¹ = I - Σ r rᵀ / (1 + |r|²) over the rows
            rows_RD = self.prior_RD.astype(np.float64)
            rows_RD /= np.sqrt(1 + (rows_RD**2).sum(axis=1, keepdims=True))
            metric_DD -= self.ridge_lambda * (rows_RD.T @ rows_RD)
        factor_DD = np.linalg.cholesky(metric_DD)
        return np.asfortranarray(factor_DD)  # LAPACK would copy it for every user

    @cached_property
    def _inverse(self) -> NDArray[np.floating]:
        """Of the matrix whose factor `_factor` is. Half of it is read for a user, once; the factor, twice."""
        from scipy.linalg.lapack import dpotri

        inverse_DD, _ = dpotri(self._factor, lower=1)
        return np.asfortranarray(inverse_DD)

    def weights(self, b_UD: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute user profiles from sums of item profiles.

        Args:
            b_UD: Σ x over each user's items.

        Returns:
            w_UD; the score of an item is w · x. A zero row stays zero.

        Raises:
            ValueError: b_UD is not [U, D] for this Gram matrix, or holds a number that is not finite.
        """
        from scipy.linalg import cho_solve
        from scipy.linalg.blas import dsymv

        if b_UD.ndim != 2 or b_UD.shape[1] != len(self.gram):
            raise ValueError(f"b must be [U, {len(self.gram)}], got {list(b_UD.shape)}")
        if not np.isfinite(b_UD).all():
            raise ValueError("b holds a number that is not finite")
        b_DU = b_UD.T.astype(np.float64)
        if len(b_UD) == 1:  # a service asks for one user at a time: several times faster than `cho_solve`
            solved_DU = dsymv(1.0, self._inverse, b_DU[:, 0], lower=1)[:, None]
        else:
            solved_DU = cho_solve((self._factor, True), b_DU, check_finite=False)
        solved_DU[: min(1, self.lexical_width)] = 0
        return np.ascontiguousarray(solved_DU.T, dtype=np.float32)

    def deviations(self, vectors_ID: NDArray[np.floating]) -> NDArray[np.float64]:
        """How uncertain the scores of items are: √(xᵀ (XᵀX + λΣ⁻¹)⁻¹ x), the same for all users.

        Times σ this is the standard deviation of w · x, where the users' profiles are read as the means of a Bayesian
        linear regression whose targets have the standard deviation σ.

        Args:
            vectors_ID: item profiles.

        Returns:
            One number per item, larger for items that are unlike those of X.
        """
        from scipy.linalg import solve_triangular

        profile_DI = vectors_ID.T.astype(np.float64)
        profile_DI[: min(1, self.lexical_width)] = 0
        return np.asarray(np.linalg.norm(solve_triangular(self._factor, profile_DI, lower=True), axis=0))


@dataclass(frozen=True)
class HistoryFile:
    """One file of artifacts/users/histories."""

    part: str
    key: str
    path: Path


def history_key(rows_sha256: str, feedback: FeedbackParams, weighting: Weighting = YES_OR_NO) -> str:
    """16 hex digits of the SHA-256 over everything that a part's history depends on."""
    made_of: list[object] = [rows_sha256, HISTORY_VERSION, feedback.model_dump()]
    if not weighting.is_yes_or_no:  # what other models' histories hold does not depend on it
        scales = {name: scale.model_dump() for name, scale in weighting.scales.items()}
        made_of += [WEIGHED_VERSION, scales, bool(weighting.repeats)]
        made_of += ["events"] if weighting.events else []
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def users_key(segments: Iterable[str], histories: Iterable[str], sharing: str = "") -> str:
    """16 hex digits of the SHA-256 over the names of all segments and history files, which are content keys.

    Args:
        segments: names.
        histories: names.
        sharing: `Sharing.key`.

    Returns:
        The key.
    """
    made_of = [sorted(segments), sorted(histories), *([sharing] if sharing else [])]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def history_files(folder: Path) -> tuple[HistoryFile, ...]:
    """List every history of a folder, in order of parts.

    Args:
        folder: artifacts/users/histories.

    Returns:
        One entry per interactions part.

    Raises:
        ArtifactMissing: the folder does not exist; stage `users` makes it.
    """
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="run: dvc repro users")
    named = ((HISTORY_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir()))
    return tuple(HistoryFile(match["part"], match["key"], path) for match, path in named if match)


def write_histories(
    interactions: pa.Table, feedback: FeedbackParams, target: Path, weighting: Weighting = YES_OR_NO
) -> None:
    """Write the history of one part: each pair once, ordered by user and first time.

    Args:
        interactions: in INTERACTIONS_SCHEMA.
        feedback: section `feedback`: which of them are likes.
        target: `histories/<part>-<key16>.parquet`.
        weighting: of the model: how strong likes are, and what else is known of them.
    """
    made = weighed(interactions, feedback, weighting.scales, weighting.columns)
    write_parquet(target, opinions(made), GROUP_ROWS)


class Histories:
    """Likes and dislikes of all users. Over all parts, the latest interaction of a pair decides.

    Args:
        found: histories of the parts in HISTORY_SCHEMA, in order of arrival.
    """

    def __init__(self, found: pa.Table) -> None:
        for name in NAMES:  # kept once, not for each opinion
            if not pa.types.is_dictionary(found[name].type):
                place = found.column_names.index(name)
                found = found.set_column(place, name, found[name].dictionary_encode())
        ordered = opinions(found).combine_chunks()
        users = ordered["user"].chunk(0) if len(ordered) else pa.array([], pa.string()).dictionary_encode()
        self._users, self._user_O = users.dictionary, users.indices
        self._opinions = ordered.drop_columns("user")

    @property
    def pairs(self) -> pa.Table:
        """Likes: user, item_id, timestamp; sorted by user, first time (unknown last) and arrival."""
        user_O = self._users.take(self._user_O)
        return _with_names(liked(self._opinions.append_column("user", user_O)).select(PAIRS))

    @property
    def n_pairs(self) -> int:
        """Number of likes."""
        return int(pc.sum(self._is_like).as_py() or 0)

    def likes_of(self, item_ids: pa.Array) -> NDArray[np.int32]:
        """How many users like each of some items, [I]."""
        liked_ids = self._liked.dictionary
        n_users = np.bincount(self._liked.indices, minlength=len(liked_ids))
        place_I = pc.index_in(item_ids, value_set=liked_ids).fill_null(len(liked_ids))
        found: NDArray[np.int32] = np.append(n_users, 0)[np.asarray(place_I)].astype(np.int32)
        return found

    @property
    def liked_items(self) -> pa.Array:
        """Ids of the distinct items that somebody likes."""
        return _ids_of(self._liked.unique())

    @property
    def _liked(self) -> pa.DictionaryArray:
        """The item of each of `pairs`."""
        return self._opinions["item_id"].combine_chunks().filter(self._is_like.combine_chunks())

    @cached_property
    def items(self) -> pa.Array:
        """Ids of all items that somebody likes, dislikes, or has withdrawn an opinion of."""
        return _ids_of(self._opinions["item_id"].combine_chunks().unique())

    @cached_property
    def users(self) -> list[str]:
        """Pseudonyms of all users with likes, sorted."""
        likes = self._is_like.combine_chunks()
        found: list[str] = self._users.take(pc.unique(self._user_O.filter(likes))).to_pylist()
        return found

    @property
    def _is_like(self) -> pa.ChunkedArray:
        return pc.greater(self._opinions["weight"], WITHDRAWAL)

    def opinions_of(self, user: str) -> pa.Table:
        """A user's opinions of items, including withdrawn ones.

        Args:
            user: a pseudonym.

        Returns:
            A table in OPINIONS_SCHEMA, perhaps with columns of FURTHER: one row per item, by first time; empty for an
            unknown user.
        """
        row = self._row_of_user.get(user)
        start, end = (0, 0) if row is None else self._starts[row : row + 2].tolist()
        found = _with_names(self._opinions.slice(start, end - start))
        return found.add_column(0, OPINIONS_SCHEMA.field("user"), pa.repeat(user, end - start))

    def items_of(self, user: str) -> tuple[str, ...]:
        """The distinct items that the user likes, oldest first; () for an unknown user."""
        return liked_items(self.opinions_of(user))

    def disliked_by(self, user: str) -> tuple[str, ...]:
        """The distinct items that the user dislikes. They are not recommended again, and teach nothing."""
        return disliked_items(self.opinions_of(user))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each user's opinions; one more row for the end."""
        codes = self._user_O.to_numpy(zero_copy_only=False)
        return np.searchsorted(codes, np.arange(len(self._users) + 1)).astype(np.int64)

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self._users.to_pylist())}


def _with_names(found: pa.Table) -> pa.Table:
    """The same rows with ids of items instead of numbers in a dictionary."""
    place = found.column_names.index("item_id")
    return found.set_column(place, "item_id", found["item_id"].cast(pa.string()))


def _ids_of(distinct: pa.DictionaryArray) -> pa.Array:
    return distinct.dictionary.take(distinct.indices)


def load_histories(files: Iterable[Path]) -> Histories:
    """Read the histories of all users.

    Args:
        files: history files in the order of their parts.

    Returns:
        The histories; empty for no files.
    """
    return joined(map(read_history, files))


def joined(tables: Iterable[pa.Table]) -> Histories:
    """Histories from the opinions of several files.

    Args:
        tables: of each file, in the order of their parts.

    Returns:
        The histories; empty for no tables.
    """
    found = [*tables] or [HISTORY_SCHEMA.empty_table()]
    further = {name for table in found for name in table.column_names if name in FURTHER}
    return Histories(pa.concat_tables([with_columns(table, further) for table in found]))


def history_users(files: Iterable[Path]) -> pa.Array:
    """Distinct pseudonyms in history files, sorted; no other column is read."""
    found = [_users_of(file).unique().dictionary for file in files]
    return pa.concat_arrays([pa.array([], pa.string()), *found]).unique().sort()


def _users_of(file: Path) -> pa.ChunkedArray:
    """The user of each opinion, as a dictionary."""
    with pq.ParquetFile(file, memory_map=True, read_dictionary=NAMES) as opened:
        return opened.read(["user"])["user"].unify_dictionaries()


def read_history(file: Path, user: str | None = None) -> pa.Table:
    """The opinions of one history file, of any version.

    Args:
        file: it lies in `histories/`, or is an object of a release.
        user: only opinions of this pseudonym, of which a few row groups are read; None: of all users.

    Returns:
        As HISTORY_SCHEMA, with the columns of FURTHER that it has; users and items of all are dictionaries.
    """
    with pq.ParquetFile(file, memory_map=True, read_dictionary=NAMES) as opened:
        there = opened.schema_arrow.names
        names = [name for name in (*HISTORY_SCHEMA.names, *FURTHER) if name in there]
        if user is None:
            found = opened.read(names)
        else:
            found = _of_user(opened.read_row_groups(_groups_with(opened, user), names), user)
    if "weight" not in there:  # version 1
        likes = pa.repeat(pa.scalar(LIKE, pa.float32()), len(found))
        found = found.append_column("latest", found["timestamp"]).append_column("weight", likes)
    return found


def _groups_with(opened: pq.ParquetFile, user: str) -> list[int]:
    """Row groups that may hold a user, by the first and last name that each is said to hold."""
    column, groups = opened.schema_arrow.names.index("user"), range(opened.metadata.num_row_groups)
    found = ((group, opened.metadata.row_group(group).column(column).statistics) for group in groups)
    return [
        group for group, held in found if held is None or not held.has_min_max or held.min <= user <= held.max
    ]


def _of_user(found: pa.Table, user: str) -> pa.Table:
    """Opinions of one user, with names instead of numbers: few rows need few of them."""
    some = found.filter(pc.equal(found["user"].cast(pa.string()), user))
    for name in NAMES:
        some = some.set_column(some.column_names.index(name), name, some[name].cast(pa.string()))
    return some


def sums_of(
    histories: Sequence[Sequence[str]], row_of_item: dict[str, int], vectors_ID: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum the profiles of each history's items, b_UD = Σ x. Items without a profile are left out.

    Args:
        histories: distinct item ids per user.
        row_of_item: item id -> row of `vectors_ID`.
        vectors_ID: item profiles.

    Returns:
        b_UD float64.
    """
    b_UD = np.zeros((len(histories), vectors_ID.shape[1]))
    for user, items in enumerate(histories):
        rows = [row_of_item[item] for item in items if item in row_of_item]
        b_UD[user] = vectors_ID[rows].sum(axis=0, dtype=np.float64)
    return b_UD
