"""How many users like each item: all that the users' shared matrix needs of histories, kept from one run to the next.

An arrival without interactions reads no history. One with interactions reads the histories of its own users alone:
what others like does not change.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.profiles.histories import Histories
from recsys.profiles.histories_by_user import HistoriesByUser
from recsys.profiles.history_files import history_users, load_histories
from recsys.storage.checked import read_checked_table, write_checked_table

SCHEMA = pa.schema([("item_id", pa.string()), ("n_users", pa.int64())])
ABOUT = b"like_counts"


@dataclass(frozen=True)
class LikeCounts:
    """Likes by item, and how many there are in all."""

    table: pa.Table
    """As SCHEMA, sorted by item_id: only items that somebody likes."""
    n_users: int
    """Users who like an item."""
    n_pairs: int
    """Distinct pairs of a user and a liked item."""
    files: tuple[str, ...] = ()
    """Names of the history files, sorted; each names its content."""

    @classmethod
    def of(cls, histories: Histories, files: Sequence[str] = ()) -> "LikeCounts":
        """Count the likes of all users.

        Args:
            histories: of all users.
            files: names of the files that they were read from.

        Returns:
            The counts.
        """
        items = histories.liked_items
        columns = [items, pa.array(histories.likes_of(items), pa.int64())]
        table = pa.table(columns, schema=SCHEMA).sort_by("item_id")
        return cls(table, len(histories.users), histories.n_pairs, tuple(sorted(files)))

    @property
    def items(self) -> pa.Array:
        """Ids of the items that somebody likes, sorted."""
        return self.table["item_id"].combine_chunks()

    def save(self, path: Path) -> None:
        """Write it to a cache."""
        about = {"n_users": self.n_users, "n_pairs": self.n_pairs, "files": self.files}
        write_checked_table(path, self.table.replace_schema_metadata({ABOUT: json.dumps(about)}))

    @classmethod
    def load(cls, path: Path) -> "LikeCounts | None":
        """Read what `save` wrote; None where it is missing or damaged, since it only saves time."""
        table = read_checked_table(path)
        if table is None:
            return None
        about = json.loads(table.schema.metadata[ABOUT])
        files = tuple(about["files"])
        return cls(table.replace_schema_metadata(), about["n_users"], about["n_pairs"], files)


def count_likes(before: LikeCounts | None, files: Sequence[Path], by_user: HistoriesByUser) -> LikeCounts:
    """Count the likes of history files, with as few of them read again as possible.

    Args:
        before: counts of some of the files; None: count from nothing.
        files: history files in the order of their parts.
        by_user: reads the histories of single users.

    Returns:
        The counts; they equal those from nothing.
    """
    names = [file.name for file in files]
    known = set(before.files) if before else set[str]()
    new = [file for file in files if file.name not in known]
    if before is None or not known <= set(names) or _n_rows(new) > _n_rows(files) / 2:
        return LikeCounts.of(load_histories(files), names)
    if not new:
        return before
    users = history_users(new)
    then = LikeCounts.of(by_user.of([file for file in files if file.name in known], users))
    now = LikeCounts.of(by_user.of(files, users))
    return LikeCounts(
        _sum(before.table, _negated(then.table), now.table),
        before.n_users - then.n_users + now.n_users,
        before.n_pairs - then.n_pairs + now.n_pairs,
        tuple(sorted(names)),
    )


def _n_rows(files: Sequence[Path]) -> int:
    return sum(int(pq.read_metadata(file).num_rows) for file in files)


def _negated(table: pa.Table) -> pa.Table:
    return table.set_column(1, SCHEMA.field("n_users"), pc.negate(table["n_users"]))


def _sum(*tables: pa.Table) -> pa.Table:
    """Counts of all tables by item, without items that nobody likes any more."""
    ids = pa.concat_tables(tables)["item_id"].combine_chunks().dictionary_encode()
    counts = np.concatenate([table["n_users"].to_numpy() for table in tables])
    n_users_I = np.bincount(ids.indices, counts, len(ids.dictionary)).astype(np.int64)
    found = pa.table([ids.dictionary, pa.array(n_users_I)], schema=SCHEMA)
    return found.filter(pc.greater(found["n_users"], 0)).sort_by("item_id")
