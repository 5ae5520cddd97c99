"""Exact words are counted by field, unless first light surely ranks held-out items better without."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.heads.learning import learn_head
from recsys.validation.choosing import choose_recipe
from tests.heads.world import FIRST_LIGHT, WORDS
from tests.validation.test_choosing import HELD, LAMBDAS

BY_FIELD = FIRST_LIGHT.model_copy(
    update={"field_terms": 2.0, "long_from_terms": 20, "lexical_shares": (0.9, 0.9)}
)
N_NOISE = 30


@pytest.fixture(scope="module")
def named(dataset):
    """Items whose series is a short field beside a long one, of words that other items have by chance."""
    rng = np.random.default_rng(3)
    noise = [" ".join(f"noise{one}" for one in rng.choice(60, N_NOISE, replace=False)) for _ in dataset.texts]
    texts = tuple(f"{WORDS[row % 10]}.\n{noise[row]}" for row in range(len(dataset.texts)))
    return replace(dataset, texts=texts)


def chosen(dataset, fusion_params):
    return choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, 5, 500, first_light=BY_FIELD)


@pytest.mark.whole
def test_a_name_beside_a_long_text_makes_words_count_by_field(named, fusion_params):
    found = chosen(named, fusion_params)
    bag = chosen(replace(named, texts=tuple(text.replace("\n", " ") for text in named.texts)), fusion_params)
    by_field, as_bag = (
        max(v for k, v in one.tried.items() if k.startswith("first light")) for one in (found, bag)
    )
    assert by_field > as_bag and bag.field_terms == 0
    fields = found.field_terms or found.first_light.field_terms
    assert fields == 2.0
    assert learn_head(named, found, fusion_params).kernel.lexical.longest_field is not None


def test_a_long_text_that_tells_the_series_leaves_one_bag_of_words(named, fusion_params):
    rng = np.random.default_rng(4)
    telling = [" ".join(f"{WORDS[row % 10]}{one}" for one in rng.choice(40, N_NOISE)) for row in range(120)]
    texts = tuple(f"name{rng.integers(6)} by{rng.integers(6)}.\n{text}" for text in telling)
    found = chosen(replace(named, texts=texts), fusion_params)
    assert found.field_terms == 0
    assert found.first_light is None or found.first_light.field_terms == 0
