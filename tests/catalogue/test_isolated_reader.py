"""Reading in another process: the same batches, and whatever a file does to the process is that file's refusal."""

import io
import json
import os
import re
import resource
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue import reader_child
from recsys.catalogue.batch import read_batch
from recsys.catalogue.isolated_reader import IsolatedReader
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.reader_child import ReaderChild
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import BatchRefused, StorageError, UnreadableFile
from tests.catalogue.conftest import KEY

NOW = datetime(2026, 11, 1, tzinfo=UTC)
GOOD = "".join(json.dumps({"item_id": f"s{n}", "title": f"Tea cup {n}"}) + "\n" for n in range(20))


class House:
    """Stage files, read them apart."""

    def __init__(self, folder, params):
        self.folder, self.params = folder, params
        self.log = folder / "log" / "reader.log"

    def file(self, content, ending=".jsonl"):
        path = self.folder / f"batch{ending}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        limits = self.params.max_columns, self.params.max_decoded_mb
        return LandedFile(path, f"catalogue/batch{ending}", ending, *limits)

    def reader(self, **changed):
        return IsolatedReader(self.params.model_copy(update=changed), KEY, self.folder / "passing", self.log)


@pytest.fixture
def apart(tmp_path, params):
    return House(tmp_path, params)


def pid_of(reader):
    return reader._child._process.pid


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (CATALOGUE, GOOD),
        (CATALOGUE, GOOD + '{"item_id": "x", "title": 7, "\\ud800": 1}\nnot json\n{"title": "\\ud800"}\n'),
        (CATALOGUE, "item_id;title\ns1;Grüne Tasse\ns2;Tee\n"),
        (INTERACTIONS, '{"user_id": "ann", "item_id": "s1", "value": 2}\n{"item_id": "s2"}\n'),
    ],
)
def test_a_batch_read_apart_is_the_same_batch(apart, kind, content):
    file = apart.file(content)
    with apart.reader() as reader:
        found = reader.read_batch(file, kind, NOW)
    wanted = read_batch(file, kind, NOW, apart.params, Pseudonyms(KEY))
    assert found.table.equals(wanted.table)
    assert found.bad == wanted.bad
    assert found.columns == {name.encode("utf-8", "replace").decode() for name in wanted.columns}
    assert (found.kind, found.notes, found.ignored) == (wanted.kind, wanted.notes, wanted.ignored)
    assert list((apart.folder / "passing").iterdir()) == []


def test_refusals_come_back_as_they_are(apart):
    with apart.reader() as reader:
        with pytest.raises(
            BatchRefused, match=r"batch\.jsonl is empty \(0 bytes\)\n  remedy: write the file"
        ):
            reader.read_batch(apart.file(""), CATALOGUE, NOW)
        with pytest.raises(UnreadableFile, match=r"batch\.parquet: no complete parquet file"):
            reader.read_batch(apart.file(b"PAR1", ".parquet"), CATALOGUE, NOW)


def test_many_files_are_read_by_one_process_also_by_the_next_intake(apart):
    pids = set()
    for _ in range(2):
        with apart.reader() as reader:
            for _ in range(20):
                reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
                pids.add(pid_of(reader))
    assert len(pids) == 1


def repeated(n_bytes, n_rows):
    text = pa.array(["x" * n_bytes]).dictionary_encode().take(pa.array([0] * n_rows))
    sink = io.BytesIO()
    pq.write_table(pa.table({"item_id": [str(n) for n in range(n_rows)], "tags": text}), sink)
    return sink.getvalue()


def test_a_file_that_takes_too_much_memory_is_refused_and_the_next_one_is_read(apart):
    hungry = '{"item_id": "a", "title": "b", "x": [' + "1," * 2**23 + "1]}\n"  # as a list four times as large
    with apart.reader(reader_memory_mb=64) as reader:
        reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
        first = pid_of(reader)
        words = r"batch\.jsonl: reading it takes more than 64 MB[\s\S]*ingest\.reader_memory_mb"
        with pytest.raises(UnreadableFile, match=words):
            reader.read_batch(apart.file(hungry), CATALOGUE, NOW)
        assert reader.read_batch(apart.file(GOOD), CATALOGUE, NOW).table.num_rows == 20
        assert pid_of(reader) != first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_while_it_reads_is_the_refusal_of_that_file(apart, number):
    file = apart.file(GOOD * 20_000)  # seconds long
    with apart.reader() as reader:
        reader.read_batch(apart.file(GOOD, ".json"), CATALOGUE, NOW)
        threading.Timer(0.5, os.kill, (pid_of(reader), number)).start()
        words = rf"batch\.jsonl: this file broke the reader: .*was ended by {number.name}.*reader\.log"
        with pytest.raises(UnreadableFile, match=words):
            reader.read_batch(file, CATALOGUE, NOW)
        assert reader.read_batch(apart.file(GOOD), CATALOGUE, NOW).table.num_rows == 20
    assert f"was ended by {number.name}" in apart.log.read_text()


def test_a_process_that_died_while_it_waited_is_no_files_fault(apart):
    with apart.reader() as reader:
        reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
        os.kill(pid_of(reader), signal.SIGKILL)
        reader._child._process.wait()
        assert reader.read_batch(apart.file(GOOD), CATALOGUE, NOW).table.num_rows == 20


def test_a_process_that_hangs_is_ended(apart, monkeypatch):
    monkeypatch.setattr(reader_child, "STALLED_S", 1)
    with apart.reader() as reader:
        reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
        os.kill(pid_of(reader), signal.SIGSTOP)
        with pytest.raises(UnreadableFile, match="did nothing for 1 s"):
            reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)


def test_an_error_that_nobody_foresaw_is_logged_without_its_words(apart):
    with apart.reader() as reader:
        with pytest.raises(UnreadableFile, match=r"broke the reader: KeyError.*see .*/log/reader\.log"):
            reader.read_batch(apart.file(GOOD), "a-kind-nobody-knows", NOW)
        assert reader.read_batch(apart.file(GOOD), CATALOGUE, NOW).table.num_rows == 20
    log = apart.log.read_text()
    assert "KeyError\n" in log
    assert "batch.py" in log
    assert "a-kind-nobody-knows" not in log


def test_the_process_holds_no_secret_that_others_could_see(apart, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-store")
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", KEY)
    child = ReaderChild(256)
    try:
        assert child._line() == {"status": "ready"}
        environment = b"".join(
            Path(f"/proc/{child._process.pid}/{name}").read_bytes() for name in ("environ", "cmdline")
        )
    finally:
        child.end()
    assert b"reading_process" in environment
    assert b"secret" not in environment.lower()
    assert KEY.encode() not in environment


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/sys"])
def test_a_folder_that_cannot_be_written_is_no_files_fault(apart, folder):
    with apart.reader() as reader:
        reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
        reader._folder = Path(folder)
        with pytest.raises(StorageError, match="remedy: check free space"):
            reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)


def test_what_earlier_files_left_in_memory_is_no_files_fault(apart):
    large = repeated(2**20, 20)
    with apart.reader(reader_memory_mb=256) as reader:
        reader.read_batch(apart.file(GOOD), CATALOGUE, NOW)
        first = pid_of(reader)
        now, _ = resource.prlimit(first, resource.RLIMIT_AS)
        pages = int(Path(f"/proc/{first}/statm").read_text().split()[0])
        resource.prlimit(first, resource.RLIMIT_AS, (pages * resource.getpagesize(), now))
        assert reader.read_batch(apart.file(large, ".parquet"), CATALOGUE, NOW).n_landed == 20
        assert pid_of(reader) != first


@pytest.mark.parametrize("column", ["title", "tags", "blurb"])
def test_a_value_that_a_dictionary_repeats_never_fills_memory(apart, column):
    values = pa.array(["x " * 2**19]).dictionary_encode().take(pa.array([0] * 600))
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"item_id": [str(n) for n in range(600)], "image": ["i"] * 600, column: values}), sink
    )
    with apart.reader(reader_memory_mb=256) as reader:  # the values take 600 MB
        batch = reader.read_batch(apart.file(sink.getvalue(), ".parquet"), CATALOGUE, NOW)
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid_of(reader)}/status").read_text())
    assert batch.n_landed == 600
    assert batch.table.nbytes < 2**20
    assert int(peak[1]) < 250_000


def test_a_file_more_than_twice_as_large_as_memory_is_read(apart):
    n_rows, text = 45_000, "".join(f"{n:x} " for n in range(2_000))
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink, pa.schema([("item_id", pa.string()), ("description", pa.string())])
    ) as writer:
        for start in range(
            0, n_rows, 250
        ):  # 180 row groups, in each of which two columns have a buffer of 1 MB
            ids = [str(start + n) for n in range(250)]
            writer.write_table(pa.table({"item_id": ids, "description": [f"{n} {text}" for n in ids]}))
    assert n_rows * len(text) > 2 * 160 * 2**20
    before = pa.total_allocated_bytes()
    with apart.reader(reader_memory_mb=160) as reader:
        batch = reader.read_batch(apart.file(sink.getvalue(), ".parquet"), CATALOGUE, NOW)
    assert batch.rows.num_rows == n_rows
    assert batch.rows.table(["item_id"])["item_id"].to_pylist() == [str(n) for n in range(n_rows)]
    assert pa.total_allocated_bytes() - before < 20 * 2**20


def test_a_value_larger_than_memory_is_refused_with_its_row_group(apart):
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema([("item_id", pa.string()), ("title", pa.string())])) as writer:
        writer.write_table(pa.table({"item_id": ["a", "b"], "title": ["one", "two"]}))
        writer.write_table(pa.table({"item_id": ["c"], "title": ["x y" * (100 * 2**20 // 3)]}))
    words = (
        r"batch\.parquet: reading row group 2 of 2 \(100 MB in 1 rows\) takes more than 128 MB"
        r"[\s\S]*shorten the value"
    )
    with apart.reader(reader_memory_mb=128) as reader, pytest.raises(UnreadableFile, match=words):
        reader.read_batch(apart.file(sink.getvalue(), ".parquet"), CATALOGUE, NOW)


def test_an_intake_without_files_starts_no_process(apart):
    with apart.reader(reader_memory_mb=77) as reader:
        assert reader._child is None
