"""What a training may begin from: nothing of a champion that may know what validation or judging looks for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.encoders.reference import EncoderReference
from recsys.evaluation.provenance import TrainedOn
from recsys.settings import Settings
from recsys.training.beginning import begin
from recsys.training.teacher import Teacher
from tests.encoders.models import encoder_params

CUT = datetime(2026, 5, 1, tzinfo=UTC)
EARLIER = CUT - timedelta(days=30)
THIS, OTHER = "a" * 64, "b" * 64
BY_TIME = TrainedOn(trained_on=THIS, trained_until=CUT)
RULE = "item-hash 1 0.2"
BY_HASH = TrainedOn(trained_on=THIS, held_out_by=RULE)
CHAMPION = EncoderReference(
    hash="e" * 64, dim=32, max_tokens=24, pooling="mean", precision="float32", source="model", files=()
)
PULLED = Settings.load(Path(__file__).parents[2] / "params.yaml").finetune.model_copy(update={"pull": 1.0})


@pytest.mark.parametrize(
    ("trained", "holdout", "known_until"),
    [
        (TrainedOn(), BY_TIME, None),
        (TrainedOn(), BY_HASH, None),
        (BY_TIME, BY_TIME, None),
        (TrainedOn(trained_on=OTHER, trained_until=EARLIER), BY_TIME, EARLIER),
    ],
)
def test_a_champion_is_used_as_far_as_its_cut_tells(tiny_encoder, tmp_path, trained, holdout, known_until):
    found = begun(tiny_encoder, trained, holdout, tmp_path)
    assert (found.champion, found.known_until, found.why_not) == (CHAMPION, known_until, "")


@pytest.mark.parametrize(
    ("trained", "holdout", "why"),
    [
        (BY_HASH, BY_HASH, "has no cut that is known"),  # another seed holds other items out to validate by
        (TrainedOn(trained_on=OTHER, held_out_by=RULE), BY_HASH, "has no cut that is known"),
        (TrainedOn(trained_on=OTHER, trained_until=CUT + timedelta(1)), BY_TIME, "may know test data"),
        (TrainedOn(trained_on=OTHER), BY_TIME, "may know test data"),
    ],
)
def test_a_champion_that_may_know_what_is_held_out_is_left_aside(
    tiny_encoder, tmp_path, trained, holdout, why
):
    found = begun(tiny_encoder, trained, holdout, tmp_path)
    assert found.champion is None and found.known_until is None and why in found.why_not


def begun(folder, trained, holdout, weights):
    return begin(PULLED, encoder_params(folder), Teacher(encoder=CHAMPION, trained=trained), holdout, weights)
