"""Each kind of leak is planted in a clean holdout and must be found; the clean one must pass."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from recsys.catalogue.split import PAIRS_SCHEMA, Split
from recsys.evaluation.judge import learn_models
from recsys.evaluation.leaks import find_leaks
from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.ranking.recommender import learn_recommender
from recsys.stages import split as split_stage
from recsys.stages.evaluate_inputs import load_holdout
from tests.stages.judged_world import T0, Item, make_world

SIMILARITY = 0.8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = make_world(tmp_path_factory.mktemp("world"))
    # i000 is edited long after the cut, so that an older and a newer version are there
    made.land_items([Item("i000", 0, T0 + timedelta(days=300), "river and an edit")])
    split_stage.run(made.settings, made.at)
    return made


@pytest.fixture(scope="module")
def holdout(world):
    return load_holdout(Split.load(world.at.split), world.settings, world.at)


@pytest.fixture(scope="module")
def models(holdout):
    return learn_models(holdout)


def kinds(holdout, models):
    return [one.kind for one in find_leaks(holdout, models, SIMILARITY)]


def test_a_clean_split_passes(holdout, models):
    assert find_leaks(holdout, models, SIMILARITY) == ()


def plant_pair(holdout, item, when):
    row = pa.Table.from_pylist([{"user": "u000", "item_id": item, "timestamp": when}], schema=PAIRS_SCHEMA)
    return replace(holdout, train=pa.concat_tables([holdout.train.cast(PAIRS_SCHEMA), row]))


def test_a_cold_items_interaction_among_the_training_pairs_is_found(holdout, models):
    planted = plant_pair(holdout, "i125", T0)
    (found,) = find_leaks(planted, models, SIMILARITY)
    assert (found.kind, found.n, found.examples) == ("cold-item-in-training", 1, ("i125",))


def test_a_training_pair_from_after_the_cut_is_found_even_on_a_warm_item(holdout, models):
    planted = plant_pair(holdout, "i001", holdout.cut)
    assert kinds(planted, models) == ["cold-item-in-training"]


def test_a_test_interaction_in_the_histories_that_models_learn_from_is_found(holdout, models):
    known = holdout.known.interactions
    both = replace(known, matrix_UI=(known.matrix_UI + holdout.test.matrix_UI).tocsr())
    planted = replace(holdout, known=replace(holdout.known, interactions=both))
    assert "cold-item-in-training" in kinds(planted, models)


def test_near_duplicate_text_across_the_boundary_is_found(holdout, models):
    texts = list(holdout.known.texts)
    cold, warm = holdout.item_ids.index("i130"), holdout.item_ids.index("i003")
    texts[warm] = "the castle of seven towers by the northern sea in a winter night"
    texts[cold] = "The Castle of seven towers by the northern sea, in a winter night!"
    planted = replace(holdout, known=replace(holdout.known, texts=tuple(texts)))
    (found,) = find_leaks(planted, models, SIMILARITY)
    assert (found.kind, found.examples) == ("near-duplicate-text", ("i130",))


def test_a_text_that_was_changed_after_the_cut_is_found(holdout, models):
    row = holdout.item_ids.index("i000")
    assert holdout.updated_at[row].astype(object) == T0.replace(
        tzinfo=None
    )  # the split took the older version
    times = holdout.updated_at.copy()
    times[row] += np.timedelta64(300, "D")
    (found,) = find_leaks(replace(holdout, updated_at=times), models, SIMILARITY)
    assert (found.kind, found.examples) == ("text-newer-than-cut", ("i000",))


def test_an_items_first_text_is_no_leak_however_late_the_catalogue_learned_of_it(holdout, models):
    late = np.full_like(holdout.updated_at, (T0 + timedelta(days=900)).replace(tzinfo=None))
    assert find_leaks(replace(holdout, updated_at=late, oldest_text=late), models, SIMILARITY) == ()


def test_a_gram_matrix_of_all_items_as_publishing_uses_it_is_found(holdout, models):
    champion = models["champion"]
    users = replace(champion.users, ridge=Ridge(gram_of(holdout.known.vectors_ID), 10.0))
    leaky = replace(champion, users=users)
    (found,) = find_leaks(holdout, models | {"champion": leaky}, SIMILARITY)
    assert (found.kind, found.examples) == ("statistics-after-cut", ("champion",))


def test_word_weights_learned_from_cold_items_are_found(holdout, models):
    everything = np.arange(len(holdout.item_ids))
    leaky = replace(models["tfidf_centroid"], learned_from=everything)
    (found,) = find_leaks(holdout, models | {"tfidf_centroid": leaky}, SIMILARITY)
    assert (found.kind, found.examples) == ("statistics-after-cut", ("tfidf_centroid",))


def test_findings_name_items_but_never_users(holdout, models):
    (found,) = find_leaks(plant_pair(holdout, "i125", T0), models, SIMILARITY)
    assert "u000" not in found.model_dump_json()


def test_a_cold_item_in_the_users_of_a_model_with_item_weights_is_found(holdout):
    known = holdout.known
    weights = ItemWeights(
        digests(["i000"]), csr_array((1, 1), dtype=np.float32), np.full(1, 0.5), len(known.warm)
    )
    clean = learn_recommender(known, weights)
    assert kinds(holdout, {"champion": clean}) == []
    cold = holdout.candidates("cold")[0]
    leaked = np.sort(np.append(known.warm, cold))
    users = replace(clean.users, ridge=Ridge(gram_of(known.vectors_ID[leaked]), 1.0))
    assert kinds(holdout, {"champion": replace(clean, users=users)}) == ["statistics-after-cut"]
