"""What every encoder promises, whatever it is made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError
from tests.encoders.models import encoder_params, save_model, save_static, texts

POOL = texts(80, seed=3)


ENCODERS = {
    "float32": ("bert", {}),
    "int8": ("bert", {"precision": "int8"}),
    "prefixed": ("bert", {"item_prefix": "ab ", "query_prefix": "ac "}),
    "decoder": ("qwen2", {"pooling": "last"}),
    "static": ("static", {}),
    "int8 decoder": ("qwen2", {"pooling": "last", "precision": "int8"}),
    "bfloat16": ("bert", {"precision": "bfloat16"}),
    "float16": ("bert", {"precision": "float16"}),
}
"""What is packed: kind of model, and parameters."""


CLOSE = {"float32": 1 - 1e-5, "bfloat16": 0.999, "float16": 0.9999, "int8": 0.99}
"""The least cosine of one text's vectors as a query and as an item, by precision."""


# Quantising takes seconds, and imports nncf.
WHOLE = [name for name in ENCODERS if name.startswith("int8")]


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.whole if name in WHOLE else ()) for name in ENCODERS],
)
def packed(request, tmp_path_factory):
    kind, changes = ENCODERS[request.param]
    folder = tmp_path_factory.mktemp("model")
    source = save_static(folder) if kind == "static" else save_model(folder, kind)
    encoders = tmp_path_factory.mktemp("packed")
    reference = pack_encoder(encoder_params(source, **changes), encoders, texts(64, seed=1))
    return reference, encoders


@pytest.fixture(scope="session")
def encoder(packed):
    return open_encoder(*packed, 128)


def test_vectors_are_float32_unit_rows_in_the_order_of_the_texts(encoder):
    vectors = encoder.encode(POOL)
    assert vectors.dtype == np.float32 and vectors.shape == (len(POOL), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode(POOL[::-1]), vectors[::-1])


@settings(max_examples=30)
@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=50))
def test_a_vector_depends_on_its_text_alone(encoder, batch):
    together = encoder.encode(batch)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([text]) for text in batch]))


def test_queries_get_the_vectors_of_items_but_for_a_prefix_of_their_own(packed, encoder):
    queries, items = encoder.encode_queries(POOL), encoder.encode(POOL)
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    cosines = (queries * items).sum(axis=1)  # not 1: short queries are padded, which moves the rounding
    assert (cosines.min() > CLOSE[packed[0].precision]) == (packed[0].item_prefix == packed[0].query_prefix)
    assert encoder.encode_queries([]).shape == (0, encoder.dim)


def test_preparing_for_queries_changes_no_vector(encoder):
    before = encoder.encode_queries(POOL)
    encoder.prepare_queries()
    np.testing.assert_array_equal(encoder.encode_queries(POOL), before)


def test_a_vector_does_not_depend_on_the_number_of_threads(packed, encoder):
    for threads in (1, 2):
        np.testing.assert_array_equal(open_encoder(*packed, 128, threads).encode(POOL), encoder.encode(POOL))


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_different_texts_get_different_vectors(encoder):
    assert len(np.unique(encoder.encode(sorted(set(POOL))), axis=0)) == len(set(POOL))


def test_an_empty_text_is_refused(encoder):
    for encode in (encoder.encode, encoder.encode_queries):
        with pytest.raises(EncoderError, match="is empty"):
            encode([""])
