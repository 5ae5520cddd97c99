import numpy as np
import pytest
import torch

from recsys.errors import EncoderError, StorageError
from recsys.training.inputs import TokenInputs, freeze
from recsys.training.ranks import ALONE
from recsys.training.stepping import encode_all
from recsys.training.texts import tokenise
from recsys.training.tower import open_tower, save_tower
from tests.encoders.models import MAX_TOKENS, encoder_params, reference_vectors, save_model, texts

KINDS = ["bert", "roberta", "xlm-roberta", "distilbert"]


@pytest.fixture(scope="module", params=KINDS)
def source(request, tmp_path_factory):
    return save_model(tmp_path_factory.mktemp(request.param), request.param)


def opened(source, layers="all", top=1):
    return open_tower(source, "mean", layers, top, 2, 0.0)


@pytest.mark.parametrize("layers", ["all", "top", "lora"])
def test_vectors_are_those_of_transformers_whatever_is_trained(source, layers, tmp_path):
    wanted = texts(40)
    tower = opened(source, layers)
    tokens = tokenise(wanted, source, MAX_TOKENS)
    inputs = freeze(tower, tokens, tmp_path, "k", "cpu") if layers == "top" else TokenInputs(tokens, "cpu")
    found = encode_all(tower, inputs, 200, "float32", ALONE)
    np.testing.assert_allclose(found, reference_vectors(source, wanted), atol=2e-6)


@pytest.mark.parametrize("layers", ["all", "top", "lora"])
def test_packed_blocks_give_the_gradient_of_blocks_one_by_one(source, layers, tmp_path):
    tokens, gradients = tokenise(texts(12), source, MAX_TOKENS), []
    words = tokens.words(np.arange(12))
    for packs in (True, False):
        tower = opened(source, layers)
        inputs = (
            freeze(tower, tokens, tmp_path, "k", "cpu") if layers == "top" else TokenInputs(tokens, "cpu")
        )
        tower.packs = tower.packs and packs
        blocks = [inputs.block(words.block(rows)) for pack in words.packs(64) for rows in pack]
        assert len(blocks) > 3
        x = tower(blocks)
        (x * torch.arange(x.numel()).reshape(x.shape).cos()).sum().backward()
        gradients.append({name: value.grad for name, value in tower.trained() if value.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_bert_and_roberta_are_packed(tmp_path):
    for kind in ("bert", "roberta", "xlm-roberta"):
        for layers in ("all", "top", "lora"):
            assert opened(save_model(tmp_path / f"{kind}-{layers}", kind), layers).packs, (kind, layers)


def test_what_is_saved_packs_into_an_encoder_with_the_same_vectors(tmp_path):
    from recsys.encoders.pack import pack_encoder
    from recsys.encoders.transformer import open_encoder

    source = save_model(tmp_path / "source")
    for layers in ("all", "lora"):
        tower = opened(source, layers)
        with torch.no_grad():
            for _, value in tower.trained():
                value.add_(0.01)
        inputs = TokenInputs(tokenise(texts(9), source, MAX_TOKENS), "cpu")
        expected = encode_all(tower, inputs, 200, "float32", ALONE)
        save_tower(tower, tmp_path / layers)
        (tmp_path / layers / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
        reference = pack_encoder(encoder_params(tmp_path / layers), tmp_path / "encoders", ())
        found = open_encoder(reference, tmp_path / "encoders", 256).encode(texts(9))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_the_top_learns(source):
    names = {name for name, _ in opened(source, "top").trained()}
    assert names and all(".1." in f".{name}" for name in names), "two layers: only layer 1 is trained"
    everything = {name for name, _ in opened(source, "all").trained()}
    assert names < everything and not any("pooler" in name for name in everything)
    assert all("lora" in name for name, _ in opened(source, "lora").trained())


def test_frozen_activations_are_computed_once(tmp_path):
    source = save_model(tmp_path / "source")
    tower, tokens = opened(source, "top"), tokenise(texts(20), source, MAX_TOKENS)
    freeze(tower, tokens, tmp_path / "frozen", "old", "cpu")
    freeze(tower, tokens, tmp_path / "frozen", "new", "cpu")
    (kept,) = (tmp_path / "frozen").iterdir()
    before = kept.stat().st_mtime_ns
    freeze(tower, tokens, tmp_path / "frozen", "new", "cpu")
    assert kept.name == "frozen-new.npy" and kept.stat().st_mtime_ns == before


def test_activations_that_do_not_fit_on_the_disk_are_refused_with_their_size(tmp_path, monkeypatch):
    import shutil

    source = save_model(tmp_path / "source")
    usage = shutil._ntuple_diskusage(1, 1, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="GiB"):
        freeze(
            opened(source, "top"), tokenise(texts(20), source, MAX_TOKENS), tmp_path / "frozen", "k", "cpu"
        )


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="cannot load"):
        opened(tmp_path)
