"""recsys/encoders/short_texts.py: single texts at fixed sizes. test_pack.py compares them with transformers."""

import re
import shutil

import numpy as np
import pytest

from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import MODEL
from recsys.encoders.short_texts import SIZES, ShortTexts
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError
from tests.encoders.models import MAX_TOKENS, encoder_params, save_model, texts


def tokens(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(4, 200, n)


@pytest.fixture(scope="module")
def short(tiny_reference, encoders):
    return ShortTexts(encoders / tiny_reference.hash / MODEL, MAX_TOKENS, 1)


@pytest.mark.parametrize("n", [1, SIZES[0], SIZES[0] + 1, SIZES[1]])
def test_a_text_has_the_same_bits_whatever_was_encoded_before_it(short, n):
    alone = short.vector(tokens(n))
    for seed, others in enumerate((1, *SIZES, n), start=1):
        short.vector(tokens(others, seed))
        np.testing.assert_array_equal(short.vector(tokens(n)), alone)
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-6)


def test_a_text_that_is_longer_than_all_sizes_is_left_to_the_batches(short, tiny_encoder):
    assert short.vector(tokens(SIZES[-1] + 1)) is None
    long = "aa " * MAX_TOKENS
    mixed = tiny_encoder.encode_queries(["aa ab", long, "ba", "aa ab"])
    np.testing.assert_array_equal(mixed[1], tiny_encoder.encode([long])[0])
    for place, text in ((0, "aa ab"), (2, "ba"), (3, "aa ab")):
        np.testing.assert_array_equal(mixed[place], tiny_encoder.encode_queries([text])[0])


def test_a_model_that_is_gone_when_a_text_first_needs_it_is_named(tiny_reference, encoders, tmp_path):
    folder = shutil.copytree(encoders / tiny_reference.hash, tmp_path / tiny_reference.hash)
    encoder = open_encoder(tiny_reference, tmp_path, 256)
    shutil.rmtree(folder)
    for encode in (encoder.encode, encoder.encode_queries):
        with pytest.raises(EncoderError, match=re.escape(f"{folder / MODEL} cannot be run")):
            encode(["aa ab"])


def test_no_query_needs_a_file_of_the_model_once_it_is_prepared(tiny_reference, encoders, tmp_path):
    folder = shutil.copytree(encoders / tiny_reference.hash, tmp_path / tiny_reference.hash)
    encoder = open_encoder(tiny_reference, tmp_path, 256)
    encoder.prepare_queries()
    shutil.rmtree(folder)
    queries = ["aa ab", "aa " * SIZES[0], "aa " * SIZES[-1], "aa " * MAX_TOKENS]
    assert len({tuple(row) for row in encoder.encode_queries(queries).tolist()}) == len(queries)


def test_a_model_that_takes_few_tokens_has_no_larger_size(tiny_reference, encoders):
    few = ShortTexts(encoders / tiny_reference.hash / MODEL, SIZES[0], 1)
    assert few.vector(tokens(SIZES[0])) is not None
    assert few.vector(tokens(SIZES[0] + 1)) is None


def test_a_model_whose_last_token_is_its_vector_hides_no_padding_and_runs_in_batches(tmp_path):
    params = encoder_params(save_model(tmp_path / "model"), pooling="last")
    reference = pack_encoder(params, tmp_path, ())
    assert ShortTexts(tmp_path / reference.hash / MODEL, MAX_TOKENS, 1).vector(tokens(5)) is None
    encoder, some = open_encoder(reference, tmp_path, 256), texts(6)
    np.testing.assert_array_equal(encoder.encode_queries(some), encoder.encode(some))
