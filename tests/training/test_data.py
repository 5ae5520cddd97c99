from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import ArtifactMissing, ConfigError
from recsys.training.data import make_training_set
from recsys.training.known import Known
from recsys.training.plans import plan_batch
from tests.training.tastes import make_split, make_tastes, params, taste_pairs, taste_texts


def test_the_validation_slice_is_cold_within_training():
    training_set = make_tastes()
    assert 0 < training_set.is_held_I.sum() < 40
    assert (
        training_set.fit_UI[:, training_set.held_rows].nnz == 0
        and training_set.held.matrix_UI[:, training_set.fit_rows].nnz == 0
    )
    assert training_set.fit_UI.nnz + training_set.held.matrix_UI.nnz == len(set(taste_pairs()))
    assert set(training_set.fit_rows) | set(training_set.held_rows) == set(range(len(training_set.item_ids)))


def test_the_slice_depends_on_item_and_seed_alone():
    training_set, more = make_tastes(n_items=90), make_tastes(n_items=96)
    held = {training_set.item_ids[row] for row in training_set.held_rows}
    assert held <= {more.item_ids[row] for row in more.held_rows}
    other = make_tastes(n_items=90, seed=2)
    assert held != {other.item_ids[row] for row in other.held_rows}


def test_the_order_of_rows_changes_nothing():
    split, versions = make_split(taste_pairs(), taste_texts())
    shuffled = np.random.default_rng(0).permutation(split.train.num_rows)
    other = make_training_set(
        type(split)(split.summary, split.train.take(shuffled), split.test, split.items), versions, 0.2, 1
    )
    training_set = make_training_set(split, versions, 0.2, 1)
    assert other.item_ids == training_set.item_ids and other.texts == training_set.texts
    assert (other.fit_UI != training_set.fit_UI).nnz == 0


def test_no_interactions_at_all_are_refused():
    split, versions = make_split([], taste_texts())
    with pytest.raises(ConfigError, match="nothing is warm"):
        make_training_set(split, versions, 0.2, 1)


def test_one_user_is_refused_because_there_is_nobody_to_tell_apart():
    split, versions = make_split([("u", f"i{n:03d}") for n in range(50)], taste_texts())
    with pytest.raises(ConfigError, match="1 of 1 users"):
        make_training_set(split, versions, 0.2, 1)


def test_users_of_one_item_each_teach_nothing():
    split, versions = make_split([(f"u{n}", f"i{n:03d}") for n in range(50)], taste_texts())
    with pytest.raises(ConfigError, match="0 of 50 users have two items"):
        make_training_set(split, versions, 0.2, 1)


def test_a_text_that_the_features_lack_is_named():
    split, versions = make_split(taste_pairs(), taste_texts())
    with pytest.raises(ArtifactMissing, match=r"item 'i\d+' has no text from part 000001-"):
        make_training_set(split, versions.slice(0, 10), 0.2, 1)


def test_a_history_of_100_000_is_planned_like_any_other():
    n = 100_000
    pairs = [("bot", f"x{item:06d}") for item in range(n)] + [
        ("a", "x000001"),
        ("a", "x000002"),
        ("b", "x000003"),
    ]
    pairs += [("b", "x000004")]
    split, versions = make_split(pairs, {f"x{item:06d}": "abc" for item in range(n)})
    training_set = make_training_set(split, versions, 0.1, 1)
    vectors = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = Known(training_set, params(batch_items=1000), vectors, 1.0)
    plan = plan_batch(known, 0)
    assert plan is not None and len(plan.rows) == pytest.approx(1000, abs=20)
    import torch

    # To the bot every item is its own: there is nothing to tell apart.
    x = torch.from_numpy(vectors[plan.rows]).requires_grad_(True)
    loss = plan.loss(x)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()


def test_where_times_tell_new_from_old_the_newest_items_are_held_out():
    split, versions = make_split(taste_pairs(), taste_texts())
    items = split.train["item_id"].to_pylist()
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(item[1:])) for item in items]
    place = split.train.column_names.index("timestamp")
    timed = split.train.set_column(
        place, "timestamp", pa.array(days, split.train.schema.field("timestamp").type)
    )
    by_time, by_hash = (
        replace(split, train=timed, summary=split.summary.model_copy(update={"by": by}))
        for by in ("time", "item-hash")
    )
    training_set = make_training_set(by_time, versions, 0.2, 1)
    held = [training_set.item_ids[row] for row in training_set.held_rows]
    newest = sorted(set(items))[-len(held) :]
    assert held == newest and len(held) == round(0.2 * len(set(items)))
    # What is judged by random items is chosen by random items.
    other = make_training_set(by_hash, versions, 0.2, 1)
    assert [other.item_ids[row] for row in other.held_rows] != newest and not other.times
    assert (
        np.isfinite(training_set.times["first interaction"]).all()
        and np.isnan(training_set.times["first text"]).all()
    )
