"""The replay of exploration in a small made-up world."""

import numpy as np
import pytest

from bench import exploration_replay
from bench.exploration_replay import run
from bench.exploration_world import K, World
from recsys.evaluation.off_policy import estimate
from recsys.evaluation.off_policy_lists import Target, read_lists
from recsys.settings import Settings
from tests.publishing.film_workspace import ROOT


@pytest.fixture
def world(monkeypatch):
    """Users and films of four genres; users click films of their own. Every fifth film is new."""
    monkeypatch.setattr(exploration_replay, "ROUNDS", 3)
    rng = np.random.default_rng(0)
    genre_U, genre_I = rng.integers(4, size=60), rng.integers(4, size=150)
    vectors_ID = rng.normal(size=(150, 8)).astype(np.float32) + 4 * np.eye(4, 8, dtype=np.float32)[genre_I]
    vectors_ID /= np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    clicks_UI = (genre_U[:, None] == genre_I) & (rng.random((60, 150)) < 0.7)
    cold_I = np.arange(150) % 5 == 0
    history_UI = clicks_UI & ~cold_I & (rng.random((60, 150)) < 0.5)
    return World(tuple(map(str, range(150))), vectors_ID, history_UI, clicks_UI & ~history_UI, cold_I)


def test_the_same_seed_gives_the_same_replay_and_no_film_is_shown_twice(world):
    one, again, other = run(world, "thompson", 1), run(world, "thompson", 1), run(world, "thompson", 2)
    assert (one.clicks_UR == again.clicks_UR).all() and (one.shown_I == again.shown_I).all()
    assert (one.shown_I != other.shown_I).any()
    assert one.shown_I.sum() == 60 * 3 * K and one.shown_I.max() <= 60
    assert (one.clicked_I <= one.shown_I).all() and one.clicks_UR.sum() == one.clicked_I.sum() > 0


def test_without_exploration_nothing_is_logged_and_with_it_more_new_films_are_shown(world):
    plain, explored = run(world, "none", 1), run(world, "uniform", 1)
    assert plain.n_explored == 0 and plain.lines == []
    shown = [done.shown_I[world.cold_I].sum() for done in (plain, explored)]
    assert shown[1] > shown[0] and explored.n_explored > 50


def test_the_value_of_a_policy_is_estimated_from_the_lines(world, tmp_path):
    done = run(world, "uniform", 1)
    (tmp_path / "serve.log").write_text("\n".join(done.lines))
    params = Settings.load(ROOT / "params.yaml")
    for policy, truths in done.truths.items():
        target = Target(policy, params.serve.explore_sigma)
        found = read_lists([tmp_path / "serve.log"], params.feedback, target)
        assert found.n_rewards == done.n_explored_clicks and len(truths) == done.n_explored
        estimates = estimate(found.choices)
        assert estimates.snips.low <= np.mean(truths) <= estimates.snips.high
