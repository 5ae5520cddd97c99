"""First light through the real commands: a trial of a few rows, then the whole catalogue, then new items."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from recsys.heads.first_light import FirstLight
from recsys.models.reference import ModelReference
from recsys.serving.reader import Release
from recsys.settings import Settings

pytestmark = pytest.mark.whole

MATERIALS = ("oak", "steel", "linen", "glass", "wool", "cork", "slate")
GOODS = ("bench", "kettle", "curtain", "bowl", "rug", "board", "tile", "stool", "tray", "lamp")
CATALOGUE = [
    {"item_id": f"c{n}", "title": f"{material} {good} by {maker}", "updated_at": "2026-10-02T00:00:00Z"}
    for n, (material, good, maker) in enumerate(
        (material, good, f"Maker{(3 * a + b) % 11}x")
        for a, material in enumerate(MATERIALS)
        for b, good in enumerate(GOODS)
    )
]


@pytest.fixture
def tiny(intake, tiny_encoder):
    """A workspace with forty items, and a small encoder to read them."""
    params = yaml.safe_load(intake.at.params.read_text("utf-8"))
    params["encoder"] |= {"source": str(tiny_encoder), "max_tokens": 32}
    intake.at.params.write_text(yaml.safe_dump(params), "utf-8")
    return intake


def profiles(intake):
    """Profile of each item, by the stages that an arrival runs."""
    for stage in ("validate", "features", "profiles@champion"):
        intake.run("run", stage)
    found = {}
    for path in sorted(intake.at.profiles("champion").glob("*.rows.parquet")):
        vectors = np.load(str(path).replace(".rows.parquet", ".vectors.npy"))
        ids = pq.read_table(path)["item_id"].to_pylist()
        found |= dict(zip(ids, vectors, strict=False))
    return found


def test_a_trial_of_a_few_rows_is_joined_with_words_once_the_catalogue_is_there(tiny):
    first = tiny.run("fetch-champion", "--json")
    assert "the pretrained encoder alone" in first.stderr
    assert not ModelReference.model_validate_json(first.stdout).has_head
    tiny.land("catalogue/all.jsonl", CATALOGUE)
    tiny.ingest()
    assert json.loads(tiny.run("fetch-champion", "--json").stdout) == json.loads(first.stdout)
    again = tiny.run("fetch-champion", "--again", "--json")
    joined = ModelReference.model_validate_json(again.stdout)
    assert joined.has_head and "joined with the words of 110 texts" in again.stderr
    assert tiny.run("fetch-champion", "--again", "--json").stdout == again.stdout
    record = FirstLight.load(tiny.at.cache / "heads" / joined.head.hash)
    assert record.params == Settings.load(tiny.at.params).first_light


def test_what_arrives_later_changes_neither_the_encoder_nor_a_profile_that_is_there(tiny):
    tiny.land("catalogue/all.jsonl", CATALOGUE)
    tiny.ingest()
    encoder = json.loads(tiny.run("fetch-champion", "--json").stdout)
    before = profiles(tiny)
    new = {"item_id": "new", "title": "cork bench by Maker4x", "updated_at": "2026-10-03T00:00:00Z"}
    tiny.land("catalogue/new.jsonl", [new])
    tiny.ingest()
    assert json.loads(tiny.run("fetch-champion", "--json").stdout) == encoder
    after = profiles(tiny)
    assert after.keys() - before.keys() == {"new"}
    assert all(np.array_equal(before[item], after[item]) for item in before)
    near = {row["item_id"]: float(after["new"] @ after[row["item_id"]]) for row in CATALOGUE}
    titles = {row["item_id"]: set(row["title"].split()) for row in CATALOGUE}
    words = set(new["title"].split()) - {"by"}
    shared = [near[item] for item in near if len(titles[item] & words) >= 2]
    none = [near[item] for item in near if not titles[item] & words]
    assert shared and none and min(shared) > float(np.mean(none))


@pytest.mark.parametrize("other", ["--published", "--verdict"])
def test_again_is_no_way_to_take_what_is_published_or_judged(tiny, other):
    assert "--again" in tiny.run("fetch-champion", "--again", other, code=2).stderr


def test_a_release_of_first_light_recommends_and_finds_what_shares_words(tiny, monkeypatch):
    monkeypatch.setenv("RECSYS_STORE", str(tiny.at.root / "store"))
    liked = [row for row in CATALOGUE if row["title"].startswith("oak")][:6]
    tiny.land("catalogue/all.jsonl", CATALOGUE)
    tiny.land(
        "interactions/oak.jsonl",
        [
            {"user_id": "oakfan", "item_id": row["item_id"], "timestamp": "2026-10-20T10:00:00Z"}
            for row in liked
        ],
    )
    tiny.ingest()
    tiny.run("fetch-champion")
    profiles(tiny)
    for stage in ("users", "index"):
        tiny.run("run", stage)
    tiny.run("publish")
    release = Release.open(tiny.at.root / "store")
    assert release.manifest.model.lexical_width == 1
    assert release.profile("c0")[0] > 0
    others = {row["item_id"] for row in CATALOGUE if row["title"].startswith("oak")} - {
        row["item_id"] for row in liked
    }
    assert {one.item_id for one in release.recommend(user="oakfan", k=4)} == others
    bowl = next(row for row in CATALOGUE if row["title"].startswith("glass bowl"))
    assert release.search(bowl["title"], k=1)[0].item_id == bowl["item_id"]


def test_first_light_says_which_precision_is_worth_it_where_much_is_to_be_encoded(tiny, monkeypatch):
    few = tiny.run("fetch-champion", "--json")
    assert "int8 is" not in few.stderr and not tiny.at.rates.exists()
    monkeypatch.setattr("recsys.effects.fetch_champion.MEASURED_FROM", 40)
    much = tiny.run("fetch-champion", "--again", "--json")
    assert "in float32" in much.stderr and "worth it on" in much.stderr
    assert len(list(tiny.at.rates.iterdir())) == 1
    kept = tiny.run("fetch-champion", "--json")
    assert "int8 is" not in kept.stderr, "it is no first light any more"
