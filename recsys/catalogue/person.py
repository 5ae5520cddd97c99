"""A person whose events are to be forgotten, and how to find them in a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import BadRow, plain_id
from recsys.catalogue.interactions import user
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.schemas import PSEUDONYM, SHOWN_CHARS, USER

BLOCK = 2**22
PARQUET, NUMPY, ARROW = b"PAR1", b"\x93NUMPY", b"ARROW1"
ARRAYS = (".npy", ".npz", ".faiss", ".bin", ".safetensors", ".state", ".xml")
"""Endings of files that hold numbers, or a model: nobody is searched for in them."""


@dataclass(frozen=True)
class Person:
    """Whom to forget."""

    pseudonym: str
    user_id: str | None = None
    """The raw id, as intake reads it; None where only the pseudonym is known."""
    aliases: frozenset[str] = frozenset()
    """Raw ids by which relations and vectors name the person, see `erasure.aliases_of`; no id of an item."""

    def is_named(self, rows: pa.Table, columns: Sequence[str]) -> NDArray[np.bool_]:
        """Which rows hold one of the aliases in one of the columns, [n]."""
        wanted = pa.array(sorted(self.aliases), pa.string())
        found = np.zeros(rows.num_rows, np.bool_)
        for name in columns:
            found |= np.asarray(
                pc.is_in(rows[name], value_set=wanted).to_numpy(zero_copy_only=False), np.bool_
            )
        return found

    def is_named_in(self, values: Mapping[str, Any], columns: Sequence[str]) -> bool:
        """Whether a landed or quarantined row holds one of the aliases in one of the columns, as ids are compared."""
        return any(plain_id(str(values[name])) in self.aliases for name in columns if name in values)

    def acted(
        self, values: Mapping[str, Any], names: NamesUsers, max_id_chars: int, columns: Columns
    ) -> bool:
        """Whether a landed row is of this person.

        Args:
            values: column -> value as landed.
            names: makes pseudonyms.
            max_id_chars: longest user id.
            columns: reads each value as its column is written.

        Returns:
            True also where intake would not take the id, and it is the raw id letter by letter.
        """
        ours = columns.names.renamed(dict(values))
        try:
            return user(ours, names, max_id_chars, columns) == self.pseudonym
        except BadRow:
            return self.user_id is not None and str(ours.get(USER, "")).strip() == self.user_id

    def rows_of(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Which accepted interactions are of this person, [n]."""
        return np.asarray(pc.equal(rows["user"], self.pseudonym).to_numpy(zero_copy_only=False), np.bool_)

    def quarantined_of(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Which quarantined interactions are of this person, [n]."""
        kept = (json.loads(row) for row in rows["row"].to_pylist())
        return np.fromiter((row.get(PSEUDONYM) == self.pseudonym for row in kept), np.bool_, rows.num_rows)

    def is_in(self, path: Path) -> bool:
        """Whether a file that Firstlight made holds the pseudonym.

        Tables hold it whole, in a text column; there, and in lists of texts, aliases count too. Other files may hold
        its beginning only, as reports do. Numpy's arrays hold no text; they are not looked at.

        Args:
            path: a file.

        Returns:
            Whether it is there.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            start = file.read(len(NUMPY))
            if start.startswith(NUMPY):
                return False
            if start.startswith(ARROW) and self.aliases and self._in_arrow(path):
                return True
            if not start.startswith(PARQUET):
                file.seek(0)
                return self._in_bytes(file)
        try:
            return self._in_table(path)
        except pa.ArrowException:  # no whole table, so its bytes are all there is
            with path.open("rb") as file:
                return self._in_bytes(file)

    def _in_bytes(self, file: Any) -> bool:  # noqa: ANN401  a binary file
        wanted, before = self.pseudonym[:SHOWN_CHARS].encode(), b""
        while block := file.read(BLOCK):
            if wanted in before + block:
                return True
            before = block[-len(wanted) :]
        return False

    def _in_table(self, path: Path) -> bool:
        with pq.ParquetFile(path) as opened:
            texts = [field.name for field in opened.schema_arrow if _is_text(field.type)]
            for batch in opened.iter_batches(columns=texts) if texts else ():
                if any(
                    pc.any(pc.match_substring(column, self.pseudonym)).as_py() for column in batch.columns
                ):
                    return True
            lists = [field.name for field in opened.schema_arrow if _is_list_of_texts(field.type)]
            named = (texts + lists) if self.aliases else []
            return any(self._holds_alias(batch) for batch in opened.iter_batches(columns=named) if named)

    def _in_arrow(self, path: Path) -> bool:
        """Whether an Arrow file holds an alias in a text, or in a list of texts."""
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as opened:
            batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
            return any(self._holds_alias(batch) for batch in batches)

    def _holds_alias(self, batch: pa.RecordBatch) -> bool:
        wanted = pa.array(sorted(self.aliases), pa.string())
        texts = [column for column in batch.columns if _is_text(column.type)]
        texts += [pc.list_flatten(column) for column in batch.columns if _is_list_of_texts(column.type)]
        return any(pc.any(pc.is_in(column.cast(pa.string()), value_set=wanted)).as_py() for column in texts)


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_list_of_texts(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) and _is_text(type_.value_type))
