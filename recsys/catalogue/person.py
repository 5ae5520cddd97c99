"""A person whose events are to be forgotten, and how to find them in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import BadRow
from recsys.catalogue.interactions import user
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.schemas import PSEUDONYM, SHOWN_CHARS, USER

BLOCK = 2**22
PARQUET, NUMPY = b"PAR1", b"\x93NUMPY"


@dataclass(frozen=True)
class Person:
    """Whom to forget."""

    pseudonym: str
    user_id: str | None = None
    """The raw id, as intake reads it; None where only the pseudonym is known."""

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
        ours = columns.renamed(dict(values))
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

        Tables hold it whole, in a text column. Other files may hold its beginning only, as reports do. Numpy's arrays
        hold no text; they are not looked at.

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
            texts = [
                field.name
                for field in opened.schema_arrow
                if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
            ]
            for batch in opened.iter_batches(columns=texts) if texts else ():
                if any(
                    pc.any(pc.match_substring(column, self.pseudonym)).as_py() for column in batch.columns
                ):
                    return True
        return False
