import pytest

from recsys.errors import ArtifactMissing
from recsys.evaluation.report import Report
from recsys.gate.decision import Decision
from recsys.stages import evaluate, gate, split
from tests.stages.judged_world import make_world, settings


def test_gate_leaves_a_decision_and_a_page_with_the_same_bytes_each_time(tmp_path):
    world = make_world(tmp_path)
    chosen = settings(gate={"min_margin_over_floor": -1.0})
    split.run(chosen, world.at)
    evaluate.run(chosen, world.at)
    gate.run(chosen, world.at)
    assert Decision.load(world.at.decision).open
    page = world.at.gate_page.read_bytes()
    assert b"The gate is open" in page
    world.at.gate_page.unlink()
    gate.run(chosen, world.at)
    assert world.at.gate_page.read_bytes() == page


def test_a_margin_that_is_not_reached_closes_the_gate_without_an_error(tmp_path):
    world = make_world(tmp_path)
    chosen = settings(gate={"min_margin_over_floor": 0.9})
    split.run(chosen, world.at)
    evaluate.run(chosen, world.at)
    gate.run(chosen, world.at)
    decision = Decision.load(world.at.decision)
    assert not decision.open and "does not clearly beat" in decision.reasons[0]
    assert "The gate is closed" in world.at.gate_page.read_text()


def test_missing_report_names_the_stage(tmp_path):
    world = make_world(tmp_path, n_users=1)
    with pytest.raises(ArtifactMissing, match="dvc repro evaluate"):
        gate.run(world.settings, world.at)


@pytest.mark.whole
def test_a_better_challenger_passes_the_gate_and_a_worse_one_does_not(tmp_path):
    world = make_world(tmp_path, noise=0.6)
    loose = dict.fromkeys(
        ("max_loss_warm", "max_loss_head", "max_loss_tail", "max_loss_mixed"), 0.3
    )  # few users, wide intervals
    chosen = settings(gate={"min_margin_over_floor": -1.0, **loose})
    split.run(chosen, world.at)
    world.challenge(0.03)
    evaluate.run(chosen, world.at)
    gate.run(chosen, world.at)
    decision = Decision.load(world.at.decision)
    assert decision.open and decision.role == "challenger"
    assert "Challenger beside champion" in world.at.gate_page.read_text()
    for path in world.at.profiles("challenger").iterdir():
        path.unlink()
    world.challenge(2.0)
    evaluate.run(chosen, world.at)
    gate.run(chosen, world.at)
    decision = Decision.load(world.at.decision)
    assert not decision.open
    assert any("not clearly better than the champion's" in reason for reason in decision.reasons)


@pytest.mark.whole
def test_a_lucky_first_seed_with_bad_siblings_keeps_the_gate_closed_and_good_siblings_open_it(tmp_path):
    world = make_world(tmp_path, noise=0.6)
    loose = dict.fromkeys(("max_loss_warm", "max_loss_head", "max_loss_tail", "max_loss_mixed"), 0.3)
    once = settings(gate={"min_margin_over_floor": -1.0, **loose})
    thrice = settings(gate={"min_margin_over_floor": -1.0, **loose}, finetune={"seeds": 3})
    split.run(once, world.at)
    world.challenge(0.03)

    def verdict(chosen):
        evaluate.run(chosen, world.at)
        gate.run(chosen, world.at)
        return Decision.load(world.at.decision)

    assert verdict(once).open and "seeds" not in world.at.gate_page.read_text()
    world.trained_with(0.9, 2.0)  # worse than the champion, and much worse
    lucky = verdict(thrice)
    assert not lucky.open and len(lucky.reasons) == 1
    lowest, *_, highest = sorted(
        (one.over_champion["ndcg@20"].mean, trained.seed)
        for report in [Report.load(world.at.report)]
        for trained, one in report.seeds_on(report.slice("cold"))
    )
    assert lowest[1] == 9 and highest[1] == 7
    for value, seed in (lowest, highest):
        assert f"{value:+.4f} with seed {seed}" in lucky.reasons[0]
    assert (
        "3 seeds" in world.at.gate_page.read_text()
        and "seed 7 (challenger)" in world.at.gate_page.read_text()
    )
    world.trained_with(0.04, 0.05)
    assert verdict(thrice).open
