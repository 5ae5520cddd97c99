"""Hostile files: each is told apart with its reason, place and remedy, and the good rows beside it are accepted."""

import io
import json
import re
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.ingest import ingest
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.quarantine import quarantined_rows
from recsys.storage.folder import FolderStorage

N_GOOD = 30
TEN_MB = 10 * 2**20


def good(n=N_GOOD, first=100):
    return [{"item_id": f"g{i}", "title": f"A good film {i}"} for i in range(first, first + n)]


def jsonl(*rows):
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def wide_csv(n_columns):
    names = ["item_id", "title", *(f"c{i}" for i in range(n_columns - 2))]
    return ("\n".join([",".join(names), *(",".join(["x"] * n_columns) for _ in range(3))]) + "\n").encode()


def good_csv(*further):
    rows = [f"g{i},A good film {i}" for i in range(100, 100 + N_GOOD)]
    return "\r\n".join(["item_id,title", *rows, *further, ""]).encode()


GOOD_IDS = {f"g{i}" for i in range(100, 100 + N_GOOD)}
ODD_IDS = [
    "a/b/../c",
    'it\'s "quoted"',
    "🎬🍿",
    "שלום עולם",
    "\u202eevil\u202c",
    "per%cent&?#",
    "C:\\temp",
    "' OR 1=1; --",
]


@dataclass(frozen=True)
class Case:
    """A hostile file and what must become of it."""

    name: str
    content: bytes
    quarantined: dict = field(default_factory=dict)  # line -> reason
    accepted: set = field(default_factory=lambda: GOOD_IDS)
    refused: tuple = ()  # check, message, remedy
    kind: str = CATALOGUE

    @property
    def key(self):
        return f"{self.kind}/{self.name}"


CASES = {
    "truncated parquet": Case(
        "cut.parquet",
        parquet(good())[:-40],
        refused=("UnreadableFile", r"catalogue/cut\.parquet: no complete parquet file", "under another name"),
    ),
    "invalid UTF-8": Case(
        "latin.jsonl",
        jsonl(*good(), b'{"item_id": "x", "title": "na\xefve"}\n'),
        {N_GOOD + 1: "not_utf8"},
    ),
    "invalid UTF-8 in CSV": Case("latin.csv", good_csv() + b"x,na\xefve\r\n", {N_GOOD + 2: "not_utf8"}),
    "a BOM": Case("bom.jsonl", b"\xef\xbb\xbf" + jsonl(*good())),
    "a BOM in CSV": Case("bom.csv", b"\xef\xbb\xbf" + good_csv()),
    "UTF-16": Case("wide.csv", good_csv().decode().encode("utf-16")),
    "UTF-16 that is cut off": Case(
        "wide.csv",
        good_csv().decode().encode("utf-16")[:-1],
        refused=("UnreadableFile", "the text is no sound UTF-16, or cut off", "UTF-8"),
    ),
    "NUL bytes": Case(
        "nul.jsonl",
        jsonl(*good(), b'{"item_id": "x", "title": "a\0b"}\n', {"item_id": "y", "title": "a\0b"}),
        {N_GOOD + 1: "nul_byte", N_GOOD + 2: "nul_byte"},
    ),
    "NUL bytes in CSV": Case("nul.csv", good_csv() + b"x,a\0b\r\n", {N_GOOD + 2: "nul_byte"}),
    "CSV with embedded newlines": Case(
        "lines.csv",
        b'item_id,title\r\nm1,"one\r\ntwo, ""three"""\r\n,no id\r\n' + good_csv().partition(b"\r\n")[2],
        {4: "missing_id"},
        GOOD_IDS | {"m1"},
    ),
    "a quote left open": Case(
        "open.csv",
        good_csv() + b'x,"never closed\r\nmore\r\n',
        refused=("UnreadableFile", rf"open\.csv, line {N_GOOD + 2}: a quote is left open", "RFC 4180"),
    ),
    "10 MB in one field": Case(
        "huge.jsonl",
        jsonl(*good(), {"item_id": "x", "title": "a " * (TEN_MB // 2)}),
        {N_GOOD + 1: "text_too_long"},
    ),
    "10 MB in one field of CSV": Case(
        "huge.csv", good_csv(f"x,{'a ' * (TEN_MB // 2)}"), {N_GOOD + 2: "text_too_long"}
    ),
    "10,000 columns": Case(
        "broad.csv",
        wide_csv(10_000),
        refused=("BatchRefused", r"broad\.csv has 10000 columns, the limit is 200", "max_columns"),
    ),
    "10,000 columns in JSON": Case(
        "broad.jsonl",
        jsonl(*good(), {f"c{i}": 1 for i in range(10_000)}),
        refused=("BatchRefused", r"broad\.jsonl has \d+ columns, the limit is 200", "max_columns"),
    ),
    "ids with slashes, quotes, emoji, right-to-left text": Case(
        "odd.jsonl",
        jsonl(*good(), *({"item_id": odd, "title": f"An odd id {odd}"} for odd in ODD_IDS)),
        accepted=GOOD_IDS | set(ODD_IDS),
    ),
    "an id with a line break": Case(
        "break.jsonl", jsonl(*good(), {"item_id": "a\nb", "title": "t"}), {N_GOOD + 1: "bad_id"}
    ),
    "duplicate ids": Case(
        "twice.jsonl",
        jsonl(
            {"item_id": "g100", "title": "Old", "updated_at": "2020-01-01"},
            *good(),
            {"item_id": "g100", "title": "Also old", "updated_at": 1_500_000_000},
        ),
    ),
    "deletes of unknown items": Case(
        "gone.jsonl", jsonl(*good(), {"item_id": "never", "deleted": True}), accepted=GOOD_IDS | {"never"}
    ),
    "an empty file": Case(
        "empty.jsonl",
        b"",
        refused=("BatchRefused", r"empty\.jsonl is empty \(0 bytes\)", "again with its rows"),
    ),
    "a header without rows": Case(
        "header.csv",
        b"item_id,title\n",
        refused=("no_rows", r"header\.csv: expected the file holds rows", "again with"),
    ),
    "a file still being written": Case(
        "growing.jsonl",
        jsonl(*good()) + b'{"item_id": "x", "ti',
        refused=(
            "UnreadableFile",
            rf"growing\.jsonl, line {N_GOOD + 1}: the last line is cut off",
            "rename when done",
        ),
    ),
    "a name with ..": Case(
        "x\\..\\..\\evil.jsonl", jsonl(*good()), refused=("BatchRefused", "is not a safe name", "plain name")
    ),
    "an unknown ending": Case(
        "films.xlsx",
        b"PK",
        refused=("BatchRefused", r"films\.xlsx ends in '\.xlsx'", r"\.jsonl, \.csv, \.parquet"),
    ),
    "a future timestamp": Case(
        "future.jsonl",
        jsonl(
            *good(),
            {"item_id": "x", "title": "t", "updated_at": "2999-01-01T00:00:00Z"},
            {"item_id": "y", "title": "t", "updated_at": 12_345_678},
            {"item_id": "z", "title": "t", "updated_at": "1066-10-14"},
        ),
        {N_GOOD + 1: "future_timestamp", N_GOOD + 2: "bad_timestamp", N_GOOD + 3: "ancient_timestamp"},
    ),
    "NaN and infinity": Case(
        "nan.jsonl",
        jsonl(
            *good(),
            b'{"item_id": "x", "title": "t", "updated_at": Infinity}\n',
            b'{"item_id": "g99", "title": "t", "price": Infinity}\n',
            b'{"item_id": "z", "title": NaN}\n',
        ),
        {N_GOOD + 1: "not_finite", N_GOOD + 3: "no_text"},
        accepted=GOOD_IDS | {"g99"},
    ),
    "NaN and infinity in CSV": Case(
        "nan.csv",
        b"user_id,item_id,value,timestamp\n"
        + b"".join(b"u%d,f%d,3.5,1600000000\n" % (i, i) for i in range(1, N_GOOD + 1))
        + b"u1,f1,1e999,1600000000\nu1,f1,-Infinity,1600000000\nu1,f1,1,inf\n",
        {N_GOOD + 2: "not_finite", N_GOOD + 3: "not_finite", N_GOOD + 4: "not_finite"},
        accepted=set(),
        kind=INTERACTIONS,
    ),
    "a key that stands twice": Case(
        "keys.jsonl",
        jsonl(*good(), b'{"item_id": "x", "title": "a", "title": "b"}\n'),
        {N_GOOD + 1: "duplicate_key"},
    ),
    "deeply nested JSON": Case(
        "deep.jsonl",
        jsonl(*good(), b"[" * 100_000 + b"\n", b"7\n"),
        {N_GOOD + 1: "not_json", N_GOOD + 2: "not_json"},
    ),
    "garbled text": Case(
        "garbled.jsonl",
        jsonl(
            *good(),
            {"item_id": "x", "title": "\ufffd\ufffd\ufffd film"},
            {"item_id": "y", "title": "--- ???"},
        ),
        {N_GOOD + 1: "garbled_text", N_GOOD + 2: "no_word"},
    ),
}


def check(house, case, films):
    house.land("catalogue/films.jsonl", films(N_GOOD))
    house.land(case.key, case.content)
    outcomes = {outcome.key: outcome for outcome in house.ingest().outcomes}
    assert outcomes["catalogue/films.jsonl"].n_rows == N_GOOD  # the good file beside it
    outcome = outcomes[case.key]
    if case.refused:
        check_name, message, remedy = case.refused
        assert (outcome.status, outcome.part) == ("refused", None)
        assert (
            len(house.landing.list("processed/")) == 1
        )  # the good file; the refused one stays where it landed
        (problem, *_) = outcome.problems
        assert problem.check == check_name
        assert re.search(message, problem.message)
        assert re.search(remedy, problem.remedy)
        assert set(house.ids()) == {f"f{i}" for i in range(1, N_GOOD + 1)}
    else:
        assert outcome.status == "accepted"
        assert {line: why for source, line, why in house.bad() if source == case.name} == case.quarantined
        accepted = house.rows(case.kind)
        assert case.accepted <= {row["item_id"] for row in accepted}
        assert outcome.n_rows == (len(case.accepted) or N_GOOD)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_harms_nothing(house, films, name):
    check(house, CASES[name], films)


@pytest.mark.servers
@pytest.mark.parametrize("name", ["truncated parquet", "invalid UTF-8 in CSV", "an empty file", "a BOM"])
def test_a_hostile_object_harms_nothing(house_in_bucket, films, name):
    check(house_in_bucket, CASES[name], films)


@pytest.mark.servers
def test_object_keys_that_look_like_climbing_stay_where_they_are(house_in_bucket, films):
    house_in_bucket.land("catalogue/films.jsonl", films())
    house_in_bucket.land("catalogue/a/..b/evil.jsonl", films(5, first=500))
    house_in_bucket.land("catalogue/%2e%2e/odd.jsonl", films(5, first=600))
    report = house_in_bucket.ingest()
    assert {outcome.key: outcome.status for outcome in report.outcomes} == {
        "catalogue/films.jsonl": "accepted",
        "catalogue/a/..b/evil.jsonl": "accepted",
        "catalogue/%2e%2e/odd.jsonl": "accepted",
    }


def test_invalid_utf8_is_named_with_its_byte(house, films):
    first = jsonl(*films(20))
    house.land("catalogue/latin.jsonl", first + b'{"item_id": "x", "title": "na\xefve"}\n')
    (outcome,) = house.ingest().outcomes
    (row,) = quarantined_rows(house.at.data, outcome.part)
    assert row["detail"] == f"byte {len(first) + 29} of the file is not UTF-8"


def test_a_temporary_name_is_not_looked_at(house, films):
    for name in ("films.jsonl.tmp", ".films.jsonl", "_films.jsonl", "films.jsonl.part"):
        house.land(f"catalogue/{name}", films(3))
    assert house.ingest().outcomes == ()


def test_a_file_that_was_cut_off_is_looked_at_again_when_it_is_complete(house, films):
    whole = jsonl(*films(25))
    house.land("catalogue/films.jsonl", whole[:-7])
    assert [outcome.status for outcome in house.ingest().outcomes] == ["refused"]
    again = house.ingest()
    assert (again.outcomes, [r.key for r in again.still_refused]) == ((), ["catalogue/films.jsonl"])
    house.land("catalogue/films.jsonl", whole)
    assert [outcome.status for outcome in house.ingest().outcomes] == ["accepted"]
    assert len(house.ids()) == 25
    assert list(house.at.refused.iterdir()) == []


class StillWriting(FolderStorage):
    """A folder whose producer, against the rules, goes on writing while the file is read."""

    def fetch(self, key, to):
        super().fetch(key, to)
        with self.path(key).open("a") as file:
            file.write('{"item_id": "late", "title": "A late row"}\n')


def test_a_file_that_grows_while_it_is_read_waits_for_the_next_run(house, films):
    house.land("catalogue/films.jsonl", films(25))
    growing = StillWriting(house.landing.url)
    report = ingest(growing, house.at, house.params, house.key)
    assert [outcome.status for outcome in report.outcomes] == ["waiting"]
    assert house.ids() == []
    assert [outcome.status for outcome in house.ingest().outcomes] == ["accepted"]
    assert house.ids()[-1] == "late"
