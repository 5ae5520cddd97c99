import json

import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers

from recsys.encoders.pack import pack_encoder
from recsys.encoders.static_table import read_table
from recsys.encoders.transformer import open_encoder
from recsys.errors import EncoderError, UnreadableText
from recsys.serving.service.problems import STATUS
from tests.encoders.models import WORDS, encoder_params, save_static

N = len(WORDS) + 4
AA, AB = 4, 5


def table(**rows):
    """Vectors of all tokens, zero but for those of some ids."""
    vectors = np.zeros((N, 2), np.float32)
    for name, vector in rows.items():
        vectors[int(name.removeprefix("t"))] = vector
    return vectors


def opened(folder, encoders):
    return open_encoder(pack_encoder(encoder_params(folder), encoders, ()), encoders, 64)


def test_a_vector_is_the_mean_of_its_tokens_by_hand(tmp_path):
    folder = save_static(tmp_path / "m", embeddings=table(t4=[3, 0], t5=[0, 4]))
    encoder = opened(folder, tmp_path)
    found = encoder.encode(["aa", "aa ab", "aa aa ab"])
    np.testing.assert_allclose(found, [[1, 0], [0.6, 0.8], np.array([6, 4]) / 52**0.5], atol=1e-6)
    assert encoder.count_tokens(["aa", "aa ab"]).tolist() == [1, 2]  # no special tokens


def test_weights_and_mapping_count_where_they_are(tmp_path):
    row_V, weights = np.zeros(N, np.int64), np.ones(N, np.float32)
    row_V[AB], weights[AA] = 1, 0.5
    vectors = np.array([[2, 0], [0, 1]], np.float32)
    folder = save_static(tmp_path / "m", embeddings=vectors, mapping=row_V, weights=weights)
    np.testing.assert_allclose(opened(folder, tmp_path).encode(["aa ab"]), [[0.5**0.5, 0.5**0.5]], atol=1e-6)


def test_unknown_words_do_not_count_and_a_text_of_them_alone_gets_what_all_tokens_share(tmp_path):
    folder = save_static(tmp_path / "m", embeddings=table(t3=[0, 9], t4=[1, 0], t5=[3, 4]))
    encoder = opened(folder, tmp_path)
    known, with_unknown, unknown = encoder.encode(["aa", "aa nowhere zzz", "nowhere"])
    np.testing.assert_array_equal(known, with_unknown)
    np.testing.assert_allclose(unknown, np.array([4, 4]) / 32**0.5, atol=1e-6)


def test_a_question_that_holds_no_token_is_its_senders_fault(tmp_path):
    """Without special tokens nothing is left of a character that the tokenizer drops."""
    folder = save_static(tmp_path / "m")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(UnreadableText, match="makes no token of") as caught:
        opened(folder, tmp_path).encode_queries(["aa", "\ue000"])
    assert isinstance(caught.value, EncoderError)
    assert next(status for kind, status in STATUS.items() if isinstance(caught.value, kind)) == 422


def test_half_precision_and_whole_numbers_are_widened(tmp_path):
    for number, kind in enumerate((np.float16, np.int8)):
        folder = save_static(tmp_path / f"m{number}", embeddings=table(t4=[3, 0], t5=[0, 4]).astype(kind))
        np.testing.assert_allclose(opened(folder, tmp_path).encode(["aa ab"]), [[0.6, 0.8]], atol=1e-6)


def test_a_folder_whose_configuration_has_no_type_is_told_by_its_modules(tmp_path):
    folder = save_static(tmp_path / "m")
    (folder / "config.json").write_text('{"normalize": true}')
    with pytest.raises(EncoderError, match="holds no config.json of a transformer or a static table"):
        pack_encoder(encoder_params(folder), tmp_path, ())
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.StaticEmbedding"}])
    )
    assert pack_encoder(encoder_params(folder), tmp_path, ()).dim == 32


@pytest.mark.parametrize(("key", "value"), [("pooling", "cls"), ("precision", "int8")])
def test_what_a_static_table_cannot_have_is_refused(tmp_path, key, value):
    folder = save_static(tmp_path / "m")
    with pytest.raises(EncoderError, match=rf"is a static table, encoder\.{key} is '{value}'"):
        pack_encoder(encoder_params(folder, **{key: value}), tmp_path, ())


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"vectors": np.ones((N, 2), np.float32)}, "embeddings"),
        ({"embeddings": np.ones((3, 2), np.float32)}, "3 rows"),
        ({"embeddings": np.ones((3, 2), np.float32), "mapping": np.full(N, 3)}, "row 3 of 3"),
        ({"embeddings": np.ones((N, 2), np.float32), "weights": np.ones(7, np.float32)}, "7 weights"),
        ({"embeddings": np.full((N, 2), np.nan, np.float32)}, "not finite"),
        ({"embeddings": np.ones(N, np.float32)}, "shape"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, tensors, fault):
    folder = save_static(tmp_path / "m", **tensors)
    with pytest.raises(EncoderError, match=f"is not a static table of model2vec: .*{fault}"):
        read_table(folder)


def test_an_empty_file_is_refused(tmp_path):
    folder = save_static(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match="is not a static table"):
        read_table(folder)
