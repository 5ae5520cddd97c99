from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD
from recsys.validation.tuning import choose, mixed_ndcg, tuning_sets
from tests.dataset.make import dataset_of, interactions_of, with_matrix


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(1)
    popular = np.linspace(0.9, 0.1, 40)
    matrix_UI = rng.random((60, 50)) < np.append(popular, np.zeros(10))
    vectors = np.eye(50, dtype=np.float32)
    return dataset_of(vectors, matrix_UI, ("text",) * 50, ridge_lambda=1.0, seed=3)


def test_what_is_held_out_is_not_known_and_what_is_known_is_not_relevant(known):
    whole = known.interactions.matrix_UI.toarray() > 0
    for one in tuning_sets(known):
        rest, task = one.dataset.interactions.matrix_UI.toarray() > 0, one.mixed
        np.testing.assert_array_equal(task.candidates, known.warm)
        for place, user in enumerate(task.users):
            assert set(task.excluded_UE[place]) - {PAD} == set(
                np.flatnonzero(rest[user]) if rest[user].any() else ()
            )
            assert set(task.relevant_UR[place]) - {PAD} == set(np.flatnonzero((whole & ~rest)[user]))
        assert not (rest & ~whole).any()


def test_a_fifth_of_the_items_goes_cold_whatever_their_popularity_and_others_in_each_set(known):
    colds = [set(known.warm) - set(one.dataset.warm) for one in tuning_sets(known)]
    assert [len(cold) for cold in colds] == [8, 8, 8]
    assert len(set.union(*colds)) == 24
    by_met = known.warm[np.argsort(-known.interactions.n_users_I[known.warm], kind="stable")]
    for five in by_met.reshape(-1, 5):
        assert [len(cold & set(five)) for cold in colds] == [1, 1, 1]


def test_nobody_knows_who_dislikes_the_items_that_are_held_out(known):
    dislikes = interactions_of(known.interactions.matrix_UI.toarray() == 0, known.item_ids)
    disliked = replace(known, interactions=replace(known.interactions, dislikes=dislikes))
    for one, plain in zip(tuning_sets(disliked), tuning_sets(known), strict=True):
        left = one.dataset.interactions
        assert len(left.dislikes.warm) and not np.isin(left.dislikes.warm, one.held).any()
        assert (left.matrix_UI != plain.dataset.interactions.matrix_UI).nnz == 0


def test_about_a_fifth_of_the_other_pairs_is_held_out_too(known):
    for one in tuning_sets(known):
        left = one.dataset.warm
        kept = one.dataset.interactions.matrix_UI[:, left].nnz / known.interactions.matrix_UI[:, left].nnz
        assert 0.75 < kept < 0.85


def test_ndcg_is_that_of_lists_without_the_users_history(known):
    one = tuning_sets(known)[0]
    rows, columns = np.ix_(one.mixed.users, one.mixed.candidates)
    left = one.dataset.interactions.matrix_UI.toarray()[rows, columns]
    wanted = known.interactions.matrix_UI.toarray()[rows, columns] - left
    assert mixed_ndcg(one, wanted) == pytest.approx(1)
    assert mixed_ndcg(one, wanted + 2.0 * left) == pytest.approx(1)
    assert mixed_ndcg(one, -wanted) < 0.5


def test_too_few_users_give_no_set(known):
    few = csr_array(known.interactions.matrix_UI[:9])
    assert tuning_sets(with_matrix(known, few)) == ()
    nobody = csr_array((60, 50))
    assert tuning_sets(with_matrix(known, nobody)) == ()


def test_the_best_mean_is_chosen_and_the_first_of_equals(known):
    metrics = {0: {"a": 0.1, "b": 0.5, "c": 0.4}, 1: {"a": 0.9, "b": 0.5, "c": 0.5}}
    sets = tuning_sets(known)[:2]
    evaluated = []

    def tried(practice):
        evaluated.append(practice)
        yield from metrics[len(evaluated) - 1].items()

    assert choose(sets, tried) == "a"
    assert evaluated == list(sets)
