import json
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import part_id, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA, INTERACTIONS_SCHEMA
from recsys.errors import ArtifactMissing, RecsysError
from recsys.settings import Settings
from recsys.stages.validate import run

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def put(at, sequence, kind, rows):
    digest = f"{sequence:02x}" * 32
    name = part_id(sequence, digest)
    empty = {
        "title": "t",
        "description": "",
        "tags": [],
        "image": "",
        "attributes": "{}",
        "updated_at": WHEN,
        "deleted": False,
    }
    empty |= {"event": "view", "value": None, "timestamp": WHEN}
    schema = CATALOGUE_SCHEMA if kind == CATALOGUE else INTERACTIONS_SCHEMA
    full = [empty | row | {"part": name, "line": n} for n, row in enumerate(rows, 1)]
    table = pa.Table.from_pylist([{k: row[k] for k in schema.names} for row in full], schema=schema)
    record = Arrival(part=name, kind=kind, source="a.csv", sha256=digest, size=1, arrived_at=WHEN)
    return write_part(at.staging, at.data, record, table)


@pytest.fixture
def accepted(workspace):
    put(workspace, 1, CATALOGUE, [{"item_id": item} for item in "abc"])
    put(workspace, 2, INTERACTIONS, [{"user": user, "item_id": item} for user, item in ("ua", "ub", "vb")])
    put(workspace, 3, CATALOGUE, [{"item_id": "b", "deleted": True}, {"item_id": "d"}])
    return workspace


@pytest.fixture
def settings(workspace):
    return Settings.load(workspace.params)


def test_the_whole_is_counted(accepted, settings):
    run(settings, accepted)
    report = json.loads(accepted.validate_report.read_text())
    assert [(part["part"][:6], part["kind"], part["n_rows"]) for part in report["parts"]] == [
        ("000001", CATALOGUE, 3),
        ("000003", CATALOGUE, 2),
        ("000002", INTERACTIONS, 3),
    ]
    assert report["items"] == {"live": 3, "deleted": 1}
    assert report["interactions"] == {
        "n": 3,
        "users": 2,
        "items": 2,
        "of_items_no_longer_live": 2,
        "without_time": 0,
    }


def test_the_same_parts_give_the_same_bytes_with_and_without_the_cache(accepted, settings):
    run(settings, accepted)
    first = accepted.validate_report.read_bytes()
    run(settings, accepted)
    assert accepted.validate_report.read_bytes() == first
    shutil.rmtree(accepted.var)
    run(settings, accepted)
    assert accepted.validate_report.read_bytes() == first


def overwrite_rows(at):
    (path,) = (at.data / CATALOGUE).glob("000003-*/rows.parquet")
    other = next((at.data / CATALOGUE).glob("000001-*/rows.parquet"))
    path.unlink()
    shutil.copyfile(other, path)


def flip_a_bit(at):
    (path,) = (at.data / CATALOGUE).glob("000003-*/rows.parquet")
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(bytes(content))


def truncate(at):
    (path,) = (at.data / CATALOGUE).glob("000003-*/rows.parquet")
    path.write_bytes(path.read_bytes()[:50])


def lose_the_record(at):
    next((at.data / CATALOGUE).glob("000003-*/arrival.json")).unlink()


def swap_the_record(at):
    one = next((at.data / CATALOGUE).glob("000001-*/arrival.json"))
    shutil.copyfile(one, next((at.data / CATALOGUE).glob("000003-*/arrival.json")))


def stray_file(at):
    (at.data / CATALOGUE / "notes.txt").write_text("mine")


def same_place_twice(at):
    put(at, 3, INTERACTIONS, [{"user": "u", "item_id": "a"}])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (overwrite_rows, r"part 000003-0303030303: .* is not the file that was accepted"),
        (flip_a_bit, r"part 000003-0303030303: .*(is not the file that was accepted|cannot be read)"),
        (truncate, r"part 000003-0303030303: .*rows\.parquet cannot be read"),
        (lose_the_record, r"000003-0303030303/arrival\.json is missing"),
        (swap_the_record, r"part 000003-0303030303: its record is that of catalogue/000001"),
        (stray_file, r"notes\.txt is no part"),
        (same_place_twice, r"parts .*000003-\w+ and .*000003-\w+ have the same sequence number"),
    ],
)
@pytest.mark.parametrize("seen_before", [False, True])
def test_damage_is_refused_by_name(accepted, settings, damage, message, seen_before):
    if seen_before:
        run(settings, accepted)
    damage(accepted)
    with pytest.raises(RecsysError, match=message) as caught:
        run(settings, accepted)
    assert caught.value.remedy


def test_an_empty_workspace_is_told_to_ingest(workspace, settings):
    with pytest.raises(ArtifactMissing, match="holds no catalogue part") as caught:
        run(settings, workspace)
    assert "recsys ingest" in caught.value.remedy
