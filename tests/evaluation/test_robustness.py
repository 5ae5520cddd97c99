"""Lists of cold items by perturbed texts: what is lost, what stuffing wins, and what the gate says."""

import numpy as np
import pytest

from recsys.catalogue.split import Split
from recsys.evaluation.holdout import with_vectors
from recsys.evaluation.judge import learn_models
from recsys.evaluation.report import Report
from recsys.evaluation.robustness import judge_robustness
from recsys.gate.decision import decide
from recsys.gate.page import render
from recsys.ranking.tasks import make_task, rank
from recsys.stages import evaluate, evaluate_inputs, split
from tests.stages.judged_world import make_world, settings

CHOSEN = settings()
PARAMS = CHOSEN.evaluate.model_copy(update={"robustness": ("typos", "cut", "stuffed")})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("world"))
    split.run(CHOSEN, made.at)
    made.challenge(0.05)
    evaluate.run(CHOSEN, made.at)
    return made


@pytest.fixture(scope="module")
def holdout(world):
    return evaluate_inputs.load_holdout(Split.load(world.at.split), CHOSEN, world.at)


@pytest.fixture(scope="module")
def models(world, holdout):
    challenged = evaluate_inputs.load_challenged(holdout, Split.load(world.at.split), CHOSEN, world.at)
    learned = learn_models(holdout, challenged)
    return {role: learned[role] for role in ("champion", "challenger")}


def by_item(holdout, models, changed_by_role):
    """encode: role -> function of the role's own profiles."""
    cold = holdout.candidates("cold")

    def encode(role, texts, views):
        rows = cold if len(texts) == len(cold) else cold[::10]
        assert len(texts) == len(rows)
        return changed_by_role[role](models[role].users.vectors_ID[rows])

    return encode


def same(vectors):
    return vectors


def noise(vectors):
    drawn = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def liked_by_all(models, holdout):
    """What every user likes a bit: the mean of all users' profiles."""
    everybody = models["champion"].users.profiles(np.arange(len(holdout.users)))
    mean = everybody.mean(axis=0)

    def change(vectors):
        return np.tile(3 * mean / np.linalg.norm(mean), (len(vectors), 1)).astype(np.float32)

    return change


def test_profiles_that_do_not_change_lose_and_win_nothing(holdout, models):
    encode = by_item(holdout, models, {"champion": same, "challenger": same})
    found = judge_robustness(holdout, models, encode, PARAMS)
    assert [one.kind for one in found] == ["typos", "cut", "stuffed"]
    for one in found:
        for scores in one.models.values():
            assert scores.clean == scores.perturbed
            assert {(each.low, each.high) for each in scores.change.values()} == {(0, 0)}
    assert found[2].models["champion"].places_won.high == found[2].places_over_champion.high == 0
    assert found[0].models["champion"].places_won is None and found[0].n_perturbed == found[0].n_candidates
    assert found[2].n_perturbed == len(holdout.candidates("cold")[::10])


def test_what_perturbed_profiles_cost_is_the_difference_of_both_lists(holdout, models):
    encode = by_item(holdout, models, {"champion": noise, "challenger": same})
    typos = judge_robustness(holdout, models, encode, PARAMS)[0]
    champion, challenger = typos.models["champion"], typos.models["challenger"]
    fall = champion.change["ndcg@20"]
    assert fall.high < -0.1 and fall.mean == pytest.approx(
        champion.perturbed["ndcg@20"] - champion.clean["ndcg@20"], abs=1e-5
    )
    assert challenger.change["ndcg@20"].mean == 0
    over = typos.over_champion["ndcg@20"]
    assert over.low > 0.1
    assert over.mean == pytest.approx(
        challenger.perturbed["ndcg@20"] - champion.perturbed["ndcg@20"], abs=1e-5
    )


def test_perturbed_lists_are_those_of_a_recommender_learned_over_the_perturbed_profiles(holdout, models):
    """Nothing is learned from cold items, so judging need not learn again."""
    cold = holdout.candidates("cold")
    vectors = holdout.known.vectors_ID.copy()
    vectors[cold] = noise(vectors[cold])
    again = learn_models(
        with_vectors(
            holdout, vectors, holdout.known.ridge_lambda, holdout.ranker, 0, 0.0, holdout.known.weighting
        )
    )["champion"]
    task = make_task(
        "cold", cold, holdout.known.interactions, holdout.test.matrix_UI, PARAMS.max_users, PARAMS.seed
    )
    ranked_UK = rank(again, task.users, task.candidates, 20, task.excluded_UE).rows_UK
    hits = np.array(
        [np.isin(row, liked).any() for row, liked in zip(ranked_UK, task.relevant_UR, strict=True)]
    )
    encode = by_item(holdout, models, {"champion": noise, "challenger": same})
    typos = judge_robustness(holdout, models, encode, PARAMS)[0]
    assert typos.models["champion"].perturbed["hit_rate@20"] == pytest.approx(hits.mean(), abs=1e-6)


def test_places_that_stuffed_items_win_are_counted(holdout, models):
    encode = by_item(holdout, models, {"champion": same, "challenger": liked_by_all(models, holdout)})
    stuffed = judge_robustness(holdout, models, encode, PARAMS)[2]
    n = stuffed.n_perturbed
    assert n == -(-stuffed.n_candidates // 10) and 0 < stuffed.models["challenger"].places_before < n
    won = stuffed.models["challenger"].places_won
    assert won.low > 0 and stuffed.models["challenger"].places_before + won.mean <= n
    assert stuffed.places_over_champion.mean == pytest.approx(won.mean, abs=1e-6)


def test_a_sample_bounds_the_items_that_are_encoded(holdout, models):
    counts = []

    def encode(role, texts, views):
        counts.append(len(texts))
        return noise(np.empty((len(texts), models[role].users.vectors_ID.shape[1])))

    few = PARAMS.model_copy(update={"robustness_items": 20})
    found = judge_robustness(holdout, models, encode, few)
    assert counts == [20, 20, 20, 20, 2, 2] and found[0].n_candidates == 20
    assert judge_robustness(holdout, models, encode, PARAMS.model_copy(update={"robustness": ()})) == ()


def test_the_gate_refuses_what_bears_perturbed_texts_worse_and_the_page_shows_it(world, holdout, models):
    report = Report.load(world.at.report)
    assert report.robustness == () and "robustness" not in world.at.report.read_text()
    gate = CHOSEN.gate.model_copy(update={"max_loss_robustness": 0.05, "max_rise_stuffing": 0.5})

    def judged(encode):
        return report.model_copy(update={"robustness": judge_robustness(holdout, models, encode, PARAMS)})

    def reasons(one):
        return [words for words in decide(one, gate).reasons if "perturbed" in words or "stuffed" in words]

    fine = judged(by_item(holdout, models, {"champion": same, "challenger": same}))
    assert reasons(fine) == []
    graded = gate.model_copy(update={"floor_metric": "graded_ndcg@20"})  # a metric that no perturbed list has
    assert any("are not judged by graded_ndcg@20" in words for words in decide(fine, graded).reasons)
    worse = judged(by_item(holdout, models, {"champion": same, "challenger": noise}))
    (lost,) = [words for words in reasons(worse) if "perturbed" in words]
    assert "typos" in lost and "cut" in lost and "the lower end must reach -0.05" in lost
    greedy = judged(by_item(holdout, models, {"champion": same, "challenger": liked_by_all(models, holdout)}))
    assert any("stuffed texts may win more places" in words for words in reasons(greedy))
    page = render(greedy, decide(greedy, gate), gate)
    assert "Perturbed texts" in page and "stuffed, 4 of 31" in page
    assert "Perturbed texts" not in render(report, decide(report, gate), gate)
    metrics = greedy.flat_metrics()
    assert "robustness/typos/ndcg@20" in metrics and "challenger/robustness/cut/ndcg@20" in metrics
