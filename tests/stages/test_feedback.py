"""What a holdout knows beyond yes, and how lists are judged by it."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.split import PAIRS_SCHEMA, Split
from recsys.catalogue.weighting import Weighting
from recsys.evaluation.report import Report
from recsys.stages import evaluate, split
from recsys.stages.evaluate_inputs import load_holdout
from tests.stages.judged_world import make_world, settings

CHOSEN = settings(split={"min_test_users": 5})


def pairs(table):
    return set(zip(table["user"].to_pylist(), table["item_id"].to_pylist(), strict=True))


@pytest.fixture(params=[True, False], ids=["by time", "by item hash"])
def rated(request, tmp_path):
    world = make_world(tmp_path, rated=True, timed=request.param)
    split.run(CHOSEN, world.at)
    return world


def test_strengths_are_learned_from_the_training_side_and_both_sides_hold_dislikes(rated):
    found = Split.load(rated.at.split)
    train, test = found.feedback_of("train"), found.feedback_of("test")
    is_like = [weight > 0 for weight in train["weight"].to_pylist()]
    assert pairs(train.filter(is_like)) >= pairs(found.train)
    strengths = np.array(train["weight"].to_pylist())
    assert found.summary.scales["rating"].values == (1, 2, 3, 4, 5)
    assert strengths[strengths > 0].mean() == pytest.approx(1, abs=0.01)
    likes = test.filter([weight > 0 for weight in test["weight"].to_pylist()])
    dislikes = test.filter([weight < 0 for weight in test["weight"].to_pylist()])
    assert pairs(likes) == pairs(found.test)
    assert dislikes.num_rows and set(dislikes["weight"].to_pylist()) == {-1}
    assert not pairs(dislikes) & pairs(train)
    judged = found.items.filter([one is None for one in found.items["left_out"].to_pylist()])
    assert set(dislikes["item_id"].to_pylist()) <= set(judged["item_id"].to_pylist())


def test_lists_are_judged_by_grade_and_regret(rated):
    evaluate.run(CHOSEN, rated.at)
    report = Report.load(rated.at.report)
    for part in report.slices:
        if not part.models:
            continue
        for scores in part.models.values():
            assert 0 <= scores.metrics["graded_ndcg@20"] <= 1
            assert scores.metrics["regret@20"] is None or 0 <= scores.metrics["regret@20"] <= 1
    mixed = report.slice("mixed")
    assert "graded_ndcg@20" in mixed.margins["random"] and "regret@20" in mixed.margins["random"]
    champion = mixed.models["champion"].metrics
    assert champion["graded_ndcg@20"] != champion["ndcg@20"] and champion["regret@20"] > 0


def test_judged_users_count_a_dislike_of_a_cold_item_as_releases_do(rated):
    found = Split.load(rated.at.split)
    user = found.train["user"][0].as_py()
    cold = next(row["item_id"] for row in found.items.to_pylist() if row["slice"] == "cold")
    row = {"side": "train", "user": user, "item_id": cold, "weight": -1.0, "n_likes": 0}
    dislike = pa.Table.from_pylist([row], schema=found.feedback.schema)
    holdout = load_holdout(
        replace(found, feedback=pa.concat_tables([found.feedback, dislike])), CHOSEN, rated.at
    )
    place = holdout.users.index(user), holdout.item_ids.index(cold)
    known = holdout.known.interactions
    assert known.signals(Weighting(dislike=0.5))[place] == -0.5 and known.n_users_I[place[1]] == 0


def test_clicks_alone_leave_the_split_as_it_was(tmp_path):
    world = make_world(tmp_path)
    split.run(CHOSEN, world.at)
    assert {path.name for path in world.at.split.iterdir()} == {
        "split.json", "train.parquet", "test.parquet", "items.parquet",
    }  # fmt: skip
    assert "scales" not in json.loads((world.at.split / "split.json").read_text())
    evaluate.run(CHOSEN, world.at)
    metrics = Report.load(world.at.report).slice("cold").models["champion"].metrics
    assert "ndcg@20" in metrics and not {"graded_ndcg@20", "regret@20"} & set(metrics)


def test_a_split_without_values_takes_an_older_ones_feedback_away(rated):
    assert (rated.at.split / "feedback.parquet").is_file()
    found = Split.load(rated.at.split)
    Split(found.summary, found.train, found.test, found.items).save(rated.at.split)
    assert not (rated.at.split / "feedback.parquet").exists()
    assert pq.read_table(rated.at.split / "train.parquet").equals(found.train.cast(PAIRS_SCHEMA))


def test_events_stand_in_the_split_only_where_params_let_them_weigh(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    plain = {path.name: path.read_bytes() for path in world.at.split.iterdir()}
    assert "feedback.parquet" not in plain
    told = settings(weighting={"event_weights": ({"click": 0.5},)})
    split.run(told, world.at)
    feedback = Split.load(world.at.split).feedback
    assert set(feedback["events"].to_pylist()) == {"click"}
    assert load_holdout(Split.load(world.at.split), told, world.at).known.interactions.event_sets == (
        None,
        "click",
    )
    split.run(world.settings, world.at)
    assert {path.name: path.read_bytes() for path in world.at.split.iterdir()} == plain
