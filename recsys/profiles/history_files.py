"""History files: the opinions of one part's interactions, each pair once, named by a hash of what they depend on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.catalogue.feedback import weighed
from recsys.catalogue.opinions import FURTHER, LIKE, opinions
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.errors import ArtifactMissing
from recsys.profiles.histories import HISTORY_SCHEMA, NAMES, Histories, joined
from recsys.storage.atomic import write_parquet
from recsys.storage.checksums import key_of

HISTORY_VERSION = 2
"""Files of version 1 lack `latest` and `weight`: they hold only likes."""
WEIGHED_VERSION = 3
"""Of files for a model with a weighting: likes have strengths, and what the weighting reads beside them is there."""
GROUP_ROWS = 65_536
"""Opinions of a row group of a history file. They are in the order of users, so a user is in one group or two."""
HISTORY_NAME = re.compile(r"(?P<part>.+)-(?P<key>[0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class HistoryFile:
    """One file of artifacts/users/histories."""

    part: str
    key: str
    path: Path


def history_key(rows_sha256: str, feedback: FeedbackParams, weighting: Weighting = YES_OR_NO) -> str:
    """The key of a part's history: of its rows, of how they are read, and of what the model's weighting needs."""
    made_of: list[object] = [rows_sha256, HISTORY_VERSION, feedback.model_dump()]
    if not weighting.is_yes_or_no:  # what other models' histories hold does not depend on it
        scales = {name: scale.model_dump() for name, scale in weighting.scales.items()}
        made_of += [WEIGHED_VERSION, scales, bool(weighting.repeats)]
        made_of += ["events"] if weighting.events else []
    return key_of(made_of)


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


def load_histories(files: Iterable[Path]) -> Histories:
    """Read the histories of all users.

    Args:
        files: history files in the order of their parts.

    Returns:
        The histories; empty for no files.
    """
    return joined(map(read_history, files))


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
