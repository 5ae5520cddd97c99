"""Users held out: nothing is learned from them, and what is tried for them is what a release would answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads.recipe import Recipe
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.learning import ItemWeightsSettings
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.typical import typical_share
from recsys.retrieval.params import SearchParams
from recsys.settings import Settings
from recsys.validation.new_users import NewUserScores, hold_out_users
from recsys.validation.queries import Query
from recsys.validation.search_weights import choose_search_weights
from tests.dataset.make import with_matrix

COLD = np.arange(3, 120, 4)
RECIPE = Recipe(0.3, 0.75, 1.0, None, {}, ease_lambda=3.0)


class ByVector:
    """An encoder that knows the texts of a dataset; others are read as the known text that shares most words."""

    hash, dim = "f" * 64, 8

    def __init__(self, dataset) -> None:
        self.texts, self.vectors = dataset.texts, dataset.vectors_ID
        self.n_encoded = 0

    def encode(self, texts, on_progress=None):
        self.n_encoded += len(texts)
        own = [set(one.split()) for one in self.texts]
        shared = [[len(set(text.split()) & words) for words in own] for text in texts]
        return self.vectors[np.argmax(shared, axis=1)]

    encode_queries = encode


@pytest.fixture(scope="module")
def wordy(dataset):
    """The same items with two sentences more, which queries are made of."""
    texts = (
        f"{text}. It stands on the {text.split()[0]} shelf. Order it as {text}" for text in dataset.texts
    )
    return replace(dataset, texts=tuple(texts))


@pytest.fixture(scope="module")
def search() -> SearchParams:
    params = Settings.load(Path("params.yaml")).search
    return params.model_copy(update={"max_queries": 40, "standard_errors": 0.0})


def test_nothing_is_known_of_held_out_users_nor_of_cold_items(dataset) -> None:
    new = hold_out_users(dataset, COLD, 40)
    assert new is not None and len(new.users) == 12  # a fifth of sixty
    left = new.dataset.interactions
    assert left.n_users_I[COLD].sum() == 0 and (left.n_items_U == 0).sum() == 12
    whole = dataset.interactions.matrix_UI.toarray()
    held = np.flatnonzero(left.n_items_U == 0)
    for row, user in zip(held, new.users, strict=True):
        assert {*user.known, *user.described, *user.relevant} == set(np.flatnonzero(whole[row]).tolist())
        assert len(user.known) + len(user.described) + len(user.relevant) == whole[row].sum()
        assert not {*user.known, *user.described} & set(COLD.tolist())
    assert hold_out_users(dataset, COLD, 40).users == new.users


def test_too_few_users_are_not_held_out(dataset) -> None:
    matrix = dataset.interactions.matrix_UI.toarray()
    matrix[45:] = 0
    assert hold_out_users(with_matrix(dataset, matrix), COLD, 40) is None


@pytest.mark.parametrize("weight", [0.0, 8.0])
def test_scores_are_those_of_the_recommender_that_is_judged(dataset, weight: float) -> None:
    new = hold_out_users(dataset, COLD, 40)
    assert new is not None
    rest = new.dataset
    ranker = ItemWeights.learn(rest, ItemWeightsSettings(3.0, 1.0, 0.2, 1.0, 100, 20))
    assert ranker is not None
    scores = NewUserScores(new.users, rest, ranker, np.zeros((len(new.users), 8), np.float32))
    history_UI = scores.history(2)
    judged = learn_recommender(replace(rest, typical_weight=weight), ranker)
    judged = replace(judged, users=replace(judged.users, histories_UI=csr_array(history_UI)))
    expected = judged.scores(np.arange(len(new.users)), np.arange(120))
    mine = scores.by_history(2) + typical_share(weight, 2) * scores.by_typical()
    np.testing.assert_allclose(mine, expected, atol=2e-5)


def test_a_user_with_enough_likes_takes_nothing_of_the_typical_history() -> None:
    assert [typical_share(10.0, n) for n in (0, 5, 20, 30)] == [10, 7.5, 0, 0]


def test_each_weight_is_chosen_by_its_best_mean_and_the_same_again(wordy, fusion_params, search) -> None:
    found, again = (
        choose_search_weights(wordy, COLD, RECIPE, fusion_params, search, ByVector(wordy), None)
        for _ in range(2)
    )
    assert found == again and found.part is not None
    for name in ("lexical_weight", "user_weight", "text_weight", "typical_weight"):
        means = {key: mean for key, mean in found.tried.items() if key.split()[0] == name}
        assert len(means) == len(getattr(search, f"{name}s"))
        chosen = getattr(found.part, name)
        assert chosen is None or max(means, key=means.__getitem__) == f"{name} {chosen:g}"
    losses = {name: found.tried[f"temperature {name}"] for name in ("uniform", "1", "chosen")}
    assert found.part.temperature and losses["chosen"] < min(losses["uniform"], losses["1"])


def test_judged_queries_take_the_place_of_made_ones(wordy, fusion_params, search) -> None:
    queries = [Query(f"number{row}", {row: 1.0}) for row in range(30)]
    found = choose_search_weights(wordy, COLD, RECIPE, fusion_params, search, ByVector(wordy), queries)
    assert found.tried["lexical_weight 1"] == 1.0  # each of these words stands in one text
    assert found.tried["lexical_weight 0.1"] < 1.0


def test_a_file_without_a_usable_judgement_chooses_no_weight_of_words(wordy, fusion_params, search) -> None:
    found = choose_search_weights(wordy, COLD, RECIPE, fusion_params, search, ByVector(wordy), ())
    assert {one.split()[0] for one in found.tried} == {"typical_weight", "text_weight", "user_weight"}


def test_an_empty_list_leaves_the_weight_of_params_yaml(wordy, fusion_params, search) -> None:
    none = {f"{one}_weights": () for one in ("lexical", "user", "text", "typical")}
    params = search.model_copy(update=none)
    found = choose_search_weights(wordy, COLD, RECIPE, fusion_params, params, ByVector(wordy), None)
    assert found.part is not None and found.part.temperature is not None
    kept = {"lexical_weight": search.lexical_weight, "temperature": found.part.temperature}
    assert (
        found.part.model_dump(exclude_none=True) == kept
    )  # with the weight that the temperature was chosen for
    assert {one.split()[0] for one in found.tried} == {"temperature"}


def test_without_users_only_the_weight_of_words_is_chosen(wordy, fusion_params, search) -> None:
    bare = with_matrix(wordy, np.eye(120)[:60])
    alone = Recipe(None, 0.0, 1.0, None, {})
    found = choose_search_weights(bare, COLD, alone, fusion_params, search, ByVector(bare), None)
    assert {one.split()[0] for one in found.tried} == {"lexical_weight", "temperature"}
    assert found.part is None or found.part.typical_weight is None
