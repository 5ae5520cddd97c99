"""Whether a model may have been trained on the test data of a holdout."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from recsys.errors import ArtifactMissing
from recsys.evaluation.provenance import TrainedOn, contamination, hash_rule, identity

CUT = datetime(2026, 3, 1, tzinfo=UTC)
HOLDOUT = TrainedOn(trained_on="a" * 64, trained_until=CUT)
BY_HASH = TrainedOn(trained_on="a" * 64, held_out_by="item-hash 7 0.2")


@pytest.mark.parametrize(
    "trained",
    [
        TrainedOn(),
        TrainedOn(trained_on="a" * 64),
        TrainedOn(trained_on="b" * 64, trained_until=CUT),
        TrainedOn(trained_on="b" * 64, trained_until=CUT - timedelta(days=9)),
    ],
)
def test_nothing_this_train_side_or_older_interactions_are_no_leak(trained):
    assert contamination(trained, HOLDOUT) is None


@pytest.mark.parametrize("until", [None, CUT + timedelta(microseconds=1)])
def test_another_split_that_is_later_or_of_unknown_time_may_have_been_trained_on_test_data(until):
    words = contamination(TrainedOn(trained_on="b" * 64, trained_until=until), HOLDOUT)
    assert words is not None and "another split (bbbbbbbbbb" in words


def test_a_split_by_item_hash_is_only_trusted_under_the_same_rule():
    same = TrainedOn(trained_on="b" * 64, held_out_by="item-hash 7 0.2")
    assert contamination(same, BY_HASH) is None
    assert contamination(same.model_copy(update={"held_out_by": "item-hash 8 0.2"}), BY_HASH) is not None
    assert contamination(TrainedOn(trained_on="b" * 64, trained_until=CUT), BY_HASH) is not None
    assert contamination(same, HOLDOUT) is not None


def test_the_rule_names_seed_and_share_and_exists_by_hash_alone():
    assert hash_rule("item-hash", 7, 0.20) == "item-hash 7 0.2"
    assert hash_rule("time", 7, 0.2) is None


def test_identity_is_that_of_the_file_and_needs_the_split(tmp_path):
    with pytest.raises(ArtifactMissing, match="dvc repro split"):
        identity(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"pairs")
    assert identity(tmp_path) == "fb095624103259f86a43b8cedab71373a62f18c2539424a53863e3e9fbb984c7"


def test_a_finetune_summary_says_what_it_needs_and_damage_is_named(tmp_path):
    path = tmp_path / "summary.json"
    for name in ("model_hash", "encoder_hash"):  # the second: written by older versions
        path.write_text(json.dumps({name: "x"}))
        assert TrainedOn.load(path) == TrainedOn(model_hash="x")
    path.write_text('{"model_hash": "x", "trained_on": "y", "cut": "2026-03-01T00:00:00Z", "n_steps": 3}')
    assert TrainedOn.load(path) == TrainedOn(model_hash="x", trained_on="y", trained_until=CUT)
    TrainedOn.load(path).save(tmp_path / "training.json")
    assert TrainedOn.load(tmp_path / "training.json") == TrainedOn.load(path)
    path.write_text('{"cut": "soon"}')
    with pytest.raises(ArtifactMissing, match="is damaged"):
        TrainedOn.load(path)
    with pytest.raises(ArtifactMissing, match="does not exist"):
        TrainedOn.load(tmp_path / "none.json")
