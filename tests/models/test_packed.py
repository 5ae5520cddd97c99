"""Parts in a cache that others share: what is damaged or left half made is brought again, never an error that stays."""

import json
import os
import time

import pytest

from recsys.models.packed import find_model, lay_out, pack_ranker, remember_model, take_in
from recsys.models.reference import ModelReference
from recsys.storage.packed import ABANDONED_S, STAGING
from tests.publishing.film_workspace import tiny_encoder


class Weights:
    def save(self, folder):
        (folder / "item_weights.npz").write_bytes(b"weights")
        return (folder / "item_weights.npz",)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def model(cache):
    """An encoder with λ and a ranker, packed."""
    ranker = pack_ranker("item_weights", Weights(), cache / "rankers")
    found = ModelReference.of(tiny_encoder(cache / "encoders"), None, 7.0, ranker)
    remember_model(found, cache)
    return found


@pytest.mark.parametrize("content", ["", "{", '{"hash": 5}', None])
def test_a_reference_in_the_cache_that_cannot_be_read_counts_as_missing(model, cache, content):
    assert find_model(model.hash, cache) == model
    path = cache / "models" / f"{model.hash}.json"
    newer = json.loads(path.read_text()) | {"views": []}  # a newer Firstlight shares the cache
    path.write_text(json.dumps(newer) if content is None else content)
    assert find_model(model.hash, cache) is None
    bare = ModelReference.of(model.encoder)
    bare.encoder.save(cache / "encoders" / bare.hash / "encoder.json")
    (cache / "models" / f"{bare.hash}.json").write_text("{")
    assert find_model(bare.hash, cache) == bare  # the encoder's folder tells all of it


def test_what_a_killed_process_left_half_made_goes_from_every_kind_of_part(model, cache, tmp_path):
    lay_out(model, cache, tmp_path / "laid-out")
    other = tmp_path / "other"
    left = [other / kind / f"{STAGING}{age}" for kind in ("encoders", "rankers") for age in ("old", "young")]
    for folder in left:
        folder.mkdir(parents=True)
    long_ago = time.time() - ABANDONED_S - 60
    for folder in left[::2]:
        os.utime(folder, (long_ago, long_ago))
    assert take_in(tmp_path / "laid-out", other) == model
    assert [folder.exists() for folder in left] == [False, True, False, True]
