"""Logs of choices as tables: the meaning of their columns, and errors that name the row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.likely_columns import likely_names
from recsys.errors import UnreadableFile
from recsys.evaluation.off_policy import LoggedChoices

# Shape suffix: N logged choices.
READERS = {
    ".parquet": pq.read_table,
    ".csv": pyarrow.csv.read_csv,
    ".jsonl": pyarrow.json.read_json,
}
"""Ending of a file -> how it is read."""


def read_choices(
    paths: Sequence[Path], columns: Mapping[str, str], uniform: int | None = None
) -> LoggedChoices:
    """Read a log of choices, one row each.

    Args:
        paths: files of one log, Parquet, CSV or JSON lines.
        columns: the file's name of `propensity`, `reward`, and of `target`, `user`, `predicted`, `expected` where there
            are such columns.
        uniform: the target policy gives so many actions the same probability; None: column `target` has it.

    Returns:
        The choices of all files.

    Raises:
        UnreadableFile: a file cannot be parsed, lacks a column, or a row has a value that is none; names it.
    """
    found = [_read(path, columns) for path in paths]
    whole = {name: np.concatenate([one[name] for one in found]) for name in columns}
    target_N = whole.get("target", np.full(len(whole["reward"]), 1 / (uniform or 1)))
    group_N = np.unique(whole["user"], return_inverse=True)[1] if "user" in whole else None
    try:
        return LoggedChoices(
            whole["reward"],
            whole["propensity"],
            target_N,
            group_N,
            whole.get("predicted"),
            whole.get("expected"),
        )
    except ValueError as fault:
        names = ", ".join(map(str, paths))
        raise UnreadableFile(
            f"{names}: {fault}", remedy="log the probability that each action was drawn with"
        ) from fault


def _read(path: Path, columns: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    """Columns of one file by our names; `user` as text."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"{path} is not a log of choices", remedy=f"give a file of {', '.join(READERS)}")
    try:
        table = reader(path)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"{path} cannot be read: {error}", remedy="write it again") from error
    return {ours: _column(path, table, theirs, is_text=ours == "user") for ours, theirs in columns.items()}


def _column(path: Path, table: pa.Table, name: str, *, is_text: bool) -> NDArray[np.float64]:
    if name not in table.column_names:
        likely = likely_names(table.column_names, name)
        hint = f"; is it {likely[0]!r}?" if likely else ""
        raise UnreadableFile(
            f"{path} has no column {name!r}, it has {', '.join(table.column_names)}{hint}",
            remedy="name the columns by options, see --help",
        )
    column = table[name]
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise UnreadableFile(f"{path}, row {row + 1}: {name} is empty", remedy="log it for every choice")
    try:
        kind = pa.string() if is_text else pa.float64()
        values_N: NDArray[np.float64] = column.cast(kind).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableFile(
            f"{path}: {name} holds no numbers: {error}", remedy="name another column"
        ) from error
    return values_N
