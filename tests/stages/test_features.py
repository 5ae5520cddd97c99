import os

import pyarrow.parquet as pq
import pytest

from recsys.features.text import feature_files
from recsys.settings import Settings
from recsys.stages.features import run
from recsys.storage.tables import map_arrow
from tests.stages.catalogue_world import contents, land


@pytest.fixture
def settings(workspace):
    return Settings.load(workspace.params)


def inodes(folder):
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_each_part_becomes_one_file_in_order(workspace, settings):
    land(workspace, {"a": "Heat", "b": "Ronin"})
    land(workspace, {"a": "Heat II"}, deleted=["b"])
    run(settings, workspace)
    first, second = (pq.read_table(file.path).to_pylist() for file in feature_files(workspace.features))
    assert [row["text"] for row in first] == ["Heat.\nx", "Ronin.\nx"]
    assert [(row["item_id"], row["deleted"], row["text"]) for row in second] == [
        ("a", False, "Heat II.\nx"),
        ("b", True, ""),
    ]


def test_details_and_terms_hold_the_live_rows_in_the_order_of_the_segment(workspace, settings):
    part = land(workspace, {"a": "Heat", "b": "Ronin"}, deleted=["c"])
    run(settings, workspace)
    details, terms = (map_arrow(path) for path in sorted(workspace.details.iterdir()))
    assert [path.name[: len(part.id)] for path in workspace.details.iterdir()] == [part.id] * 2
    assert details["title"].to_pylist() == ["Heat", "Ronin"]
    found = dict(zip(terms["term"].to_pylist(), terms["postings"].to_pylist(), strict=True))
    assert found["ronin"] == [{"row": 1, "count": 1}] and [one["row"] for one in found["x"]] == [0, 1]


def test_a_new_part_leaves_the_files_of_the_others_alone(workspace, settings):
    land(workspace, {"a": "Heat"})
    run(settings, workspace)
    before = inodes(workspace.features) | inodes(workspace.details)
    land(workspace, {"b": "Ronin"})
    run(settings, workspace)
    assert before.items() < (inodes(workspace.features) | inodes(workspace.details)).items()


def test_the_folder_depends_on_the_parts_and_params_not_on_its_history(workspace, settings):
    land(workspace, {"a": "Heat"})
    run(settings, workspace)
    clean = contents(workspace.features)
    other = settings.model_copy(
        update={"features": settings.features.model_copy(update={"fields": ("title",)})}
    )
    run(other, workspace)
    assert len(contents(workspace.features)) == 1 and contents(workspace.features) != clean
    (workspace.features / ".tmp-killed").write_bytes(b"half")
    (workspace.features / "000009-zz-0000000000000000.parquet").write_bytes(b"stray")
    (workspace.features / "folder").mkdir()
    run(settings, workspace)
    assert contents(workspace.features) == clean


@pytest.mark.parametrize("damage", ["cut", "emptied", "rows missing"])
def test_a_broken_file_is_made_again(workspace, settings, damage):
    land(workspace, {"a": "Heat", "b": "Ronin"})
    run(settings, workspace)
    clean = contents(workspace.features)
    path = feature_files(workspace.features)[0].path
    if damage == "rows missing":
        pq.write_table(pq.read_table(path).slice(1), path)
    else:
        os.truncate(path, 0 if damage == "emptied" else path.stat().st_size - 9)
    run(settings, workspace)
    assert contents(workspace.features) == clean


@pytest.mark.parametrize("damage", ["cut", "emptied", "gone"])
@pytest.mark.parametrize("suffix", [".details.arrow", ".terms.arrow"])
def test_so_are_broken_details_and_terms(workspace, settings, suffix, damage):
    land(workspace, {"a": "Heat", "b": "Ronin"})
    run(settings, workspace)
    clean = contents(workspace.details)
    path = next(workspace.details.glob(f"*{suffix}"))
    if damage == "gone":
        path.unlink()
    else:
        os.truncate(path, 0 if damage == "emptied" else path.stat().st_size - 9)
    (workspace.details / "000009-zz-0000000000000000.terms.arrow").write_bytes(b"stray")
    run(settings, workspace)
    assert contents(workspace.details) == clean and len(clean) == 2


def test_no_catalogue_is_no_file(workspace, settings):
    run(settings, workspace)
    assert feature_files(workspace.features) == () and contents(workspace.details) == {}
