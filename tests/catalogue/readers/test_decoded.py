"""Compression is seen by its first bytes, bounded, and said where it is damaged; what is no text is named."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import BatchRefused, RecsysError, UnreadableFile

ROWS = [{"item_id": f"s{n}", "title": f"A cup of tea, no. {n}"} for n in range(200)]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zstd(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACK = {"gzip": gzip.compress, "zstd": zstd, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("name", PACK)
def test_compressed_files_are_read_whatever_their_name(rows_of, name):
    for content in (PACK[name](TEXT), PACK[name](TEXT[:5000]) + PACK[name](TEXT[5000:])):  # and joined
        rows, notes = rows_of(content)
        assert [values for _, values in rows] == ROWS
        assert notes == [f"decompressed ({name})"]


@pytest.mark.parametrize("name", PACK)
def test_a_compressed_file_that_is_cut_off_is_refused_as_incomplete(rows_of, name):
    packed = PACK[name](TEXT)
    for end in (len(packed) - 3, len(packed) // 2):
        with pytest.raises(
            UnreadableFile, match=f"its {name} compression is cut off: the file is incomplete"
        ):
            rows_of(packed[:end])


@pytest.mark.parametrize("name", PACK)
def test_a_small_file_that_holds_too_much_is_refused(rows_of, name):
    packed = PACK[name](b'{"item_id": "a"}\n' + b" " * 3 * 2**20)
    assert len(packed) < 10_000
    with pytest.raises(BatchRefused, match=r"holds more than 2 MB once it is decoded[\s\S]*max_decoded_mb"):
        rows_of(packed, max_decoded_mb=2)


def test_what_is_compressed_twice_is_refused(rows_of):
    with pytest.raises(UnreadableFile, match="this is compressed twice"):
        rows_of(gzip.compress(gzip.compress(TEXT)))


def zipped(**members):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def workbook():
    return zipped(**{"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})


def test_the_only_file_in_a_zip_archive_is_read(rows_of):
    rows, notes = rows_of(
        zipped(**{"a/": "", "a/shop.jsonl": TEXT, "__MACOSX/a/._shop.jsonl": b"\0", ".DS_Store": b"\0"})
    )
    assert [values for _, values in rows] == ROWS and notes == ["decompressed (zip)"]
    hidden = zipped(**{".shop.jsonl": TEXT, "b.jsonl": TEXT})
    for two in (zipped(a=TEXT, b=TEXT), hidden, zipped(a=zipped(a=TEXT, b=TEXT))):
        with pytest.raises(UnreadableFile, match="this is a zip archive"):
            rows_of(two)


@pytest.mark.parametrize("ending", [".zip", ".csv"])
def test_the_name_inside_a_zip_archive_says_what_the_file_is(rows_of, ending):
    rows, notes = rows_of(zipped(**{"./shop.JSONL": b"no JSON\n"}), ending)
    assert rows == [(1, "not_json")] and notes == ["decompressed (zip)"]
    rows, notes = rows_of(zipped(**{"shop.csv": "item_id,title\ns1,Cup\n"}), ending)
    assert rows == [(2, {"item_id": "s1", "title": "Cup"})] and notes == ["decompressed (zip)"]


def test_a_zip_archive_that_cannot_be_opened_is_refused_as_what_it_is(rows_of):
    packed = zipped(a=TEXT)
    with pytest.raises(UnreadableFile, match="its zip archive is damaged or cut off"):
        rows_of(packed[:-30])
    damaged = packed[:200] + bytes(100) + packed[300:]
    with pytest.raises(UnreadableFile, match="its zip archive is damaged"):
        rows_of(damaged)
    place = packed.index(b"PK\x01\x02") + 8  # flags of the entry in the directory
    with pytest.raises(UnreadableFile, match=r"has a password[\s\S]*remedy: land it without one"):
        rows_of(packed[:place] + b"\1" + packed[place + 1 :])
    with pytest.raises(BatchRefused, match="holds more than 2 MB once it is decoded"):
        rows_of(zipped(a=b'{"item_id": "a"}\n' + b" " * 3 * 2**20), max_decoded_mb=2)


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (workbook(), r"an Excel workbook \(.xlsx\)", "export the sheet as CSV"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
            "an old Excel workbook",
            "export the sheet as CSV",
        ),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page", "land the file itself"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><items/>', "an XML document", "export the rows"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\x00", "a PDF document", "export the rows"),
        (b"ARROW1\0\0" + b"\xff" * 20, "an Arrow or Feather file", "export the rows"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a pointer of Git LFS",
            "land the file",
        ),
        (b"outs:\n- md5: 0123\n  path: items.csv\n", "a pointer of DVC", "land the file"),
        (
            gzip.compress(
                b"items.csv" + b"\0" * 248 + b"ustar  \0" + b"\0" * 300, mtime=0
            ),  # no time in the id: workers collect in different seconds
            "a tar archive",
            "unpack it",
        ),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_what_is_no_table_is_refused_as_what_it_is(rows_of, content, what, remedy, ending):
    with pytest.raises(UnreadableFile, match=rf"this is {what}[\s\S]*remedy: {remedy}"):
        rows_of(content, ending)


def test_a_header_that_begins_like_a_signature_is_a_header(rows_of):
    assert rows_of("ORCID,item_id\n1,a\n", ".csv")[0] == [(2, {"ORCID": "1", "item_id": "a"})]


def test_content_decides_over_the_name(rows_of):
    csv = "item_id,title\na,A\n"
    assert rows_of(csv, ".jsonl") == (
        [(2, {"item_id": "a", "title": "A"})],
        ["read as CSV, though its name ends in .jsonl"],
    )
    assert rows_of(csv, ".parquet")[1] == ["read as CSV, though its name ends in .parquet"]
    assert rows_of('{"item_id": "a"}\n', ".csv") == (
        [(1, {"item_id": "a"})],
        ["read as JSON, though its name ends in .csv"],
    )


def test_places_count_in_what_was_decoded_and_say_so(landed):
    for content, place in (
        (b'{"item_id": "a\xff"}\n', "the file"),
        (b'{"x": 1}\n{"a": 1} {"b": "\xff"}\n', "the file"),
        (b'{"x":1}\n{"b": "\xff"}', "the decoded file"),
    ):
        packed = gzip.compress(content) if "decoded" in place else content
        *_, row = read(landed(packed)).rows
        assert row.fault.detail == f"byte {content.index(0xFF)} of {place} is not UTF-8"


@pytest.mark.parametrize("content", [b" \n\r\n\t\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_file_without_text_is_empty(rows_of, content, ending):
    with pytest.raises(BatchRefused, match=r"is empty \(no text\)"):
        rows_of(content, ending)


@settings(max_examples=150)
@given(st.data())
def test_whatever_a_file_holds_only_our_errors_are_raised(tmp_path_factory, data):
    good = data.draw(
        st.sampled_from([TEXT, b"item_id,title\na,A\n" * 20, *(pack(TEXT) for pack in PACK.values())])
    )
    content = bytearray(data.draw(st.binary(max_size=200)) if data.draw(st.booleans()) else good)
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=8)):
        if content:
            content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("any") / "batch"
    path.write_bytes(content)
    ending = data.draw(st.sampled_from([".jsonl", ".csv", ".parquet"]))
    try:
        rows = list(read(LandedFile(path, "batch", ending, 200, 4)).rows)
    except RecsysError as error:
        assert "batch" in str(error)
        assert error.remedy
    else:
        assert len({row.line for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('callback([{"item_id": "s1"}]);', "JSONP"),
        ('const products = [\n{"item_id": "s1"}];', "JavaScript"),
        (')]}\'\n[{"item_id": "s1"}]', "guard"),
        ('// all\n[{"item_id": "s1"}]', "comments"),
        ("-- MySQL dump\n/*!40101 SET NAMES utf8 */;\nINSERT INTO items VALUES ('s1')", "SQL"),
        ("/*!40101 SET NAMES utf8 */;\n\n-- Items\n\nCREATE DATABASE `shop`;", "SQL"),
        ('/**/callback({"products": [{"item_id": "s1"}]});', "JSONP"),
        ("- item_id: s1\n  title: Shoe\n", "YAML"),
        ("@book{dune, title={Dune}}", "BibTeX"),
        ("TY  - BOOK\nTI  - Dune\n", "RIS"),
        ("00714cam a2200205 a 4500001", "MARC"),
        (b"\x2b\0\0\0\x02_id\0\x03\0\0\0s1\0\0", "BSON"),
    ],
)
@pytest.mark.parametrize("ending", [".json", ".txt"])
def test_texts_of_other_formats_are_refused_by_name(landed, content, name, ending):
    with pytest.raises(UnreadableFile, match=name):
        list(read(landed(content, ending)).rows)


@pytest.mark.parametrize(
    "header", ["variant,item_id", "item_id,id (main) [x]", "-- id --,item_id", "TY-ID,item_id"]
)
def test_headers_that_begin_alike_are_read(landed, header):
    assert [row.values for row in read(landed(f"{header}\n1,2\n", ".csv")).rows] == [
        dict(zip(header.split(","), "12", strict=True))
    ]


@pytest.mark.parametrize("comment", ["// of 30 November\n", "-- of 30 November\n", "/**/" * 1000 + "\n"])
def test_a_header_below_what_might_be_comments_is_read(landed, comment):
    assert [row.values for row in read(landed(f"{comment}item_id,title\n1,a\n", ".csv")).rows] == [
        {"item_id": "1", "title": "a"}
    ]
