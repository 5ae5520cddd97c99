"""Files as people export them: read, or refused as what they are, and never at the cost of the file beside them."""

import csv
import gzip
import io
import json
import zipfile
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [{"item_id": f"n{n}", "title": f"Steel tea cup, size {n}", "tags": "kitchen|cup"} for n in range(1, 9)]
LINES = "\n".join(map(json.dumps, ROWS))


def as_csv(separator=",", end="\n", prefix=""):
    sink = io.StringIO()
    table = csv.DictWriter(sink, list(ROWS[0]), delimiter=separator, lineterminator=end)
    table.writeheader()
    table.writerows(ROWS)
    return prefix + sink.getvalue()


def zstd(text):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text.encode())
    return sink.getvalue().to_pybytes()


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def zoned(zone):
    when = pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * len(ROWS), pa.timestamp("us", "UTC"))
    return pa.Table.from_pylist(ROWS).append_column("updated_at", when.cast(pa.timestamp("us", zone)))


def workbook():
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return sink.getvalue()


# Every variant is in tests/catalogue/readers; here is one of each kind, through intake.
READ = {
    "array.jsonl": json.dumps(ROWS),
    "side-by-side.jsonl": LINES.replace("\n", ""),
    "gzip.jsonl": gzip.compress(LINES.encode()),
    "films.ndjson.zst": zstd(LINES),
    "FILMS.CSV.GZ": gzip.compress(as_csv().encode()),
    "semicolon.csv": as_csv(";", "\r\n"),
    "mac.csv": as_csv(end="\r"),
    "sep.csv": as_csv(";", "\r\n", "sep=;\r\n"),
    "utf-16.csv": as_csv("\t", "\r\n").encode("utf-16"),
    "index.csv": pd.DataFrame(ROWS).to_csv(),
    "trailing.csv": as_csv().replace("\n", ",,\n"),
    "tzutc.parquet": parquet(zoned("tzutc()")),
    "categories.parquet": pd.DataFrame(ROWS).astype("category").to_parquet(),
}

REFUSED = {
    "columns.jsonl": (pd.DataFrame(ROWS).to_json(), "one object of columns", "orient='records', lines=True"),
    "cut.jsonl": (
        json.dumps(ROWS, indent=1)[:-30],
        "line 37: the object that begins here never ends",
        "rename",
    ),
    "cut.jsonl.gz": (gzip.compress(LINES.encode())[:-9], "gzip compression is cut off", "rename when done"),
    "sheet.csv": (workbook(), "an Excel workbook", "export the sheet as CSV"),
    "sheet.xlsx": (workbook(), "ends in '.xlsx'", "export a sheet as CSV"),
    "broken.parquet": (b"PAR1 and no more", "no complete parquet file", "under another name"),
}


def test_every_format_enters_as_the_same_rows(intake):
    for name, content in READ.items():
        intake.land(f"catalogue/{name}", content)
    became = intake.ingest()
    assert {name: became[f"catalogue/{name}"]["status"] for name in READ} == dict.fromkeys(READ, "accepted")
    assert intake.quarantined() == []
    for name, note in {
        "gzip.jsonl": "decompressed (gzip)",
        "semicolon.csv": "columns are separated by a semicolon",
        "index.csv": "column 1 has no name",
        "mac.csv": "lines end in CR alone",
        "utf-16.csv": "read as UTF-16",
    }.items():
        assert note in str(became[f"catalogue/{name}"]), name
        assert note in intake.output
    items = intake.items()
    for row in ROWS:
        assert items[row["item_id"]]["title"] == row["title"]


def test_what_cannot_be_read_is_refused_as_what_it_is_and_stops_nothing(intake):
    for name, (content, _, _) in REFUSED.items():
        intake.land(f"catalogue/{name}", content)
    intake.land("catalogue/zz-good.jsonl", ROWS)
    became = intake.ingest()
    assert became.pop("catalogue/zz-good.jsonl")["status"] == "accepted"
    for name, (_, says, remedy) in REFUSED.items():
        outcome = became[f"catalogue/{name}"]
        assert outcome["status"] == "refused", name
        for words in (name, says, remedy):
            assert words in str(outcome["problems"]).replace("\\'", "'")


def test_a_repeated_header_is_no_item(intake):
    for mark in ("", "\ufeff"):
        intake.land(f"catalogue/joined{len(mark)}.csv", mark + as_csv() + mark + as_csv().replace("n", "n1"))
    assert {outcome["status"] for outcome in intake.ingest().values()} == {"accepted"}
    assert {reason for _, _, reason, _ in intake.quarantined()} >= {"repeated_header"}
    assert "item_id" not in intake.items()


def test_rows_nested_as_deep_as_parsers_go_cost_only_themselves(intake):
    good = [{"item_id": f"g{n}", "title": f"Garden chair, model {n}"} for n in range(160)]
    depths = (60, 100, *range(900, 1001, 5), 5000)
    deep = [f'{{"item_id": "d{n}", "title": "Deep plate", "x": {"[" * n}{"]" * n}}}' for n in depths]
    intake.land("catalogue/deep.jsonl", "\n".join([*map(json.dumps, good), *deep, ""]))
    intake.land(
        "interactions/deep.jsonl", '{"user_id": "u1", "item_id": "s1", "x": ' + "[" * 950 + "]" * 950 + "}\n"
    )
    intake.land("interactions/zz-good.jsonl", '{"user_id": "u1", "item_id": "s2"}\n')
    became = intake.ingest()
    assert became["catalogue/deep.jsonl"]["status"] == "accepted"
    assert became["catalogue/deep.jsonl"]["quarantined"] == {"not_json": len(depths) - 1}
    assert became["interactions/deep.jsonl"]["quarantined"] == {"not_json": 1}
    assert became["interactions/zz-good.jsonl"]["status"] == "accepted"
    assert {"g159", "d60"} <= set(intake.items())
    intake.run("quarantine", "list")
    assert any("nested too deep" in detail for _, _, _, detail in intake.quarantined())
