"""What an actor does, in this process; tests/stages/test_profiles_on_ray.py has real clusters (`-m slow`)."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import ClusterError
from recsys.features.views import NO_VIEWS
from recsys.heads.first_light import pack_first_light
from recsys.machine import differences, this_machine
from recsys.models.engines import Block, LocalEngine, RayEngine, _digest, _open_encoder, _open_head
from recsys.models.reference import ModelReference
from recsys.ray_cluster import map_in_actors
from tests.encoders.models import save_model, texts
from tests.stages.catalogue_world import champion

SOME = texts(80, seed=3)


@pytest.fixture
def local(workspace, tmp_path):
    settings = champion(workspace, save_model(tmp_path / "model"))
    base = ModelReference.load(workspace.model_reference("champion")).encoder
    lights = settings.first_light.model_copy(update={"width": 16, "max_landmarks": 60})
    head = pack_first_light(base, SOME, workspace.cache, lights, 256)
    return LocalEngine(ModelReference.of(base, head), workspace.cache, 256)


def test_an_actor_opens_the_model_from_bytes_alone_and_computes_the_same(local):
    (expected,) = local.encode([SOME], lambda n: None)
    probe = tuple(SOME[:5])
    materials = RayEngine(local, 1)._materials(probe, _digest(local.encoder.encode(probe)))
    np.testing.assert_array_equal(_open_encoder(materials)(SOME), expected)
    block = Block(tuple(SOME), expected, NO_VIEWS)
    (made,) = local.project(iter([block]))
    np.testing.assert_array_equal(_open_head(materials)(block), np.hstack([made.profiles_ND, made.shares_NP]))


def test_an_actor_whose_vectors_differ_in_one_bit_is_refused(local):
    probe = tuple(SOME[:5])
    vectors = local.encoder.encode(probe)
    vectors.view(np.uint32)[0, 0] ^= 1
    with pytest.raises(ClusterError, match="another kind of processor"):
        _open_encoder(RayEngine(local, 1)._materials(probe, _digest(vectors)))


def test_bytes_that_were_damaged_on_the_way_are_refused(local):
    materials = RayEngine(local, 1)._materials()
    name = next(one for one in materials.files if one.endswith("model.bin"))
    damaged = replace(materials, files=materials.files | {name: materials.files[name][:-1] + b"\0"})
    if damaged.files[name] == materials.files[name]:
        damaged.files[name] = damaged.files[name][:-1] + b"\1"
    with pytest.raises(Exception, match=r"model\.bin"):
        damaged.opened()


def test_an_address_where_nothing_answers_is_refused_at_once_with_a_remedy(monkeypatch):
    for address in ("127.0.0.1:9", "nowhere", "127.0.0.1:x"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ClusterError, match=f"{address}: nothing answers there") as caught:
            next(map_in_actors(_open_head, None, iter([()]), 1))
        assert "RAY_ADDRESS" in caught.value.remedy


def test_machines_differ_by_versions_code_and_instructions():
    mine = this_machine()
    assert any(one.startswith("openvino 2") for one in mine) and differences(mine, mine) == ""
    theirs = (mine - {one for one in mine if one.startswith("openvino")}) | {"openvino 1999.9.9", "AVX10"}
    assert differences(mine, theirs).startswith("has AVX10, openvino 1999.9.9 and lacks openvino 2")
