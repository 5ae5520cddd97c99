"""Items without text, through the real commands: refused by default, let in and counted where params say so."""

import json

import numpy as np
import pytest
import yaml

from recsys.catalogue.split import Split
from recsys.serving.reader import Release

PICTURED = {
    "item_id": "p1",
    "title": "",
    "image": "https://pictures.example/p1.jpg",
    "updated_at": "2026-10-02T00:00:00Z",
}
LIKED = [
    {"user_id": f"u{n}", "item_id": "p1", "timestamp": f"2026-10-{2 + n:02}T11:00:00Z"} for n in range(9)
]


@pytest.fixture
def lenient(intake, tiny_encoder, monkeypatch):
    """A workspace that lets items without text in, with a small encoder and a split of its sixty views."""
    monkeypatch.setenv("RECSYS_STORE", str(intake.at.root / "store"))
    params = yaml.safe_load(intake.at.params.read_text("utf-8"))
    params["ingest"]["allow_without_text"] = True
    params["encoder"] |= {"source": str(tiny_encoder), "max_tokens": 32}
    params["split"]["min_test_users"] = 1
    intake.at.params.write_text(yaml.safe_dump(params), "utf-8")
    return intake


def test_by_default_an_item_without_text_is_quarantined(intake):
    others = [{**PICTURED, "item_id": f"q{n}", "title": f"Lamp {n} of glass"} for n in range(9)]
    intake.land("catalogue/p.jsonl", [PICTURED, *others])
    intake.ingest()
    assert [(line, reason) for _, line, reason, _ in intake.quarantined()] == [(1, "no_text")]
    assert "p1" not in intake.items() and "q8" in intake.items()


def test_where_params_say_so_it_is_let_in_waits_and_changes_nothing_else(lenient):
    lenient.land("catalogue/p.jsonl", [PICTURED])
    lenient.land("interactions/p.jsonl", LIKED)
    lenient.ingest()
    assert lenient.quarantined() == [] and lenient.items()["p1"]["image"] == PICTURED["image"]
    for command in ("fetch-champion", "run validate", "run features"):
        lenient.run(*command.split())
    told = lenient.run("run", "profiles@champion").stderr
    assert "1 items have no text, and no view" in told
    assert json.loads((lenient.at.var / "last_encode.json").read_text())["waiting"] == 1
    for command in ("run users", "run index", "run split", "publish"):
        lenient.run(*command.split())
    release = Release.open(lenient.at.root / "store")
    assert len(release.items) == 40 and "p1" not in release.items
    assert {one.item_id for one in release.search("frying pan", k=50)} <= set(release.items)
    np.testing.assert_allclose(np.linalg.norm(release.profile("s1")), 1, atol=1e-5)
    assert "p1" not in Split.load(lenient.at.split).items["item_id"].to_pylist()
