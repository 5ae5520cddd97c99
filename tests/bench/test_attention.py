from itertools import islice

import numpy as np
import pytest

from bench.figures import ROOT
from bench.rivals.attention import gated_coordinates, learn_gates, make_parts
from recsys.dataset.dataset import Dataset
from recsys.features.views import DenseView
from recsys.heads.learning import learn_head, profiles, survey
from recsys.heads.recipe import Recipe
from recsys.settings import Settings
from tests.dataset.make import interactions_of
from tests.unit_rows import unit_rows

N_USERS, N_ITEMS, N_TOPICS, WIDTH = 80, 160, 5, 16
COLD = np.arange(3, N_ITEMS, 8)
BLIND = int(COLD[0])
"""A cold item without views."""
PARAMS = Settings.load(ROOT / "params.yaml").fusion.model_copy(update={"width": 64, "words_width": 0})
RECIPE = Recipe(0.5, 0.5, 10.0, None, {}, view_weights={"one": 1.0, "other": 1.0})


@pytest.fixture(scope="module")
def dataset():
    """Users like one topic of items. View `one` knows that of even items and misleads in odd ones, `other` reversed.

    Every item's vectors tell which kind it is.
    """
    rng = np.random.default_rng(3)
    kind_I, topic_I = np.arange(N_ITEMS) % 2, np.arange(N_ITEMS) // 2 % N_TOPICS
    same_UI = (np.arange(N_USERS) % N_TOPICS)[:, None] == topic_I
    likes_UI = rng.random(same_UI.shape) < np.where(same_UI, 0.6, 0.02)
    likes_UI[:, COLD] = False

    def view(kind, source):
        told_I = np.where(kind_I == kind, topic_I, rng.permutation(topic_I))
        told_IL = np.eye(WIDTH)[told_I] + np.eye(WIDTH)[N_TOPICS + kind_I]
        told_IL[BLIND] = 0
        lengths_I1 = np.linalg.norm(told_IL, axis=1, keepdims=True)
        return DenseView((told_IL / np.maximum(lengths_I1, 1)).astype(np.float32), source)

    return Dataset(
        interactions_of(likes_UI),
        tuple(" ".join(rng.choice([f"word{n}" for n in range(40)], 4)) for _ in topic_I),
        unit_rows(rng, N_ITEMS, WIDTH),
        10.0,
        0,
        views={"one": view(0, "a"), "other": view(1, "b")},
    )


@pytest.fixture(scope="module")
def surveyed(dataset):
    return survey(dataset, PARAMS)


@pytest.fixture(scope="module")
def parts(dataset, surveyed):
    return make_parts(dataset, surveyed, RECIPE, PARAMS)


@pytest.fixture(scope="module")
def gates(dataset, surveyed, parts):
    """Before learning, and after 200 steps."""
    histories_UM = dataset.interactions.matrix_UI[:, surveyed.landmarks]
    return list(islice(learn_gates(parts, histories_UM, PARAMS.kernel_lambda, 0, 200), 2))


def test_items_weigh_the_parts_that_they_have(parts, gates):
    for gates_PN in gates:
        np.testing.assert_allclose(gates_PN.sum(axis=0), parts.has_PN.sum(axis=0), rtol=1e-5)
        assert not gates_PN[~parts.has_PN].any()
    views = [parts.names.index(name) for name in RECIPE.view_weights]
    assert not parts.has_PN[views, BLIND].any() and parts.has_PN[views].mean() > 0.9
    assert not parts.codes_PNZ[views, BLIND].any()
    assert np.array_equal(gates[0] > 0, parts.has_PN)
    assert len(np.unique(gates[0][parts.has_PN])) == 1


def test_attention_learns_for_each_item_which_view_knows_its_topic(parts, gates):
    one, other = (gates[1][parts.names.index(name)] for name in RECIPE.view_weights)
    cold = COLD[COLD != BLIND]
    assert (cold % 2 == 1).all()  # so cold ones are of one kind, and never seen
    assert other[cold].mean() > 1.5 * one[cold].mean()
    warm = np.setdiff1d(np.arange(N_ITEMS), COLD)
    even, odd = warm[warm % 2 == 0], warm[warm % 2 == 1]
    assert one[even].mean() > 1.5 * one[odd].mean()
    assert other[odd].mean() > 1.5 * other[even].mean()


def test_two_items_are_compared_by_the_gates_of_both(dataset, surveyed, parts, gates):
    assert not np.array_equal(surveyed.landmarks, np.arange(len(surveyed.landmarks)))
    joined_NM = parts.joined(gates[1])
    for item, place in ((0, 5), (int(COLD[2]), 7)):
        landmark = surveyed.landmarks[place]
        by_part = [
            gates[1][part, item] * gates[1][part, landmark] * parts.kernels_PNM[part, item, place]
            for part in range(len(parts.names))
        ]
        assert joined_NM[item, place] == pytest.approx(sum(by_part), rel=1e-5)


def test_equal_attention_is_the_head_as_it_is(dataset, surveyed, parts, gates):
    directions, coordinates_ND = gated_coordinates(parts, gates[0], surveyed, PARAMS)
    made = profiles(coordinates_ND, directions.stretch(RECIPE.metric_power))
    shipped = learn_head(dataset, RECIPE, PARAMS).profiles(dataset.texts, dataset.vectors_ID, dataset.views)
    np.testing.assert_allclose(made @ made.T, shipped @ shipped.T, atol=1e-3)
