import numpy as np
import pytest

from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing
from recsys.features.text import PREPROCESSING_VERSION, text_hash
from recsys.models.encoding import encode_cached
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from tests.encoders.models import save_model
from tests.stages.judged_world import settings

TEXTS = ["river", "engine", "river", "old castle", "violin"]


@pytest.fixture
def packed(tmp_path):
    chosen = settings(encoder={"source": str(save_model(tmp_path / "tiny")), "max_tokens": 32})
    at = Artifacts(tmp_path)
    return at, ModelReference.of(pack_encoder(chosen.encoder, at.encoders, ()))


def cache_of(reference, at):
    return VectorCache(at.vectors / f"{reference.encoder.hash}-{PREPROCESSING_VERSION}", reference.dim)


def test_vectors_are_the_encoders_own_with_repeats_and_in_order(packed):
    at, reference = packed
    plain = open_encoder(reference.encoder, at.encoders, 256).encode(TEXTS)
    for _ in range(2):  # first made, then out of the cache
        np.testing.assert_allclose(encode_cached(reference, TEXTS, at, 256, 2), plain, atol=1e-6)


def test_what_the_cache_knows_is_taken_from_there(packed):
    at, reference = packed
    marked = np.full((1, reference.dim), 0.5, np.float32)
    cache_of(reference, at).add([text_hash("engine")], marked)
    found = encode_cached(reference, TEXTS, at, 256, 2)
    np.testing.assert_array_equal(found[1], marked[0])
    assert cache_of(reference, at).holds([text_hash(text) for text in TEXTS]).all()


def test_no_texts_give_no_rows_and_an_encoder_that_is_not_packed_is_named(packed):
    at, reference = packed
    assert encode_cached(reference, [], at, 256, 2).shape == (0, reference.dim)
    other = ModelReference.of(reference.encoder.model_copy(update={"hash": "f" * 64}))
    with pytest.raises(ArtifactMissing, match="f" * 64):
        encode_cached(other, TEXTS, at, 256, 2)
