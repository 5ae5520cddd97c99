import csv
import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.catalogue.split import Split
from recsys.dataset.trait_names import TraitNames
from recsys.errors import ArtifactMissing, ConfigError, EncoderError
from recsys.evaluation.report import Report
from recsys.gate.decision import decide
from recsys.gate.page import render
from recsys.models.parts import RankerPart
from recsys.models.reference import ModelReference
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.ranking.mlp import Mlp
from recsys.ranking.recommender import learn_recommender
from recsys.settings import Settings
from recsys.stages import evaluate, evaluate_inputs, split
from recsys.storage.arrays import write_mapped
from tests.ranking.heads import heads_of
from tests.stages.judged_world import ROOT, make_world, settings

NOISY = 0.6
"""A champion that a challenger can beat."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("world"))
    split.run(made.settings, made.at)
    evaluate.run(made.settings, made.at)
    return made


def test_champion_finds_tastes_that_chance_does_not(world):
    report = Report.load(world.at.report)
    assert [part.name for part in report.slices] == ["cold", "warm", "head", "tail", "mixed"]
    cold = report.slice("cold")
    assert 30 <= cold.n_candidates <= 33 and cold.n_users == 60
    metrics = {name: scores.metrics for name, scores in cold.models.items()}
    assert metrics["champion"]["ndcg@20"] > metrics["random"]["ndcg@20"] + 0.2
    assert cold.margins["random"]["ndcg@20"].low > 0.1
    assert set(metrics) == {
        "champion", "random", "same_category", "tfidf_centroid", "encoder_centroid", "plain_blend",
    }  # fmt: skip


def test_a_clean_split_has_no_leaks(world):
    assert Report.load(world.at.report).leaks == ()


def test_metrics_are_flat_with_the_champion_on_top(world):
    metrics = json.loads(world.at.metrics.read_text())
    assert (
        metrics["cold/recall@20"]
        == Report.load(world.at.report).slice("cold").models["champion"].metrics["recall@20"]
    )
    assert "floors/tfidf_centroid/cold/ndcg@20" in metrics and "warm/mrr@20" in metrics


def test_plots_are_tables_that_dvc_can_draw(world):
    with (world.at.plots / "cold_recall_by_k.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["k"]) for row in rows] == [1, 2, 5, 10, 20]  # about 30 candidates: no cutoff beyond
    recalls = [float(row["champion"]) for row in rows]
    assert recalls == sorted(recalls)
    with (world.at.plots / "warm_models.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file)} >= {"champion", "popular"}


def test_a_second_run_gives_the_same_bytes(world):
    files = [world.at.report, world.at.metrics, *sorted(world.at.plots.iterdir())]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    evaluate.run(world.settings, world.at)
    assert [file.read_bytes() for file in files] == before


def test_a_split_of_other_data_is_refused_by_item_part_and_line(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    next(iter(sorted(world.at.profiles("champion").glob("*.rows.parquet")))).unlink()
    with pytest.raises(ArtifactMissing, match="has no profile from part 000001-"):
        evaluate.run(world.settings, world.at)


def test_holdout_reads_the_version_that_the_split_chose(world):
    made = Split.load(world.at.split)
    holdout = evaluate_inputs.load_holdout(made, world.settings, world.at)
    assert sorted(holdout.item_ids) == made.items["item_id"].to_pylist()
    assert list(holdout.item_ids) != sorted(holdout.item_ids)  # hashed order: ties fall to no kind of item
    assert holdout.known.vectors_ID.shape == (150, 16)


def test_with_noise_models_are_chosen_and_judged_without_the_prior_that_releases_then_lack(world):
    made, noisy = Split.load(world.at.split), settings(privacy={"epsilon": 1.0})
    weights = [
        evaluate_inputs.load_holdout(made, chosen, world.at).known.prior_weight
        for chosen in (world.settings, noisy)
    ]
    assert weights == [world.settings.users.prior_weight, 0.0] and weights[0] > 0
    assert noisy.users.prior_or(3.0, 1.0, noisy.privacy) == 0
    chosen_by = noisy.users.tried_with(noisy.privacy)
    assert chosen_by.untrained == (noisy.users.ridge_lambda, 0.0) and chosen_by.prior_weights == (0.0,)


@pytest.fixture(scope="module")
def challenged(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("challenged"), noise=NOISY)
    split.run(made.settings, made.at)
    evaluate.run(made.settings, made.at)
    alone = Report.load(made.at.report)
    made.challenge(0.03)
    evaluate.run(made.settings, made.at)
    return made, alone, Report.load(made.at.report)


def test_a_challenger_is_scored_beside_the_champion_whose_figures_it_does_not_change(challenged):
    world, alone, report = challenged
    for before, after in zip(alone.slices, report.slices, strict=True):
        assert (before.n_users, before.n_candidates) == (after.n_users, after.n_candidates)
        assert before.margins == after.margins
        assert before.models == {name: one for name, one in after.models.items() if name != "challenger"}
        assert list(after.models)[:2] == ["champion", "challenger"]
    assert alone.challenger_hash is None and alone.comparison is None
    metrics = json.loads(world.at.metrics.read_text())
    scores = report.slice("cold").models["challenger"].metrics
    assert metrics["challenger/cold/ndcg@20"] == scores["ndcg@20"]


def test_a_challenger_is_judged_with_the_item_weights_that_came_with_it(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    world.challenge(world.noise)  # profiles as good as the champion's
    evaluate.run(world.settings, world.at)
    without = Report.load(world.at.report)
    holdout = evaluate_inputs.load_holdout(Split.load(world.at.split), world.settings, world.at)
    known = holdout.known
    warm_digests = digests([holdout.item_ids[row] for row in known.warm])
    ordered = np.argsort(warm_digests)
    rows = known.warm[ordered]
    wanted = known.interactions.matrix_UI[:, rows].T @ holdout.test.matrix_UI[:, rows]
    weights = ItemWeights(
        warm_digests[ordered], csr_array(wanted.astype(np.float32)), np.ones(len(rows)), len(rows)
    )
    world.weigh("challenger", weights, world.at.cache)
    evaluate.run(world.settings, world.at)
    report = Report.load(world.at.report)
    for name in ("cold", "warm", "mixed"):
        before, after = (one.slice(name).models for one in (without, report))
        assert after["champion"] == before["champion"]
        assert (after["challenger"] == before["challenger"]) is (name == "cold")
    ndcg = {name: scores.metrics["ndcg@20"] for name, scores in report.slice("warm").models.items()}
    assert ndcg["challenger"] > ndcg["champion"]


def test_item_weights_that_are_gone_are_named_with_what_brings_them(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    nothing = ItemWeights(digests(["i000"]), csr_array((1, 1), dtype=np.float32), np.ones(1), 1)
    world.weigh("champion", nothing, tmp_path / "elsewhere")
    with pytest.raises(EncoderError, match=r"item_weights.npz(.|\n)*recsys fetch-champion"):
        evaluate.run(world.settings, world.at)


def test_profiles_of_a_large_catalogue_are_mapped_judged_alike_and_not_left_behind(challenged, monkeypatch):
    world, _, _ = challenged
    in_memory = world.at.report.read_bytes()
    monkeypatch.setattr("recsys.evaluation.holdout.MAPPED_FROM", 0)
    monkeypatch.setattr("recsys.evaluation.holdout.BLOCK_ROWS", 7)
    mapped = []
    monkeypatch.setattr(
        "recsys.evaluation.holdout.write_mapped",
        lambda *arguments: mapped.append(write_mapped(*arguments)) or mapped[-1],
    )
    evaluate.run(world.settings, world.at)
    assert [type(one) for one in mapped] == [np.memmap, np.memmap]  # of champion and challenger
    assert world.at.report.read_bytes() == in_memory
    assert not world.at.judged("champion").parent.exists()


def test_a_better_challenger_is_surely_better_on_cold_items(challenged):
    _, _, report = challenged
    cold = report.slice("cold")
    margin = cold.challenger_margins["champion"]["ndcg@20"]
    means = {name: scores.metrics["ndcg@20"] for name, scores in cold.models.items()}
    assert margin.low > 0
    assert margin.mean == pytest.approx(means["challenger"] - means["champion"], abs=2e-6)
    assert set(cold.challenger_margins) == {"champion", *cold.margins}
    spread = {"coverage@20", "gini@20", "worst_decile_recall@20"}
    assert spread <= set(cold.challenger_margins["champion"])
    for metric in spread:
        values = [cold.models[name].metrics[metric] for name in ("challenger", "champion")]
        difference = cold.challenger_margins["champion"][metric]
        assert difference.mean == pytest.approx(values[0] - values[1], abs=2e-6)
        assert difference.low <= difference.mean <= difference.high
    assert spread.isdisjoint(report.slice("warm").challenger_margins["champion"])


def test_head_and_tail_divide_the_positives_of_the_warm_slice(challenged):
    _, _, report = challenged
    warm, head, tail = (report.slice(name) for name in ("warm", "head", "tail"))
    assert head.n_positives + tail.n_positives == warm.n_positives
    assert head.n_candidates == tail.n_candidates == warm.n_candidates
    assert max(head.n_users, tail.n_users) <= warm.n_users


def test_examples_show_lists_before_and_after_under_shortened_pseudonyms(challenged):
    world, _, report = challenged
    found = report.comparison
    gained = [user for user in found.examples if user.change > 0]
    assert gained == list(found.examples)[: len(gained)] and gained
    assert all(len(user.user) <= 10 for user in found.examples)
    best = gained[0]
    assert sum(item.is_hit for item in best.challenger) >= sum(item.is_hit for item in best.champion)
    assert best.history and all(len(text) <= 140 for text in best.history)
    assert all(item.n_challenger > item.n_champion for item in found.won) and found.won
    assert all(item.n_challenger < item.n_champion <= item.n_relevant for item in found.lost)


def test_a_challenger_of_another_width_is_judged_like_any_other(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03, dim=24)
    evaluate.run(world.settings, world.at)
    report = Report.load(world.at.report)
    assert report.slice("cold").challenger_margins["champion"]["ndcg@20"].low > 0 and not report.leaks


def test_profiles_of_another_challenger_are_refused_with_the_stage_that_makes_them(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03)
    reference = world.at.model_reference("challenger").read_bytes()
    world.challenge(0.5)
    world.at.model_reference("challenger").write_bytes(reference)
    with pytest.raises(ArtifactMissing, match=r"another model(.|\n)*dvc repro profiles@challenger"):
        evaluate.run(world.settings, world.at)


def test_without_profiles_the_challenger_is_not_judged_yet(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03)
    for path in world.at.profiles("challenger").iterdir():
        path.unlink()
    world.at.profiles("challenger").rmdir()
    evaluate.run(world.settings, world.at)
    assert Report.load(world.at.report).challenger_hash is None


def test_an_encoder_trained_on_later_interactions_may_have_been_trained_on_test_data(challenged, tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    cut = Split.load(world.at.split).summary.cut
    for late, is_refused in ((timedelta(0), False), (timedelta(days=1), True)):
        world.challenge(0.03, trained_on="c" * 64, cut=(cut + late).isoformat())
        evaluate.run(world.settings, world.at)
        assert ("challenger" in Report.load(world.at.report).contaminated) is is_refused
    world.challenge(0.03)
    record = {"model_hash": "a" * 64, "trained_on": "d" * 64, "trained_until": None, "held_out_by": None}
    world.at.trained_on("champion").write_text(json.dumps(record))
    evaluate.run(world.settings, world.at)
    assert list(Report.load(world.at.report).contaminated) == ["champion"]


def with_seeds(n):
    return settings(finetune={"seeds": n})


def test_siblings_of_the_challenger_are_judged_like_it_and_change_nothing_else(challenged, tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03)
    world.trained_with(0.2, 0.9)
    evaluate.run(with_seeds(3), world.at)
    report, once = Report.load(world.at.report), challenged[2]
    assert [(one.seed, one.ridge_lambda) for one in report.seeds] == [(7, 10.0), (8, 11.0), (9, 12.0)]
    assert report.seeds[0].model_hash == report.challenger_hash
    for part, alone in zip(report.slices, once.slices, strict=True):
        assert part.model_copy(update={"seeds": (), "over_seeds": {}}) == alone
        own, good, bad = part.seeds
        assert own.over_champion == {m: part.challenger_margins["champion"][m] for m in own.over_champion}
        assert own.metrics == {name: part.models["challenger"].metrics[name] for name in own.metrics}
        over = part.over_seeds["ndcg@20"]
        means = [one.over_champion["ndcg@20"].mean for one in part.seeds]
        assert over.mean == pytest.approx(sum(means) / 3, abs=2e-6)
        assert over.low < over.mean < over.high
    own, good, bad = report.slice("cold").seeds
    assert own.metrics["ndcg@20"] > good.metrics["ndcg@20"] > bad.metrics["ndcg@20"]
    assert good.over_champion["ndcg@20"].low > 0 > bad.over_champion["ndcg@20"].high
    metrics = json.loads(world.at.metrics.read_text())
    assert metrics["seeds/9/cold/ndcg@20"] == bad.metrics["ndcg@20"]


def test_a_sibling_is_judged_by_its_own_profiles_as_if_it_were_the_challenger(tmp_path):
    """Of one noise they are the very same encoder: whatever differs would be a mistake."""
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.3, dim=24)
    world.trained_with(0.3, dim=24)
    chosen = with_seeds(2)
    one_lambda = {
        "ridge_lambda": 11.0,
        "prior_weight": 0.0,
    }  # those of the sibling, now of the challenger too
    evaluate.run(chosen.model_copy(update={"users": chosen.users.model_copy(update=one_lambda)}), world.at)
    for part in Report.load(world.at.report).slices:
        own, sibling = part.seeds
        assert own.metrics == sibling.metrics


def test_siblings_without_test_users_leave_empty_slices(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03)
    world.trained_with(0.2)
    made = Split.load(world.at.split)
    Split(made.summary, made.train, made.test.slice(0, 0), made.items).save(world.at.split)
    evaluate.run(with_seeds(2), world.at)
    report = Report.load(world.at.report)
    assert len(report.seeds) == 2 and all(part.seeds == () for part in report.slices)
    reasons = decide(report, with_seeds(2).gate).reasons
    assert any("the seeds could not be compared" in reason for reason in reasons)


def test_one_seed_asks_for_no_siblings_even_where_some_lie(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03)
    world.trained_with(0.2)
    evaluate.run(world.settings, world.at)
    report = Report.load(world.at.report)
    assert report.seeds == () and all(part.seeds == () and part.over_seeds == {} for part in report.slices)


def test_seeds_that_are_configured_and_not_trained_are_refused_with_the_stage_that_trains(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    evaluate.run(with_seeds(2), world.at)  # there is no challenger: nothing is asked of it
    world.challenge(0.03)
    with pytest.raises(ArtifactMissing, match=r"seeds.json(.|\n)*dvc repro finetune"):
        evaluate.run(with_seeds(2), world.at)
    world.trained_with(0.2)
    with pytest.raises(ArtifactMissing, match="with 2 seeds, the challenger is .* finetune.seeds is 3"):
        evaluate.run(with_seeds(3), world.at)
    for path in world.at.profiles("challenger").iterdir():
        path.unlink()
    world.challenge(0.5)  # another challenger, the seeds are those of the one before
    with pytest.raises(ArtifactMissing, match="is of model .* the challenger is"):
        evaluate.run(with_seeds(2), world.at)


def test_a_summary_of_another_training_is_refused(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.03, model_hash="e" * 64)
    with pytest.raises(ArtifactMissing, match="is about model eeeeeeeeee"):
        evaluate.run(world.settings, world.at)
    world.at.trained_on("challenger").unlink()
    with pytest.raises(ArtifactMissing, match="does not say what challenger"):
        evaluate.run(world.settings, world.at)


@pytest.mark.whole
def test_rivals_are_judged_beside_the_champion_and_change_neither_it_nor_the_gate(challenged, tmp_path):
    _, _, without = challenged
    world = make_world(tmp_path, noise=NOISY)
    rivals = ("rbf_ridge", "ease_prior")
    world.settings = settings(evaluate={"bootstrap_rounds": 200, "rivals": rivals})
    split.run(world.settings, world.at)
    world.challenge(0.03)
    evaluate.run(world.settings, world.at)
    report = Report.load(world.at.report)
    for before, after in zip(without.slices, report.slices, strict=True):
        assert (before.margins, before.challenger_margins) == (after.margins, after.challenger_margins)
        assert [*before.models, "rbf_ridge", "ease_prior"] == list(after.models)
        margin = after.rival_margins["ease_prior"]["ndcg@20"]
        means = {name: scores.metrics["ndcg@20"] for name, scores in after.models.items()}
        assert margin.mean == pytest.approx(means["challenger"] - means["ease_prior"], abs=2e-6)
    assert report.leaks == () and without.slices[0].rival_margins == {}
    metrics = json.loads(world.at.metrics.read_text())
    assert "rivals/ease_prior/warm/recall@20" in metrics and "floors/random/cold/ndcg@20" in metrics
    gates = [decide(one, world.settings.gate) for one in (without, report)]
    assert gates[0].checks == gates[1].checks
    page = render(report, gates[1], world.settings.gate)
    assert "Challenger minus rival" in page and "ease prior" in page
    assert "minus rival" not in render(without, gates[0], world.settings.gate)


@pytest.mark.parametrize(
    ("rivals", "words"),
    [
        ("[tea_leaves]", "evaluate.rivals.0: Input should be 'rbf_ridge', 'als_map'"),
        ("[blend, blend]", "evaluate.rivals: .*each rival may be named once, got blend, blend"),
    ],
)
def test_rivals_that_nobody_knows_or_that_are_named_twice_are_refused_by_key(rivals, words, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("  rivals: []", f"  rivals: {rivals}"))
    with pytest.raises(ConfigError, match=words):
        Settings.load(path)


def test_each_encoder_is_judged_with_the_lambda_that_it_brought(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    world.challenge(0.1)
    found, priors = [], []
    for lambdas in ({}, {"champion": 1e4}, {"champion": 1e4, "challenger": 0.01}):
        for role, one in lambdas.items():
            path, trained = world.at.model_reference(role), world.at.trained_on(role)
            weight = 2.0 if role == "challenger" else None
            model = ModelReference.of(ModelReference.load(path).encoder, None, one, prior_weight=weight)
            model.save(path)
            if trained.exists():
                summary = json.loads(trained.read_text()) | {"model_hash": model.hash}
                trained.write_text(json.dumps(summary))
        evaluate.run(world.settings, world.at)
        report = Report.load(world.at.report)
        models = report.slice("warm").models
        scores = {role: models[role].recall_by_k for role in ("champion", "challenger")}
        found.append((report.ridge_lambda, report.challenger_lambda, scores))
        priors.append(report.prior_weights)
    own, prior = world.settings.users.ridge_lambda, world.settings.users.prior_weight
    assert priors == [{"champion": prior, "challenger": prior}, {"challenger": prior}, {"challenger": 2.0}]
    gate = world.settings.gate
    assert "prior of the challenger's users</dt><dd>2<" in render(report, decide(report, gate), gate)
    assert [(one, other) for one, other, _ in found] == [(own, own), (1e4, own), (1e4, 0.01)]
    plain, champion, both = (scores for _, _, scores in found)
    assert champion["champion"] != plain["champion"] and champion["challenger"] == plain["challenger"]
    assert both["champion"] == champion["champion"] and both["challenger"] != champion["challenger"]


def test_a_ranker_that_this_version_does_not_know_is_refused_by_name(tmp_path):
    world = make_world(tmp_path, noise=NOISY)
    split.run(world.settings, world.at)
    path = world.at.model_reference("champion")
    encoder = ModelReference.load(path).encoder
    ModelReference.of(encoder, ranker=RankerPart(name="of the future")).save(path)
    with pytest.raises(EncoderError, match="ranker 'of the future' .*dot, item_weights"):
        evaluate.run(world.settings, world.at)


def test_a_ranker_that_reads_traits_is_judged_with_those_of_the_judged_versions(world):
    found = evaluate_inputs.load_holdout(Split.load(world.at.split), world.settings, world.at)
    assert not found.known.traits.sets
    mlp = Mlp(Dot(), heads_of(dim=16, n_traits=2), 100, 0.0, TraitNames(("tags",), ("age",)))
    profiled = evaluate_inputs.with_traits(replace(found, ranker=mlp), world.at)
    shared = (profiled.known.traits.sets["tags"] @ profiled.known.traits.sets["tags"].T).toarray()
    taste = np.array([int(item[1:]) % 6 for item in found.item_ids])
    np.testing.assert_array_equal(shared, taste[:, None] == taste)
    judged = learn_recommender(profiled.known, mlp)
    users, cold = np.arange(5), found.candidates("cold")
    assert np.isfinite(judged.scores(users, cold)).all() and judged.traits.width == 4
