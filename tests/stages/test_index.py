"""Stage `index`: files by content key, reuse, strays, and the recall that publishing checks."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.artifacts import Artifacts
from recsys.encoders.reference import EncoderReference
from recsys.errors import ArtifactMissing
from recsys.models.reference import ModelReference
from recsys.profiles.items import SCHEMA, Segment, list_segments
from recsys.settings import Settings
from recsys.stages import stage
from tests.profiles.segments import write_segment

KEY = "0123456789abcdef"


def settings(at: Artifacts, **changes: object) -> Settings:
    plain = Settings.load(at.params)
    small = {"exact_below": 200, "links": 16, "search_width": 64}
    return plain.model_copy(update={"index": plain.index.model_copy(update=small | changes)})


@pytest.fixture(autouse=True)
def champion(workspace: Artifacts) -> None:
    """A model without a head, so without words in its profiles."""
    encoder = EncoderReference(
        hash="0" * 64, dim=12, max_tokens=8, pooling="mean", precision="float32", source="test", files=()
    )
    ModelReference.of(encoder).save(workspace.model_reference("champion"))


def add_segment(at: Artifacts, part: str, n: int) -> Segment:
    vectors = np.random.default_rng(n).standard_normal((n, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = pa.table(
        {
            "item_id": [f"{part}-{row}" for row in range(n)],
            "text_hash": ["0" * 64] * n,
            "updated_at": [None] * n,
            "deleted": [False] * n,
            "tags": [[]] * n,
            "part": [part] * n,
            "line": list(range(1, n + 1)),
        },
        schema=SCHEMA,
    )
    return write_segment(at.profiles("champion"), f"{part}-{KEY}", rows, vectors)


def index_of(at: Artifacts) -> list[dict[str, object]]:
    return json.loads((at.index / "index.json").read_text())


def stamps(at: Artifacts) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in at.index.glob("*.faiss")}


def test_small_segments_are_exact_and_large_ones_get_a_file(workspace: Artifacts) -> None:
    add_segment(workspace, "000001-aaaaaaaaaa", 199)
    add_segment(workspace, "000002-bbbbbbbbbb", 500)
    stage("index")(settings(workspace), workspace)
    small, large = index_of(workspace)
    assert (small["kind"], small["file"], small["n"], small["recall"]) == ("exact", None, 199, 1.0)
    assert (large["kind"], large["n"]) == ("compact", 500)
    assert float(str(large["recall"])) > 0.9
    assert sorted(path.name for path in workspace.index.iterdir()) == sorted(
        ["index.json", str(large["file"])]
    )


def test_running_again_gives_the_same_bytes_and_builds_nothing(workspace: Artifacts) -> None:
    add_segment(workspace, "000001-aaaaaaaaaa", 300)
    stage("index")(settings(workspace), workspace)
    first, before = (workspace.index / "index.json").read_bytes(), stamps(workspace)
    stage("index")(settings(workspace), workspace)
    assert stamps(workspace) == before
    (workspace.index / "index.json").unlink()  # killed before it was written: measured again, the same
    stage("index")(settings(workspace), workspace)
    assert (workspace.index / "index.json").read_bytes() == first
    assert stamps(workspace) == before
    (name,) = before
    content = (workspace.index / name).read_bytes()
    (workspace.index / name).unlink()
    stage("index")(settings(workspace), workspace)
    assert (workspace.index / name).read_bytes() == content


def test_a_new_part_leaves_the_other_files_alone_and_strays_go(workspace: Artifacts) -> None:
    add_segment(workspace, "000001-aaaaaaaaaa", 300)
    stage("index")(settings(workspace), workspace)
    before = stamps(workspace)
    added = add_segment(workspace, "000002-bbbbbbbbbb", 250)
    (workspace.index / "stray.faiss").write_bytes(b"?")
    (workspace.index / ".tmp-left").write_bytes(b"?")
    stage("index")(settings(workspace), workspace)
    assert stamps(workspace).items() >= before.items()
    assert len(stamps(workspace)) == 2
    assert not (workspace.index / ".tmp-left").exists()
    for path in (added.rows_path, added.vectors_path):
        path.unlink()
    stage("index")(settings(workspace), workspace)
    assert stamps(workspace) == before


def test_other_params_give_another_file(workspace: Artifacts) -> None:
    add_segment(workspace, "000001-aaaaaaaaaa", 300)
    names = set()
    for changes in ({}, {"links": 18}, {"search_width": 65}, {"seed": 8}):
        stage("index")(settings(workspace, **changes), workspace)
        names.add(index_of(workspace)[0]["file"])
    assert len(names) == 4
    stage("index")(settings(workspace, exact_below=301), workspace)
    assert index_of(workspace)[0]["kind"] == "exact"
    assert stamps(workspace) == {}


def test_without_profiles_it_names_the_stage_that_makes_them(workspace: Artifacts) -> None:
    with pytest.raises(ArtifactMissing, match="dvc repro profiles@champion"):
        stage("index")(settings(workspace), workspace)
    workspace.profiles("champion").mkdir(parents=True)
    with pytest.raises(ArtifactMissing, match="holds no segment"):
        stage("index")(settings(workspace), workspace)
    assert list_segments(workspace.profiles("champion")) == ()
    assert not Path(workspace.index).exists()
