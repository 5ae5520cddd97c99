import json
import subprocess
import sys

import numpy as np
import pytest

from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import EncoderReference
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.packed import STAGING, verify_files
from tests.encoders.models import encoder_params, reference_vectors, save_model, texts


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("bert", "mean"), ("roberta", "cls"), ("xlm-roberta", "mean"), ("distilbert", "cls")],
)
def test_a_packed_model_gives_the_vectors_of_transformers(kind, pooling, tmp_path, encoders):
    source = save_model(tmp_path / kind, kind)
    reference = pack_encoder(encoder_params(source, pooling=pooling), encoders, ())
    wanted, encoder = texts(40), open_encoder(reference, encoders, 200)
    expected = reference_vectors(source, wanted, pooling)
    np.testing.assert_allclose(encoder.encode(wanted), expected, atol=2e-6)
    np.testing.assert_allclose(encoder.encode_queries(wanted), expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2"])
def test_a_packed_decoder_gives_the_last_tokens_vector_whichever_side_is_padded(kind, tmp_path, encoders):
    source, wanted = save_model(tmp_path / kind, kind), texts(40)
    reference = pack_encoder(encoder_params(source, pooling="last"), encoders, ())
    encoder = open_encoder(reference, encoders, 200)
    found = encoder.encode(wanted)
    np.testing.assert_array_equal(encoder.encode_queries(wanted), found)
    for side in ("left", "right"):
        expected = reference_vectors(source, wanted, "last", side=side)
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found - reference_vectors(source, wanted, "mean")).max() > 0.01


def test_items_and_queries_get_their_own_prefix_and_its_tokens_count(tiny, tmp_path):
    prefixes = {"item_prefix": "ab ac ", "query_prefix": "ad "}
    reference = pack_encoder(encoder_params(tiny, **prefixes), tmp_path, ())
    encoder, wanted = (
        open_encoder(EncoderReference.load(tmp_path / reference.hash / "encoder.json"), tmp_path, 200),
        texts(30),
    )
    items, queries = (reference_vectors(tiny, wanted, prefix=one) for one in prefixes.values())
    np.testing.assert_allclose(encoder.encode(wanted), items, atol=2e-6)
    np.testing.assert_allclose(encoder.encode_queries(wanted), queries, atol=2e-6)
    assert encoder.count_tokens(["aa", "aa " * 30]).tolist() == [5, 24]
    shorter, longer = "aa " * 20 + "ba", "aa " * 20 + "ca"  # the prefix leaves room for 20 tokens of a text
    np.testing.assert_array_equal(*encoder.encode([shorter, longer]))
    assert np.abs(np.subtract(*encoder.encode_queries([shorter, longer]))).max() > 1e-4


def test_the_hash_covers_each_prefix_and_no_prefix_keeps_the_hash_of_before(tiny, tiny_reference, tmp_path):
    others = [{"item_prefix": "aa "}, {"query_prefix": "aa "}, {"item_prefix": "aa ", "query_prefix": "aa "}]
    hashes = {pack_encoder(encoder_params(tiny, **change), tmp_path, ()).hash for change in others}
    assert len(hashes | {tiny_reference.hash}) == 4
    assert pack_encoder(encoder_params(tiny, item_prefix=None), tmp_path, ()) == tiny_reference
    assert "prefix" not in tiny_reference.model_dump_json()


def test_a_packed_encoder_is_found_without_torch(tiny, tiny_reference, encoders):
    code = (
        "import sys; from pathlib import Path;"
        "from recsys.encoders.pack import pack_encoder; from recsys.encoders.transformer import open_encoder;"
        "from tests.encoders.models import encoder_params;"
        f"found = pack_encoder(encoder_params({str(tiny)!r}), Path({str(encoders)!r}), ());"
        f"open_encoder(found, Path({str(encoders)!r}), 64).encode(['aa']);"
        "print(found.hash, {'torch', 'transformers', 'nncf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [tiny_reference.hash, "set()"]


def test_the_hash_is_that_of_the_recipe_and_the_files_are_the_same_each_time(tiny, tiny_reference, tmp_path):
    again = pack_encoder(encoder_params(tiny), tmp_path, ())
    assert again == tiny_reference
    other_place = save_model(tmp_path / "copy")
    assert pack_encoder(encoder_params(other_place), tmp_path, ()).hash == tiny_reference.hash
    others = [{"pooling": "cls"}, {"max_tokens": 12}]
    hashes = {pack_encoder(encoder_params(tiny, **change), tmp_path, ()).hash for change in others}
    assert len(hashes | {again.hash}) == 3


def test_nothing_half_made_is_left_or_used(tiny, tiny_reference, tmp_path):
    reference = pack_encoder(encoder_params(tiny), tmp_path, ())
    assert {path.name for path in tmp_path.iterdir()} == {reference.hash}
    assert {path.name for path in (tmp_path / reference.hash).iterdir()} == {
        "encoder.json",
        "model.bin",
        "model.xml",
        "tokenizer.json",
    }
    weights = tmp_path / reference.hash / "model.bin"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(EncoderError, match=r"model\.bin is missing or has not"):
        open_encoder(reference, tmp_path, 256)
    assert pack_encoder(encoder_params(tiny), tmp_path, ()) == reference
    verify_files(tmp_path / reference.hash, reference.files)
    assert not list(tmp_path.glob(f"{STAGING}*"))


def test_a_changed_byte_is_found_by_verification(tiny, tiny_reference, tmp_path):
    reference = pack_encoder(encoder_params(tiny), tmp_path, ())
    weights = tmp_path / reference.hash / "model.bin"
    content = bytearray(weights.read_bytes())
    content[50] ^= 1
    weights.write_bytes(content)
    with pytest.raises(EncoderError, match=r"model\.bin is damaged"):
        verify_files(tmp_path / reference.hash, reference.files)
    with pytest.raises(ArtifactMissing, match="does not exist"):
        verify_files(tmp_path / ("0" * 64), reference.files)


def test_pickled_weights_are_refused_with_the_remedy(tmp_path):
    source = save_model(tmp_path / "pickled", safe=False)
    with pytest.raises(EncoderError, match=r"model\.safetensors is missing(.|\n)*never loaded"):
        pack_encoder(encoder_params(source), tmp_path, ())


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_a_source_that_lacks_a_file_is_refused_by_name(missing, tmp_path):
    source = save_model(tmp_path / "model")
    (source / missing).unlink()
    with pytest.raises(EncoderError, match=missing.replace(".", r"\.")):
        pack_encoder(encoder_params(source), tmp_path, ())


def test_modules_that_would_be_left_out_are_refused(tmp_path):
    source = save_model(tmp_path / "model")
    chain = [
        {"type": "sentence_transformers.models.Transformer"},
        {"type": "sentence_transformers.models.Dense"},
    ]
    (source / "modules.json").write_text(json.dumps(chain))
    with pytest.raises(EncoderError, match="not supported: Dense"):
        pack_encoder(encoder_params(source), tmp_path, ())


def test_a_hub_id_is_not_fetched_offline_and_the_error_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(EncoderError, match=r"nobody/nothing(.|\n)*HF_HUB_OFFLINE is set"):
        pack_encoder(encoder_params("nobody/nothing"), tmp_path, ())


def test_more_tokens_than_the_model_has_positions_for_are_refused(tiny, tmp_path):
    with pytest.raises(EncoderError, match=r"does not take 65 tokens(.|\n)*lower encoder\.max_tokens"):
        pack_encoder(encoder_params(tiny, max_tokens=65), tmp_path, ())


@pytest.mark.whole
def test_int8_needs_texts_and_its_hash_covers_them_in_any_order(tiny, tmp_path):
    with pytest.raises(EncoderError, match="at least 32 different texts"):
        pack_encoder(encoder_params(tiny, precision="int8"), tmp_path, ["aa"] * 100)
    params = encoder_params(tiny, precision="int8")
    some = texts(64, seed=1)
    first = pack_encoder(params, tmp_path, some)
    assert pack_encoder(params, tmp_path, some[::-1]) == first
    assert first.hash != pack_encoder(encoder_params(tiny), tmp_path, ()).hash


def test_a_reference_reads_back_what_it_wrote_and_names_what_is_wrong(tiny_reference, tmp_path):
    path = tmp_path / "encoder.json"
    tiny_reference.save(path)
    assert EncoderReference.load(path) == tiny_reference
    path.write_text(path.read_text().replace('"dim"', '"dimension"'))
    with pytest.raises(EncoderError, match=r"encoder\.json is damaged: dim"):
        EncoderReference.load(path)
    with pytest.raises(ArtifactMissing, match=r"fetch-champion"):
        EncoderReference.load(tmp_path / "nowhere.json")
