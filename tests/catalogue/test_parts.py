from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import list_parts, next_sequence, part_id, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.errors import RecsysError

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def catalogue_rows(part, *titles):
    rows = [
        dict(
            item_id=f"i{n}",
            title=title,
            description="",
            tags=["a", "b"],
            image="",
            attributes="{}",
            updated_at=WHEN,
            deleted=False,
            part=part,
            line=n,
        )
        for n, title in enumerate(titles, 1)
    ]
    return pa.Table.from_pylist(rows, schema=CATALOGUE_SCHEMA)


def arrival(sequence, digest="ab" * 32, **further):
    record = dict(kind=CATALOGUE, source="films.jsonl", sha256=digest, size=10, arrived_at=WHEN)
    return Arrival(**(record | dict(part=part_id(sequence, digest)) | further))


def put(tmp_path, record, *titles):
    return write_part(tmp_path / "var", tmp_path / "data", record, catalogue_rows(record.part, *titles))


def test_a_part_comes_back_as_it_was_written(tmp_path):
    written = put(tmp_path, arrival(1), "Alien", "Brazil")
    (read,) = list_parts(tmp_path / "data", CATALOGUE)
    assert read == written
    assert read.id == "000001-ababababab"
    assert read.rows()["title"].to_pylist() == ["Alien", "Brazil"]
    assert read.quarantined().num_rows == 0
    assert (read.arrival.n_rows, read.arrival.n_quarantined, len(read.arrival.rows_sha256)) == (2, 0, 64)
    assert list((tmp_path / "var").iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first = put(tmp_path / "one", arrival(1), "Alien")
    again = put(tmp_path / "two", arrival(1), "Alien")
    for name in ("rows.parquet", "quarantined.parquet", "arrival.json"):
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()


def test_a_half_made_draft_of_a_killed_run_is_replaced(tmp_path):
    draft = tmp_path / "var" / arrival(1).part
    draft.mkdir(parents=True)
    (draft / "stray").write_text("left behind")
    part = put(tmp_path, arrival(1), "Alien")
    assert sorted(f.name for f in part.folder.iterdir()) == [
        "arrival.json",
        "quarantined.parquet",
        "rows.parquet",
    ]


def test_an_accepted_part_is_never_overwritten(tmp_path):
    first = put(tmp_path, arrival(1), "Alien")
    again = put(tmp_path, arrival(1), "Brazil")
    assert again == first
    assert again.rows()["title"].to_pylist() == ["Alien"]


def test_parts_that_another_part_merges_are_not_listed(tmp_path):
    old = put(tmp_path, arrival(1, "01" * 32), "Alien")
    last = put(tmp_path, arrival(2, "ff" * 32), "Brazil")
    newer = put(tmp_path, arrival(3, "02" * 32), "Casablanca")
    merged = arrival(2, part="000002-m01234567", merges=(old.id, last.id))
    put(tmp_path, merged, "Alien", "Brazil")
    assert [part.id for part in list_parts(tmp_path / "data", CATALOGUE)] == [merged.part, newer.id]


def test_sequences_run_over_both_kinds(tmp_path):
    assert next_sequence(tmp_path / "data") == 1
    put(tmp_path, arrival(7), "Alien")
    assert next_sequence(tmp_path / "data") == 8
    assert list_parts(tmp_path / "data", INTERACTIONS) == ()


def test_long_texts_make_smaller_row_groups_however_the_rows_are_cut(tmp_path):
    rows = catalogue_rows("000001-0123456789", *(f"{n} " + "x" * 19_000 for n in range(8_000)))
    record = arrival(1, "0123456789" * 6 + "0123")
    whole = write_part(tmp_path / "var", tmp_path / "data", record, rows)
    cut = write_part(tmp_path / "var", tmp_path / "other", record, iter(rows.to_batches(max_chunksize=1_500)))
    assert whole.arrival.rows_sha256 == cut.arrival.rows_sha256
    metadata = pq.read_metadata(whole.rows_path)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    assert len(groups) == 2 and max(group.total_byte_size for group in groups) < 96 * 2**20
    assert [row for batch in cut.batches(["title"]) for row in batch["title"].to_pylist()] == rows[
        "title"
    ].to_pylist()


def test_rows_of_another_schema_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"rows\.parquet needs the columns"):
        write_part(tmp_path / "var", tmp_path / "data", arrival(1), pa.table({"item_id": ["a"]}))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("rows.parquet", lambda path: path.write_bytes(b"PAR1 no"), "rows.parquet cannot be read"),
        ("arrival.json", lambda path: path.write_text("{"), "arrival.json is damaged"),
        ("arrival.json", lambda path: path.unlink(), "arrival.json is missing"),
    ],
)
def test_a_damaged_part_is_named_with_its_remedy(tmp_path, name, damage, message):
    part = put(tmp_path, arrival(1), "Alien")
    damage(part.folder / name)
    with pytest.raises(RecsysError, match=message) as caught:
        list_parts(tmp_path / "data", CATALOGUE)[0].rows()
    assert "dvc checkout" in caught.value.remedy
