"""Read a file's rows, without intake around it."""

import pytest

from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile


@pytest.fixture
def landed(tmp_path):
    """A staged file of the given content; its ending is that of its name."""

    def make(content, ending=".jsonl", max_columns=200, max_decoded_mb=64):
        path = tmp_path / f"batch{ending}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return LandedFile(path, f"catalogue/batch{ending}", ending, max_columns, max_decoded_mb)

    return make


@pytest.fixture
def rows_of(landed):
    """(line, values or reason) of every row, and the notes."""

    def read_all(content, ending=".jsonl", **limits):
        reading = read(landed(content, ending, **limits))
        rows = [(row.line, row.fault.reason if row.fault else row.values) for row in reading.rows]
        return rows, reading.notes

    return read_all
