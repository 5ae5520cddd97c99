"""Stage `images`: whatever a picture's address turns out to be, its item goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
import yaml

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.encoders.image import open_image_encoder
from recsys.encoders.image_pack import pack_image_encoder
from recsys.errors import DataDamaged
from recsys.images.view import open_pictures
from recsys.settings import Settings
from recsys.stages.images import run
from tests.encoders.pictures import picture, save_clip
from tests.images.server import encoded, pictures_server


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def server():
    with pictures_server() as running:
        yield running


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """Folder of packed encoders, so that each is packed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(packed, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(packed))


@pytest.fixture
def zone(tmp_path, monkeypatch):
    folder = tmp_path / "zone"
    folder.mkdir()
    monkeypatch.setenv("RECSYS_LANDING", str(folder))
    return folder


def configured(at, encoder, **changes):
    values = yaml.safe_load(at.params.read_text())
    values["images"] |= {"encoder": str(encoder), "private_addresses": True, **changes}
    at.params.write_text(yaml.safe_dump(values))
    return Settings.load(at.params)


def land(at, images, deleted=()):
    """Accept one catalogue part: item -> address of its picture."""
    sequence = 1 + len(list_parts(at.data, CATALOGUE))
    digest = sha256(repr((sequence, images, deleted)).encode()).hexdigest()
    part = f"{sequence:06d}-{digest[:10]}"
    rows = [
        dict.fromkeys(CATALOGUE_SCHEMA.names)
        | {
            "item_id": item,
            "title": f"item {item}",
            "image": address,
            "updated_at": datetime(2026, 1, sequence, tzinfo=UTC),
            "deleted": item in deleted,
            "part": part,
            "line": line,
        }
        for line, (item, address) in enumerate({**images, **dict.fromkeys(deleted)}.items(), start=1)
    ]
    arrival = Arrival(
        part=part, kind=CATALOGUE, source="x.csv", sha256=digest, size=1, arrived_at=datetime(2026, 1, 1, tzinfo=UTC)
    )  # fmt: skip
    return write_part(at.staging, at.data, arrival, pa.Table.from_pylist(rows, CATALOGUE_SCHEMA))


def report(at):
    return json.loads((at.picture_records / "report.json").read_text())


def broken(at):
    with (at.picture_records / "broken.csv").open(newline="") as file:
        return {row["item_id"]: row for row in csv.DictReader(file)}


def has_picture(at, *items):
    found = open_pictures(at.image_view)
    return [bool(one) for one in found.view(items).has_N] if found else [False] * len(items)


def whole(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_off_by_default_nothing_is_fetched_and_nothing_heavy_is_loaded(workspace, zone):
    (zone / "1.png").write_bytes(encoded(picture(1)))
    land(workspace, {"a": "1.png"})
    code = """
import sys
from recsys.cli import main
sys.argv = ["recsys", "run", "images"]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
heavy = {"torch", "openvino", "PIL", "httpx", "httpcore", "transformers", "recsys.images.web", "recsys.encoders.image"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RECSYS_WORKSPACE": str(workspace.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for folder in (workspace.pictures, workspace.picture_records, workspace.image_view):
        assert [path.name for path in folder.iterdir()] == ["none.txt"]  # DVC warns about an empty one
    assert open_pictures(workspace.image_view) is None


def test_a_catalogue_without_pictures_packs_no_encoder(workspace, zone):
    land(workspace, {"a": None, "b": "  "})
    run(configured(workspace, "no-such-package"), workspace)
    assert open_pictures(workspace.image_view) is None


def test_items_get_the_vectors_of_their_newest_pictures(workspace, zone, clip):
    (zone / "images").mkdir()
    for number in (1, 2, 3):
        (zone / f"images/{number}.png").write_bytes(encoded(picture(number)))
    land(workspace, {"a": "images/1.png", "b": "images/2.png", "c": None, "d": "images/3.png"})
    land(workspace, {"a": "images/3.png"}, deleted=["b"])
    run(configured(workspace, clip), workspace)
    reference = pack_image_encoder(str(clip), workspace.encoders)
    third = open_image_encoder(reference, workspace.encoders).encode([picture(3)])[0]
    view = open_pictures(workspace.image_view).view(["c", "a", "b", "unknown", "d"])
    assert view.source == reference.hash
    np.testing.assert_array_equal(view.vectors_ND, np.stack([third * 0, third, third * 0, third * 0, third]))
    assert report(workspace) | {"warnings": []} == report(workspace)
    assert report(workspace)["items_with_picture"] == 2 and report(workspace)["pictures"] == 1
    assert [path.name for path in workspace.pictures.iterdir()] == [sha256(encoded(picture(3))).hexdigest()]


def test_a_broken_picture_stops_nothing_and_is_named_with_its_remedy(workspace, zone, server, clip):
    (zone / "svg.png").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    (zone / "folder").mkdir()
    os.mkfifo(zone / "pipe.png")
    images = {
        "good": f"{server.url}/picture/1",
        "gone": f"{server.url}/status/404",
        "huge": f"{server.url}/claims/{2 * 2**30}",
        "slow": f"{server.url}/drip",
        "elsewhere": "https://evil.example/1.png",
        "climbing": "../../etc/passwd",
        "svg": "svg.png",
        "nothing": "missing.png",
        "folder": "folder",
        "pipe": "pipe.png",
        "local": f"file://{zone}/svg.png",
    }
    land(workspace, images)
    run(configured(workspace, clip, sources=[server.url], timeout_s=0.5), workspace)
    assert has_picture(workspace, *images) == [item == "good" for item in images]
    rows = broken(workspace)
    assert {item: row["reason"] for item, row in rows.items()} == {
        "gone": "not_found",
        "huge": "too_large",
        "slow": "too_slow",
        "elsewhere": "not_allowed",
        "climbing": "not_allowed",
        "svg": "vector_graphic",
        "nothing": "not_found",
        "folder": "no_picture",
        "pipe": "no_picture",
        "local": "vector_graphic",
    }
    assert all(
        row["remedy"] and row["detail"] and row["address"] == images[item] for item, row in rows.items()
    )
    found = report(workspace)
    assert found["items_broken"] == 10 and found["tried_and_broken"] == 10
    assert (
        found["broken"]["too_slow"]["examples"][0]["item_id"] == "slow"
        and "timeout_s" in found["broken"]["too_slow"]["remedy"]
    )
    assert "10 of 11 pictures" in found["warnings"][0]


def test_running_again_fetches_and_encodes_nothing(workspace, zone, server, clip):
    land(
        workspace, {str(n): f"{server.url}/picture/{n}" for n in range(5)} | {"x": f"{server.url}/status/404"}
    )
    settings = configured(workspace, clip, sources=[server.url])
    run(settings, workspace)
    before, asked = whole(workspace.root / "artifacts/images"), server.requests.copy()
    run(settings, workspace)
    after = whole(workspace.root / "artifacts/images")
    assert server.requests == asked and before.keys() == after.keys()
    assert {name for name in after if after[name] != before[name]} == {
        "records/report.json"
    }  # tells what was tried


def test_a_new_item_fetches_its_picture_alone(workspace, zone, server, clip):
    settings = configured(workspace, clip, sources=[server.url])
    land(workspace, {"a": f"{server.url}/picture/1"})
    run(settings, workspace)
    land(workspace, {"b": f"{server.url}/picture/2"})
    run(settings, workspace)
    assert server.requests == {"/picture/1": 1, "/picture/2": 1} and has_picture(workspace, "a", "b") == [
        True,
        True,
    ]


def test_a_broken_picture_is_tried_again_after_its_time(workspace, zone, clip):
    land(workspace, {"a": "1.png"})
    later, at_once = configured(workspace, clip, retry_h=1), configured(workspace, clip, retry_h=0)
    run(later, workspace)
    (zone / "1.png").write_bytes(encoded(picture(1)))
    run(later, workspace)
    assert has_picture(workspace, "a") == [False]
    run(at_once, workspace)
    assert has_picture(workspace, "a") == [True] and broken(workspace) == {}


def test_with_other_limits_a_broken_picture_is_tried_at_once(workspace, zone, clip):
    (zone / "1.png").write_bytes(encoded(picture(1, (60, 12))))
    land(workspace, {"a": "1.png", "b": "missing.png"})
    run(configured(workspace, clip), workspace)
    assert {item: row["reason"] for item, row in broken(workspace).items()} == {
        "a": "too_small",
        "b": "not_found",
    }
    run(configured(workspace, clip, fetchers=3), workspace)
    assert report(workspace)["tried"] == 0
    run(configured(workspace, clip, min_side=10), workspace)
    assert report(workspace)["tried"] == 2 and has_picture(workspace, "a", "b") == [True, False]


def test_what_params_did_not_allow_is_fetched_as_soon_as_they_do(workspace, zone, server, clip):
    land(workspace, {"a": f"{server.url}/picture/1"})
    run(configured(workspace, clip), workspace)
    assert broken(workspace)["a"]["reason"] == "not_allowed" and not server.requests
    run(configured(workspace, clip, sources=[server.url]), workspace)
    assert has_picture(workspace, "a") == [True]


def test_a_host_that_fails_again_and_again_is_left_alone_for_this_run(workspace, zone, server, clip):
    land(workspace, {str(n): f"{server.url}/silent/{n}" for n in range(8)})
    run(
        configured(workspace, clip, sources=[server.url], timeout_s=0.2, fetchers=1, give_up_after=3),
        workspace,
    )
    assert sum(server.requests.values()) == 3
    reasons = [row["reason"] for row in broken(workspace).values()]
    assert sorted(reasons) == ["gave_up"] * 5 + ["too_slow"] * 3


def test_a_picture_that_many_items_share_counts_as_missing(workspace, zone, clip):
    for number in range(9):
        (zone / f"{number}.png").write_bytes(encoded(picture(number)))
    images = {f"own{n}": f"{n}.png" for n in range(1, 9)} | {f"same{n}": "0.png" for n in range(4)}
    land(workspace, images)
    run(configured(workspace, clip, placeholder_share=0.25, placeholder_items=4), workspace)
    assert has_picture(workspace, "own1", "same0", "same3") == [True, False, False]
    assert (
        list(report(workspace)["placeholders"].values()) == [4]
        and "same picture" in report(workspace)["warnings"][0]
    )
    run(configured(workspace, clip, placeholder_share=0.25, placeholder_items=5), workspace)
    assert has_picture(workspace, "own1", "same0") == [True, True]
    run(configured(workspace, clip, placeholder_share=0.34, placeholder_items=2), workspace)
    assert has_picture(workspace, "own1", "same0") == [True, True]


def test_another_encoder_makes_every_vector_anew_and_fetches_nothing(workspace, zone, server, clip, tmp_path):
    land(workspace, {"a": f"{server.url}/picture/1"})
    run(configured(workspace, clip, sources=[server.url]), workspace)
    first = open_pictures(workspace.image_view).view(["a"])
    other = save_clip(tmp_path / "other", image_mean=[0.1, 0.2, 0.3])
    run(configured(workspace, other), workspace)
    second = open_pictures(workspace.image_view).view(["a"])
    assert first.source != second.source and not np.array_equal(first.vectors_ND, second.vectors_ND)
    assert server.requests == {"/picture/1": 1}


def test_a_picture_that_is_lost_or_damaged_on_disk_is_fetched_again(workspace, zone, server, clip):
    land(workspace, {"a": f"{server.url}/picture/1", "b": f"{server.url}/picture/2"})
    settings = configured(workspace, clip, sources=[server.url])
    run(settings, workspace)
    clean = whole(workspace.pictures)
    for path, content in zip(sorted(workspace.pictures.iterdir()), (None, b"other bytes"), strict=True):
        path.unlink()
        if content:
            path.write_bytes(content)
    for path in (workspace.image_view / "vectors").iterdir():
        path.unlink()
    with pytest.raises(DataDamaged, match="picture"):
        open_pictures(workspace.image_view).view(["a", "b"])
    run(settings, workspace)  # one is fetched, the other turns out damaged and is dropped
    assert [row["reason"] for row in broken(workspace).values()] == ["lost"]
    assert sorted(has_picture(workspace, "a", "b")) == [False, True]
    run(settings, workspace)
    assert has_picture(workspace, "a", "b") == [True, True] and whole(workspace.pictures) == clean


def test_where_every_picture_is_broken_there_is_no_view(workspace, zone, clip):
    land(workspace, {"a": "missing.png"})
    run(configured(workspace, clip), workspace)
    assert open_pictures(workspace.image_view) is None and broken(workspace)["a"]["reason"] == "not_found"


def test_what_killed_runs_left_half_written_goes(workspace, zone, clip):
    (zone / "1.png").write_bytes(encoded(picture(1)))
    land(workspace, {"a": "1.png"})
    settings = configured(workspace, clip)
    run(settings, workspace)
    folders = (workspace.pictures, workspace.picture_records, workspace.image_view)
    for folder in folders:
        (folder / ".tmp-killed").write_bytes(b"half")
    run(settings, workspace)
    assert not [path for folder in folders for path in folder.glob(".tmp-*")]


@pytest.mark.parametrize("damage", ["records/fetched.parquet", "view/items.parquet", "view/encoder.json"])
def test_a_damaged_file_costs_time_and_nothing_else(workspace, zone, server, clip, damage):
    land(workspace, {"a": f"{server.url}/picture/1", "b": f"{server.url}/picture/2"})
    settings = configured(workspace, clip, sources=[server.url])
    run(settings, workspace)
    before = open_pictures(workspace.image_view).view(["a", "b"]).vectors_ND
    (workspace.root / "artifacts/images" / damage).write_bytes(b"damaged")
    run(settings, workspace)
    np.testing.assert_array_equal(open_pictures(workspace.image_view).view(["a", "b"]).vectors_ND, before)


@pytest.mark.whole
def test_a_killed_run_goes_on_and_fetches_no_picture_twice(workspace, zone, server, clip):
    n = 30
    land(workspace, {str(number): f"{server.url}/picture/{number}" for number in range(n)})
    settings = configured(workspace, clip, sources=[server.url], fetchers=1)
    pack_image_encoder(str(clip), workspace.encoders)
    server.delay_s = 0.05
    environment = os.environ | {"RECSYS_WORKSPACE": str(workspace.root)}
    command = [sys.executable, "-m", "recsys", "run", "images"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(server.requests) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = len(server.requests)
    assert 8 <= done < n and not (workspace.picture_records / "fetched.parquet").exists()
    with workspace.picture_journal.open("a") as journal:
        journal.write('\n{"address": "torn')
    server.delay_s = 0
    run(settings, workspace)
    assert has_picture(workspace, *map(str, range(n))) == [True] * n
    assert (
        len(server.requests) == n and sum(server.requests.values()) <= n + 1
    )  # the one in flight at the kill
    assert not workspace.picture_journal.exists()


def test_pictures_come_from_a_bucket_as_landing_zone(workspace, bucket, monkeypatch, clip):
    from recsys.storage.opening import open_storage

    monkeypatch.setenv("RECSYS_LANDING", f"s3://{bucket}/shop")
    storage = open_storage(f"s3://{bucket}")
    storage.write("shop/images/1.png", encoded(picture(1)))
    storage.write("shop/images/large.png", bytes(3_000_000))
    storage.write("secret/2.png", encoded(picture(2)))
    land(
        workspace,
        {
            "relative": "images/1.png",
            "whole": f"s3://{bucket}/shop/images/1.png",
            "missing": "images/3.png",
            "large": "images/large.png",
            "beside": f"s3://{bucket}/secret/2.png",
        },
    )
    run(configured(workspace, clip, max_file_mb=2), workspace)
    assert has_picture(workspace, "relative", "whole") == [True, True]
    assert {item: row["reason"] for item, row in broken(workspace).items()} == {
        "missing": "not_found",
        "large": "too_large",
        "beside": "not_allowed",
    }
