import numpy as np
import pyarrow as pa
import pytest

from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.features.params import FeaturesParams
from recsys.features.text import item_texts
from recsys.training.data import make_training_set
from recsys.training.texts import tokenise
from recsys.training.variants import field_variants
from tests.training.tastes import make_split, taste_pairs

FEATURES = FeaturesParams(fields=("title", "tags", "description"), max_chars=400)


def rows_of(items):
    made = [
        {"item_id": item, "title": f"title {item}", "tags": ["red", "old"] if n % 2 else None, "deleted": False,
         "description": f"words about {item}" if n % 3 else None, "part": "000001-aaaaaaaaaa", "line": n + 1}
        for n, item in enumerate(sorted(items))
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=CATALOGUE_SCHEMA)


@pytest.fixture
def set_and_rows():
    pairs = taste_pairs(n_items=30)
    rows = rows_of({f"i{n:03d}" for n in range(30)})
    texts = dict(
        zip(rows["item_id"].to_pylist(), item_texts(rows, FEATURES)["text"].to_pylist(), strict=True)
    )
    split, versions = make_split(pairs, texts)
    return make_training_set(split, versions, 0.1, 1), rows


def test_every_field_is_left_out_once_and_never_the_only_one(set_and_rows):
    training_set, rows = set_and_rows
    variants = dict(zip(training_set.item_ids, field_variants(training_set, rows, FEATURES), strict=True))
    assert variants["i000"] == ()  # a title alone
    assert variants["i001"] == (
        "red, old.\nwords about i001", "title i001.\nwords about i001", "title i001.\nred, old",
    )  # fmt: skip
    assert set(variants["i002"]) == {"words about i002", "title i002"}
    assert set(variants["i003"]) == {"red, old", "title i003"}


def test_the_order_of_the_rows_changes_nothing(set_and_rows):
    training_set, rows = set_and_rows
    backward = rows.take(pa.array(np.arange(len(rows))[::-1].copy()))
    assert field_variants(training_set, backward, FEATURES) == field_variants(training_set, rows, FEATURES)


def test_variants_replace_texts_as_often_as_configured(set_and_rows, tiny_encoder):
    training_set, rows = set_and_rows
    variants = field_variants(training_set, rows, FEATURES)
    tokens = tokenise(training_set.texts, tiny_encoder, 64, variants)
    assert tokens.n_items == 30 and len(tokens.starts_N) == 30 + sum(map(len, variants))
    items = np.arange(30)
    drawn = np.stack([tokens.varied(items, 0.5, np.random.default_rng(seed)) for seed in range(200)])
    has = np.array([len(some) > 0 for some in variants])
    assert (drawn[:, ~has] == items[~has]).all()
    assert (drawn[:, has] != items[has]).mean() == pytest.approx(0.5, abs=0.03)
    for item in np.flatnonzero(has):  # its own variants, every one of them, and nothing else
        chosen = set(drawn[:, item]) - {item}
        assert chosen == set(range(tokens.variants_I1[item], tokens.variants_I1[item + 1]))
    assert (tokens.varied(items, 0.0, np.random.default_rng(0)) == items).all()
