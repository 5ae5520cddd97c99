from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from bench.rivals import dropoutnet, heater
from bench.rivals.choosing import Rival, choose, hold_out
from bench.rivals.dropoutnet import BEST_SHARE, DropoutNet, best_from
from bench.rivals.floors import lists
from bench.rivals.heater import Heater, HeaterNet, drawing
from bench.rivals.inputs import Inputs, make_inputs, standardised
from bench.rivals.methods import RIVALS, score, training_set_of
from bench.rivals.shelf import Shelf
from bench.rivals.towers import Block, blocks
from recsys.evaluation.cold_start import Task
from tests.dataset.make import interactions_of

TOPICS = ("river boat water", "stone castle king", "engine wheel road", "violin concert song")
EVERYONE = np.arange(40)


@pytest.fixture(scope="module")
def task():
    """Users of four tastes and items of four topics; the last quarter of the items is cold."""
    rng = np.random.default_rng(3)
    topic_I = np.arange(120) % len(TOPICS)
    fillers = [f"filler{n}" for n in range(30)]
    texts = tuple(
        f"{' '.join(rng.choice(TOPICS[t].split(), 2))} {' '.join(rng.choice(fillers, 3))}" for t in topic_I
    )
    same_UI = (EVERYONE % len(TOPICS))[:, None] == topic_I
    matrix_UI = rng.random(same_UI.shape) < np.where(same_UI, 0.4, 0.02)
    cold = np.arange(90, 120)
    matrix_UI[:, cold] = False
    return Task(
        interactions=interactions_of(matrix_UI),
        texts=texts,
        fields=("title",),
        cold=cold,
    )


@pytest.fixture(scope="module")
def vectors(task):
    """A poor encoder's: the topic in much noise."""
    rng = np.random.default_rng(4)
    found = (
        rng.normal(size=(len(task.texts), 16)) + 1.5 * np.eye(16)[np.arange(len(task.texts)) % len(TOPICS)]
    )
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def inputs(task, vectors):
    return make_inputs(task, vectors, task.warm, task.cold, seed=0)


def share_of_own_topic(task, scores_UC):
    best_UK = task.cold[np.argsort(-scores_UC, axis=1)[:, :5]]
    return float((best_UK % len(TOPICS) == (EVERYONE % len(TOPICS))[:, None]).mean())


def test_standardised_columns_are_cut_and_rows_without_factors_stay_zero():
    learned = np.array([[1.0, 5.0], [3.0, 5.0], [0.0, 0.0]], np.float32)
    found, other = standardised(learned, np.array([[9.0, 5.0], [0.0, 0.0]], np.float32), cap=5.0)
    np.testing.assert_array_equal(
        found, [[-1, 0], [1, 0], [0, 0]]
    )  # mean 2, deviation 1; the second never varies
    np.testing.assert_array_equal(other, [[5, 0], [0, 0]])  # 7 deviations, cut


def test_inputs_know_nothing_of_the_interactions_of_cold_items(task, vectors, inputs):
    changed_UI = task.interactions.matrix_UI.toarray()
    changed_UI[:, task.cold] = 1
    again = make_inputs(
        replace(task, interactions=interactions_of(changed_UI)), vectors, task.warm, task.cold, seed=0
    )
    for name in ("content_WP", "asked_CP", "users_UF", "items_WF"):
        np.testing.assert_array_equal(getattr(again, name), getattr(inputs, name))


def test_heater_s_loss_over_all_pairs_is_what_its_authors_expect_from_single_draws():
    rng = np.random.default_rng(0)
    interacted_UW, scores_UW = rng.random((6, 9)) < 0.3, rng.normal(size=(6, 9)).astype(np.float32)
    expected, drawn = 0.0, 0
    for user, item in np.argwhere(interacted_UW):
        expected += (scores_UW[user, item] - 1) ** 2
        expected += 5 * np.mean(scores_UW[user] ** 2)  # five items, each any of the nine
        drawn += 6
    whole = Block(np.arange(6), np.arange(9), scale=1.0)
    found = drawing(interacted_UW, 5).error(
        torch.from_numpy(scores_UW), torch.from_numpy(interacted_UW).float(), whole
    )
    assert float(found) == pytest.approx(expected / drawn, rel=1e-5)


def test_blocks_of_heater_estimate_the_whole_without_bias():
    rng = np.random.default_rng(1)
    interacted_UW, scores_UW = rng.random((4, 6)) < 0.5, rng.normal(size=(4, 6)).astype(np.float32)
    drawn = drawing(interacted_UW, 5)

    def error(users, items, scale):
        place = np.ix_(users, items)
        cut = torch.from_numpy(scores_UW[place]), torch.from_numpy(interacted_UW[place]).float()
        return float(drawn.error(*cut, Block(users, items, scale)))

    parts = [error(np.array(u), np.array(i), 6.0) for u in ([0, 1], [2, 3]) for i in ([0, 1], [2, 3], [4, 5])]
    assert np.mean(parts) == pytest.approx(error(np.arange(4), np.arange(6), 1.0), rel=1e-5)


def test_shares_of_heater_s_draws_add_up_to_one():
    interacted_UW = np.random.default_rng(2).random((7, 5)) < 0.4
    assert float(drawing(interacted_UW, 5).share_W.sum()) == pytest.approx(1.0)


def test_heater_s_experts_are_mixed_by_their_gates():
    net = HeaterNet(content_width=3, factors=4, experts=2)
    content = torch.randn(5, 3)
    gates = torch.tanh(net.gate(content))
    byhand = torch.tanh(sum(gates[:, [n]] * torch.tanh(net.experts[n](content)) for n in range(2)))
    torch.testing.assert_close(net.estimate(content), byhand)


def test_dropoutnet_marks_as_many_best_items_for_each_user_as_its_authors_share(inputs):
    scores = inputs.users_UF @ inputs.items_WF.T
    marked_U = (scores >= best_from(inputs, EVERYONE)[:, None]).sum(axis=1)
    assert marked_U.tolist() == [round(BEST_SHARE * scores.shape[1])] * len(EVERYONE)


def test_every_user_and_item_is_dealt_once_before_any_is_dealt_again():
    dealt = blocks(np.arange(1024), 512, np.random.default_rng(0))
    first, second = next(dealt), next(dealt)
    assert sorted([*first.users, *second.users]) == list(range(1024))
    assert sorted([*first.items, *second.items]) == list(range(512))
    assert first.scale == 1024 * 512 / (len(first.users) * len(first.items))


@pytest.mark.parametrize(
    ("train", "settings"), [(heater.train, Heater(0.05)), (dropoutnet.train, DropoutNet(0.05))]
)
def test_a_rival_learns_the_tastes_and_gives_the_same_for_the_same_seed(task, inputs, train, settings):
    found, again = (next(train(inputs, settings, seed, 150)) for seed in (0, 0))
    assert share_of_own_topic(task, found.users_UE @ found.asked_CE.T) > 0.45  # chance: 0.25
    np.testing.assert_array_equal(found.asked_CE, again.asked_CE)


def test_what_diverges_stands_by_what_came_before(task, vectors):
    wild = Rival(dropoutnet.train, DropoutNet(), ({}, {"learning_rate": 1e9}), ())
    choice = choose(task, vectors, wild, seed=0, on_tried=lambda tried: None)
    assert choice.settings["learning_rate"] == DropoutNet().learning_rate
    assert choice.tried[1]["ndcg@20"] == 0.0


def test_validation_holds_out_warm_items_only_and_whole(task):
    held = hold_out(task, seed=0)
    assert not set(held.known) & set(held.asked)
    assert sorted([*held.known, *held.asked]) == task.warm.tolist()
    relevant = {int(held.asked[place]) for place in held.relevant_VR[0] if place >= 0}
    history = set(task.interactions.matrix_UI[[held.users[0]]].indices)
    assert relevant == history & set(held.asked.tolist())


def test_every_rival_tries_eight_configurations_its_authors_own_first():
    for rival in RIVALS.values():
        assert len(rival.first) + len(rival.then) == 8 and rival.first[0] == {}


@pytest.mark.whole
def test_a_second_row_of_the_same_training_set_borrows_and_tells_the_cost(
    task, vectors, tmp_path, monkeypatch
):
    quick = Rival(heater.train, Heater(0.05), ({},), ())
    monkeypatch.setitem(RIVALS, "heater", quick)
    shelves = [Shelf(tmp_path), Shelf(tmp_path)]
    first, second = (score("heater", task, vectors, 1, shelf, lambda tried: None) for shelf in shelves)
    np.testing.assert_array_equal(first.scores_UC, second.scores_UC)
    assert shelves[0].borrowed_s == 0 < shelves[1].borrowed_s and shelves[1].peak_mib > 0
    assert first.choosing_now_s == first.choosing_s == second.choosing_s and second.choosing_now_s == 0


def test_another_history_is_another_training_set(task):
    changed_UI = task.interactions.matrix_UI.toarray()
    changed_UI[0, 0] = 1 - changed_UI[0, 0]
    other = replace(task, interactions=interactions_of(changed_UI))
    assert training_set_of(task) == training_set_of(replace(task)) != training_set_of(other)


def test_lists_are_best_first_and_ties_go_to_the_smaller_row():
    table = lists(
        ("u", "v"), np.array(["a", "b", "c"], object), np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 3.0]]), top=2
    )
    assert table.to_pydict() == {
        "user_id": ["u", "u", "v", "v"],
        "item_id": ["b", "a", "c", "a"],
        "rank": [1, 2, 1, 2],
    }


def test_inputs_of_a_user_without_history_are_zero():
    history = csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    texts = ("red chair", "blue chair", "red lamp", "blue lamp")
    known = interactions_of(np.hstack([history.toarray(), np.zeros((3, 1))]))
    task = Task(known, texts, ("title",), np.array([3]))
    found = make_inputs(task, np.eye(4, dtype=np.float32), task.warm, task.cold, seed=0)
    assert isinstance(found, Inputs) and not found.users_UF[1].any() and found.users_UF[0].any()
