"""Dislikes, returns and likes that are taken back, through the real commands: ingest, stages, publish, recommend."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.profiles.history_files import history_files, load_histories
from recsys.profiles.users_summary import UsersSummary
from tests.cases.conftest import ITEMS, KEY, in_workspace

pytestmark = pytest.mark.whole

NAME = Pseudonyms(KEY).of


@pytest.fixture
def trained(prepared, tmp_path, monkeypatch):
    shutil.copytree(prepared, tmp_path / "workspace")
    return in_workspace(tmp_path / "workspace", monkeypatch)


def histories(intake):
    intake.run("run", "users")
    return load_histories(file.path for file in history_files(intake.at.users / "histories"))


def event(user, item, name="like", day=25, **more):
    return {"user_id": user, "item_id": item, "event": name, "timestamp": f"2026-10-{day}T10:00:00Z"} | more


def test_dislikes_and_negative_values_are_no_history(trained):
    before = UsersSummary.load(trained.at.users / "users.json")
    trained.land(
        "interactions/thumbs.jsonl",
        [
            event("hater", "s3", "dislike", value=-1),
            event("hater", "s4", "Thumbs-Down"),
            event("sporty", "s1", "purchase", value=5),
            event("sporty", "s3", "dislike", value=0),
            event("sporty", "s4", "thumbs", value=-1),
            event("returner", "s3", "purchase", day=24),
            event("returner", "s3", "return", value=-1),
            event("u0", "s40", "dislike"),
        ],
    )
    assert trained.ingest()["interactions/thumbs.jsonl"]["status"] == "accepted"
    found = histories(trained)
    assert found.items_of(NAME("sporty")) == ("s1",)
    assert set(found.disliked_by(NAME("sporty"))) == {"s3", "s4"}
    assert found.items_of(NAME("hater")) == found.items_of(NAME("returner")) == ()
    after = UsersSummary.load(trained.at.users / "users.json")
    assert (after.n_users, after.n_pairs) == (before.n_users + 1, before.n_pairs + 1)


def test_a_like_leaves_when_a_later_file_takes_it_back_and_returns_with_a_new_one(trained):
    fans = NAME("fan")
    trained.land("interactions/1.jsonl", [event("fan", item, day=20) for item in ("s1", "s2", "s3")])
    trained.ingest()
    assert histories(trained).items_of(fans) == ("s1", "s2", "s3")
    trained.land("interactions/2.jsonl", [event("fan", "s1", "unlike"), event("fan", "s2", "return")])
    trained.ingest()
    found = histories(trained)
    assert found.items_of(fans) == ("s3",) and found.disliked_by(fans) == ("s2",)
    trained.land("interactions/3.jsonl", [event("fan", "s1", day=26), event("fan", "s2", "view", day=21)])
    trained.ingest()  # the view is older than the return, though it arrives later
    assert histories(trained).items_of(fans) == ("s1", "s3")


def test_compaction_changes_nothing_about_who_likes_what(trained):
    trained.land("interactions/1.jsonl", [event("fan", "s1"), event("fan", "s2")])
    trained.ingest()
    trained.land(
        "interactions/2.jsonl", [event("fan", "s1", "dislike"), event("fan", "s3", "dislike", day=20)]
    )
    trained.ingest()
    before = histories(trained)
    settings = yaml.safe_load(trained.at.params.read_text()) | {"compact": {"max_parts": 2}}
    trained.at.params.write_text(yaml.safe_dump(settings))
    trained.run("compact")
    after = histories(trained)
    assert after.pairs.equals(before.pairs)
    assert after.disliked_by(NAME("fan")) == before.disliked_by(NAME("fan")) == ("s3", "s1")


def test_a_threshold_on_values_makes_histories_and_split_anew(trained):
    low = [event(f"u{n}", f"s{n + 1}", "rating", value=1 + n % 5, day=20 + n % 5) for n in range(10)]
    trained.land("interactions/stars.jsonl", low)
    trained.ingest()
    loose, names = histories(trained), {file.key for file in history_files(trained.at.users / "histories")}
    settings = yaml.safe_load(trained.at.params.read_text())
    settings["feedback"]["min_values"] = {"rating": 3}
    trained.at.params.write_text(yaml.safe_dump(settings))
    strict = histories(trained)
    assert not names & {file.key for file in history_files(trained.at.users / "histories")}
    gone = {(NAME(f"u{n}"), f"s{n + 1}") for n in range(10) if 1 + n % 5 < 3}
    assert pairs(loose.pairs) - pairs(strict.pairs) <= gone
    assert not gone & pairs(strict.pairs) and pairs(strict.pairs) < pairs(loose.pairs)


def test_split_and_lists_know_likes_only_and_a_disliked_item_is_not_shown_again(trained):
    disliked = [event(f"u{n}", f"s{1 + n * 7 % 40}", "hide") for n in range(5)]
    trained.land("interactions/hidden.jsonl", disliked)
    trained.ingest()
    trained.run("run", "validate")
    trained.run("run", "split")
    gone = {(NAME(row["user_id"]), row["item_id"]) for row in disliked}
    train, test = (pairs(pq.read_table(trained.at.split / f"{side}.parquet")) for side in ("train", "test"))
    assert train and test and not gone & test
    for stage in ("users", "index"):
        trained.run("run", stage)
    trained.run("publish")
    found = json.loads(trained.run("recommend", "u0", "-k", 100, "--json").stdout)["items"]
    shown = {one["item_id"] for one in found}
    likes = set(histories(trained).items_of(NAME("u0")))
    assert "s1" not in likes and shown == {row["item_id"] for row in ITEMS} - likes - {"s1"}
    again = json.loads(trained.run("recommend", "u0", "-k", 100, "--with-seen", "--json").stdout)["items"]
    assert {one["item_id"] for one in again} == {row["item_id"] for row in ITEMS}


def test_histories_of_other_feedback_are_not_published(trained):
    for stage in ("users", "index"):
        trained.run("run", stage)
    settings = yaml.safe_load(trained.at.params.read_text())
    settings["feedback"]["negative_events"] = ["view"]
    trained.at.params.write_text(yaml.safe_dump(settings))
    assert "dvc repro users" in trained.run("publish", code=1).stderr
    trained.run("run", "users")
    trained.run("publish")


def pairs(table):
    return set(zip(table["user"].to_pylist(), table["item_id"].to_pylist(), strict=True))
