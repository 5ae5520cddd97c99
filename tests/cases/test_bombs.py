"""Small files that hold very much: each is refused or quarantined, the rest goes in, and this process stays small."""

import gzip
import io
import resource

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

GOOD = [{"item_id": f"n{n}", "title": f"Steel tea cup, size {n}"} for n in range(8)]


def repeated(n_chars, n_rows, column):
    """One value in a dictionary, named by every row."""
    values = pa.array(["x " * (n_chars // 2)]).dictionary_encode().take(pa.array([0] * n_rows))
    sink = io.BytesIO()
    ids = [f"b{n}" for n in range(n_rows)]
    pq.write_table(pa.table({"item_id": ids, "title": ids, column: values}), sink, compression="zstd")
    return sink.getvalue()


def deleted(n_rows):
    sink = io.BytesIO()
    pq.write_table(pa.table({"deleted": pa.repeat(True, n_rows)}), sink)
    return sink.getvalue()


BOMBS = {
    "description.parquet": repeated(2**20, 500, "description"),
    "attribute.parquet": repeated(2**20, 500, "blurb"),
    "wide.parquet": repeated(10_000, 20_000, "description"),
    "rows.parquet": deleted(500_000),
    "blanks.jsonl.gz": gzip.compress(b'{"item_id": "b1", "title": "b"}\n' + b"\n" * 2**25),
    "one-line.csv.gz": gzip.compress(b"item_id,title\nb1," + b"x" * 2**24),
}


def test_bombs_are_refused_or_quarantined_and_stop_nothing(intake):
    limits = yaml.safe_load(intake.at.params.read_text())
    limits["ingest"] |= {"max_decoded_mb": 10, "reader_memory_mb": 256}
    intake.at.params.write_text(yaml.safe_dump(limits))
    for name, content in BOMBS.items():
        assert len(content) < 2**20
        intake.land(f"catalogue/{name}", content)
    intake.land("catalogue/zz-good.jsonl", GOOD)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    became = intake.ingest()
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert became.pop("catalogue/zz-good.jsonl")["status"] == "accepted"
    for key, outcome in became.items():
        assert outcome["status"] == "refused", key
        assert key in str(outcome["problems"])
        assert "params.yaml" in str(outcome["problems"]) or "RFC 4180" in str(outcome["problems"])
    assert grown_mb < 200
    assert {f"n{n}" for n in range(8)} <= set(intake.items())
    assert intake.ingest() == {}  # what was refused is not tried again and again


def test_texts_far_too_long_are_quarantined_without_their_text(intake):
    rows = [*GOOD, *({"item_id": f"g{n}", "title": f"Garden hose {n}"} for n in range(30))]
    intake.land("catalogue/long.jsonl", [*rows, {"item_id": "b", "title": "x " * 2**19}])
    assert intake.ingest()["catalogue/long.jsonl"]["quarantined"] == {"text_too_long": 1}
    (part,) = {path.parent for path in intake.at.data.glob("catalogue/*/quarantined.parquet")} & {
        path.parent for path in intake.at.data.glob("catalogue/000003-*/rows.parquet")
    }
    assert (part / "quarantined.parquet").stat().st_size < 10_000
