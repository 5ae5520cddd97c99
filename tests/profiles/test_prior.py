import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.profiles import prior
from recsys.profiles.prior import learn_prior, prior_among, sample_users, weighed
from recsys.profiles.ridge import Ridge

# Profiles are one direction for each topic, plus a little of their own. Users like a topic and its partner.
PARTNER = {0: 1, 1: 0, 2: 3, 3: 2, 4: 5, 5: 4}
N_TOPICS, PER_TOPIC = 6, 10


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(N_TOPICS, 16), PER_TOPIC, axis=0) + 0.1 * rng.normal(size=(60, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def likes():
    rng, rows = np.random.default_rng(1), []
    for user in range(120):
        topics = user % N_TOPICS, PARTNER[user % N_TOPICS]
        rows.append(np.isin(np.arange(60), [rng.choice(10, 3, False) + 10 * one for one in topics]))
    return csr_array(np.array(rows), dtype=np.float64)


def learned(likes, vectors, **given):
    return learn_prior(likes, vectors.__getitem__, **given)


def test_it_is_what_is_liked_together_without_the_items_themselves(likes, vectors):
    rows = learned(likes, vectors)
    n_users = np.asarray(likes.sum(axis=0))
    cosines = (likes.T @ likes).toarray() / np.sqrt(np.outer(n_users, n_users))
    np.fill_diagonal(cosines, 0)
    exact = vectors.astype(np.float64)
    values, directions = np.linalg.eigh(exact.T @ cosines @ exact)
    above = (directions * np.maximum(values, 0)) @ directions.T
    z = (likes / np.sqrt(n_users)) @ exact
    np.testing.assert_allclose(rows.T @ rows, above * 16 / np.trace(z.T @ z), atol=1e-4)
    between = rows @ rows.T
    np.testing.assert_allclose(between, np.diag(np.diag(between)), atol=1e-4)


def test_a_crawler_counts_no_more_than_a_user_with_the_usual_number_of_likes(likes, vectors):
    crawler = np.isin(np.arange(60), np.arange(0, 60, 2)).astype(np.float64)  # half of every topic
    rows = learned(csr_array(np.vstack([likes.toarray(), crawler])), vectors)
    counted = np.vstack([likes.toarray(), crawler * 6 / 30])  # all others like six items
    z = counted / np.sqrt((counted**2).sum(axis=0)) @ vectors.astype(np.float64)
    values, directions = np.linalg.eigh(z.T @ z - vectors.T.astype(np.float64) @ vectors)
    above = (directions * np.maximum(values, 0)) @ directions.T
    np.testing.assert_allclose(rows.T @ rows, above * 16 / np.trace(z.T @ z), atol=1e-4)
    before = learned(likes, vectors)
    change = np.linalg.norm(rows.T @ rows - before.T @ before) / np.linalg.norm(before.T @ before)
    assert change < 0.05


def test_a_user_of_one_topic_is_given_its_partner(likes, vectors):
    gram = vectors.T.astype(np.float64) @ vectors
    b_D = vectors[:3].sum(axis=0, dtype=np.float64)[None]  # three items of topic 0

    def by_topic(rows):
        scores = Ridge(gram, 10.0, prior_RD=rows).weights(b_D) @ vectors.T
        return scores.reshape(N_TOPICS, PER_TOPIC).mean(axis=1)

    plain, together = by_topic(None), by_topic(learned(likes, vectors))
    assert plain[1] < plain[0] / 10 and together[1] > together[0] / 5
    assert max(abs(together[2:])) < together[1] / 4


def test_weights_are_those_of_a_bayesian_regression_with_this_covariance(likes, vectors):
    gram, rows = vectors.T.astype(np.float64) @ vectors, weighed(learned(likes, vectors), 3.0)
    b_UD = likes[:7] @ vectors.astype(np.float64)
    inverse = np.linalg.inv(gram + 2.0 * np.linalg.inv(np.eye(16) + rows.T.astype(np.float64) @ rows))
    ridge = Ridge(gram, 2.0, prior_RD=rows)
    np.testing.assert_allclose(ridge.weights(b_UD), b_UD @ inverse, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ridge.weights(b_UD[:1]), b_UD[:1] @ inverse, rtol=1e-4, atol=1e-6)


def test_dimensions_that_ridge_regression_leaves_out_have_no_prior(likes, vectors):
    wider = np.concatenate([np.full((60, 2), 0.5, np.float32), vectors], axis=1)
    rows = learned(likes, wider, first=2)
    np.testing.assert_array_equal(rows[:, :2], 0)
    np.testing.assert_allclose(rows[:, 2:], learned(likes, vectors), atol=1e-6)


def test_only_the_largest_eigenvalues_are_kept(likes, vectors, monkeypatch):
    whole = learned(likes, vectors)
    monkeypatch.setattr(prior, "RANK", 5)
    few = learned(likes, vectors)
    np.testing.assert_allclose(few, whole[:5], atol=1e-4)
    np.testing.assert_array_equal(few, learned(likes, vectors))


def test_few_users_of_many_dimensions_have_a_prior_too(likes):
    few, rng = likes[: prior.MIN_USERS], np.random.default_rng(2)
    wide = rng.normal(size=(60, 3 * prior.RANK)).astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    rows = learned(few, wide)
    damped = few.toarray() / np.sqrt(np.maximum(few.sum(axis=0), 1))
    z = damped @ wide.astype(np.float64)
    together = z.T @ z - wide.T.astype(np.float64) @ wide
    values = np.linalg.eigvalsh(together)[::-1]
    sizes = (rows.astype(np.float64) ** 2).sum(axis=1)
    expected = values[: len(rows)] * wide.shape[1] / np.trace(z.T @ z)
    np.testing.assert_allclose(sizes, expected, rtol=1e-3, atol=1e-4)
    assert len(rows) == min(prior.RANK, np.count_nonzero(values > 1e-9))


def test_the_items_that_most_users_like_bound_the_work(likes, vectors, monkeypatch):
    monkeypatch.setattr(prior, "MAX_ITEMS", 40)
    asked = []
    learn_prior(likes, lambda columns: asked.append(columns) or vectors[columns])
    n_users = np.asarray(likes.sum(axis=0))
    assert len(asked[0]) == 40 and n_users[asked[0]].min() >= np.delete(n_users, asked[0]).max()


def test_little_in_common_is_no_prior(likes, vectors):
    assert learned(likes[: prior.MIN_USERS - 1], vectors) is None
    one_each = csr_array(np.eye(60))
    assert learned(one_each, vectors) is None
    assert prior_among([str(one) for one in range(120)], likes, vectors.__getitem__, 0.0) is None
    assert weighed(None, 1.0) is None and weighed(np.ones((1, 2), np.float32), 0.0) is None


def test_a_sample_of_users_does_not_depend_on_their_order_and_new_ones_change_little(monkeypatch):
    monkeypatch.setattr(prior, "MAX_USERS", 100)
    users = [f"user {one}" for one in range(1000)]
    chosen = {users[place] for place in sample_users(users)}
    backwards = users[::-1]
    assert chosen == {backwards[place] for place in sample_users(backwards)} and len(chosen) == 100
    more = users + [f"new {one}" for one in range(50)]
    assert len(chosen - {more[place] for place in sample_users(more)}) < 20
    assert sample_users(users[:80]).tolist() == list(range(80))
