"""What every encoder promises, whatever it is made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError
from tests.encoders.models import encoder_params, save_model, texts

POOL = texts(80, seed=3)


@pytest.fixture(scope="session", params=["float32", "int8"])
def packed(request, tmp_path_factory):
    source = save_model(tmp_path_factory.mktemp("model"))
    encoders = tmp_path_factory.mktemp("packed")
    reference = pack_encoder(encoder_params(source, precision=request.param), encoders, texts(64, seed=1))
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


def test_a_vector_does_not_depend_on_the_number_of_threads(packed, encoder):
    for threads in (1, 2):
        np.testing.assert_array_equal(open_encoder(*packed, 128, threads).encode(POOL), encoder.encode(POOL))


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_different_texts_get_different_vectors(encoder):
    assert len(np.unique(encoder.encode(sorted(set(POOL))), axis=0)) == len(set(POOL))


def test_an_empty_text_is_refused(encoder):
    with pytest.raises(EncoderError, match="is empty"):
        encoder.encode([""])
