import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.encoders.analyzer import Analyzer
from recsys.encoders.tfidf import fit_tfidf
from recsys.errors import EncoderError
from recsys.heads.head_file import read_head, write_head
from recsys.heads.headed import HeadedEncoder, load_head
from recsys.heads.kernel_head import Kernel, KernelHead, Words
from recsys.heads.packing import pack_head
from recsys.heads.reference import HeadReference
from recsys.storage.packed import verify_files

TEXTS = ["red chair", "red table", "blue chair", "blue lamp", "green lamp", "old green chair"]


def make_head(dim, width=5, share=0.4, words_share=None, constant=0.0, centred=False, first=False):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel = Kernel(fit_tfidf(TEXTS), share, 2.0)
    words = csr_array(kernel.lexical.encode(TEXTS))
    projection = rng.normal(size=(6, width)).astype(np.float32)
    left, sizes, _ = np.linalg.svd(words.toarray(), full_matrices=False)
    apart = None if words_share is None else Words((left / sizes)[:, :4].astype(np.float32), words_share)
    mean = rng.normal(size=width).astype(np.float32) if centred else None
    return KernelHead(kernel, words, vectors, projection, apart, constant, mean, constant_first=first)


@pytest.fixture(scope="module")
def vectors():
    found = np.random.default_rng(1).normal(size=(600, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def texts():
    return [f"{TEXTS[place % 6]} {place}" for place in range(600)]


def test_a_profile_is_the_comparison_with_the_landmarks_times_the_matrix(vectors):
    head = make_head(8)
    lexical = (head.kernel.lexical.encode(["blue chair"]) @ head.kernel.lexical.encode(TEXTS).T).toarray()[0]
    cosines = vectors[0] @ head.vectors_ML.T
    raw = (0.4 * lexical + 0.6 * np.exp(2 * (cosines - 1))) @ head.projection_MD
    found = head.profiles(["blue chair"], vectors[:1])[0]
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw), atol=1e-5)


def test_a_constant_is_a_last_coordinate_before_unit_length(vectors, tmp_path):
    plain, head = make_head(8), make_head(8, constant=0.5)
    words = head.kernel.lexical.encode(["blue chair"])
    compared = head.kernel.compare(words, vectors[:1], head.words_MV.T.tocsr(), head.vectors_ML)
    raw = np.append(compared[0] @ head.projection_MD, 0.5)
    found = head.profiles(["blue chair"], vectors[:1])[0]
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw), atol=1e-5)
    assert head.dim == 6 and plain.dim == 5
    write_head(head, tmp_path)
    again = read_head(tmp_path)
    assert again.dim == 6 and json.loads((tmp_path / "head.json").read_text())["version"] == 3
    np.testing.assert_array_equal(again.profiles(TEXTS, vectors[:6]), head.profiles(TEXTS, vectors[:6]))
    write_head(plain, tmp_path)
    assert json.loads((tmp_path / "head.json").read_text())["version"] == 2  # as older readers know it


def test_a_constant_that_comes_first_is_left_out_by_users_and_queries(vectors, tmp_path):
    head, last = make_head(8, constant=0.5, first=True), make_head(8, constant=0.5)
    assert (head.dim, head.lexical_width) == (6, 1)
    found = head.profiles(TEXTS, vectors[:6])
    np.testing.assert_array_equal(found, np.roll(last.profiles(TEXTS, vectors[:6]), 1, axis=1))
    write_head(head, tmp_path)
    again, plain = read_head(tmp_path), json.loads((tmp_path / "head.json").read_text())
    assert (again.dim, again.lexical_width, plain["version"], plain["constant_first"]) == (6, 1, 10, True)
    np.testing.assert_array_equal(again.profiles(TEXTS, vectors[:6]), found)
    as_queries = again.profiles(TEXTS, vectors[:6], as_queries=True)
    wanted = last.profiles(TEXTS, vectors[:6], as_queries=True)
    np.testing.assert_array_equal(as_queries, np.roll(wanted, 1, axis=1))


def test_a_centred_head_takes_its_mean_away_and_has_the_constant_first(vectors, tmp_path):
    head = make_head(8, constant=0.5, centred=True)
    words = head.kernel.lexical.encode(["blue chair"])
    compared = head.kernel.compare(words, vectors[:1], head.words_MV.T.tocsr(), head.vectors_ML)
    raw = np.append(0.5, compared[0] @ head.projection_MD - head.mean_D)
    found = head.profiles(["blue chair"], vectors[:1])[0]
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw), atol=1e-5)
    assert (head.dim, head.lexical_width) == (6, 1)
    write_head(head, tmp_path)
    again = read_head(tmp_path)
    assert (again.dim, again.lexical_width) == (6, 1)
    assert json.loads((tmp_path / "head.json").read_text())["version"] == 4
    np.testing.assert_array_equal(again.profiles(TEXTS, vectors[:6]), head.profiles(TEXTS, vectors[:6]))


def test_a_head_carries_its_stop_words_and_runs_of_characters(vectors, tmp_path):
    head, analyzer = make_head(8), Analyzer(frozenset({"blue", "的"}), cuts_runs=True)
    lexical = fit_tfidf([*TEXTS[1:], "蓝色的椅子"], analyzer)
    words_MV = csr_array(lexical.encode([*TEXTS[1:], "蓝色的椅子"]))
    head = replace(head, kernel=replace(head.kernel, lexical=lexical), words_MV=words_MV)
    write_head(head, tmp_path)
    again, plain = read_head(tmp_path), json.loads((tmp_path / "head.json").read_text("utf-8"))
    assert (plain["version"], plain["stop_words"], plain["cuts_runs"]) == (6, ["blue", "的"], True)
    assert again.kernel.lexical.analyzer == analyzer
    texts = ["蓝色 blue chair", *TEXTS[1:]]
    np.testing.assert_array_equal(again.profiles(texts, vectors[:6]), head.profiles(texts, vectors[:6]))
    (tmp_path / "head.json").write_text(json.dumps(plain | {"stop_words": ["a", 1]}), "utf-8")
    with pytest.raises(EncoderError, match="no readable head"):
        read_head(tmp_path)


def test_a_head_carries_that_it_tells_fields_apart(vectors, tmp_path):
    head, texts = make_head(8), [*TEXTS[1:], "red\nchair of blue wood"]
    lexical = fit_tfidf(texts, field_terms=1)
    head = replace(
        head, kernel=replace(head.kernel, lexical=lexical), words_MV=csr_array(lexical.encode(texts))
    )
    write_head(head, tmp_path)
    again, plain = read_head(tmp_path), json.loads((tmp_path / "head.json").read_text("utf-8"))
    assert (plain["version"], plain["longest_field"]) == (7, lexical.longest_field)
    np.testing.assert_array_equal(again.profiles(texts, vectors[:6]), head.profiles(texts, vectors[:6]))
    for wrong in (0, -1, "long", float("inf")):
        (tmp_path / "head.json").write_text(json.dumps(plain | {"longest_field": wrong}), "utf-8")
        with pytest.raises(EncoderError, match="no readable head"):
            read_head(tmp_path)


def test_a_head_carries_how_many_terms_fields_usually_have(vectors, tmp_path):
    head, texts = make_head(8), [*TEXTS[1:], "red\nchair of blue wood"]
    lexical = replace(fit_tfidf(texts, field_terms=1), usual_terms=(1.0, 2.5))
    head = replace(
        head, kernel=replace(head.kernel, lexical=lexical), words_MV=csr_array(lexical.encode(texts))
    )
    write_head(head, tmp_path)
    again, plain = read_head(tmp_path), json.loads((tmp_path / "head.json").read_text("utf-8"))
    assert (plain["version"], again.kernel.lexical.usual_terms) == (8, (1.0, 2.5))
    np.testing.assert_array_equal(again.profiles(texts, vectors[:6]), head.profiles(texts, vectors[:6]))
    wrong = [{"usual_terms": one} for one in ([0], [1, "many"], 3, [float("inf")])]
    for change in (*wrong, {"longest_field": None}):
        (tmp_path / "head.json").write_text(json.dumps(plain | change), "utf-8")
        with pytest.raises(EncoderError, match="no readable head"):
            read_head(tmp_path)


def test_an_item_without_text_is_unlike_every_landmark(vectors):
    head = make_head(8)
    found, words = (
        np.vstack([vectors[:1], np.zeros((1, 8), np.float32)]),
        head.kernel.lexical.encode(["red chair", ""]),
    )
    compared = head.kernel.compare(words, found, head.words_MV.T.tocsr(), head.vectors_ML)
    assert compared[0].all() and not compared[1].any()
    alone, nothing = head.profiles(["red chair", ""], found)
    np.testing.assert_array_equal(alone, head.profiles(["red chair"], vectors[:1])[0])
    assert np.linalg.norm(nothing) == 1 and head.knows({}, 2).tolist() == [False, False]


def test_a_head_of_characters_from_before_is_read_as_it_was(vectors, tmp_path):
    head, before = make_head(8), Analyzer(characters=(1, 2))
    lexical = fit_tfidf(TEXTS, before)
    head = replace(
        head, kernel=replace(head.kernel, lexical=lexical), words_MV=csr_array(lexical.encode(TEXTS))
    )
    write_head(head, tmp_path)
    plain = json.loads((tmp_path / "head.json").read_text("utf-8"))
    assert plain["version"] == 2 and not {"stop_words", "cuts_runs"} & plain.keys()
    assert read_head(tmp_path).kernel.lexical.analyzer == before


@pytest.mark.parametrize(
    "other",
    [make_head(8, width=4, centred=True), make_head(8, words_share=0.5, centred=True)],
    ids=["mean of another width", "words apart as well"],
)
def test_a_centred_head_that_does_not_fit_is_refused(other, tmp_path):
    arrays_path, _ = write_head(other, tmp_path)
    with np.load(arrays_path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    np.savez(arrays_path, **arrays | {"mean": np.ones(5, np.float32)})
    with pytest.raises(EncoderError, match="do not fit"):
        read_head(tmp_path)


def test_a_constant_that_comes_first_beside_separate_words_is_refused(tmp_path):
    _, path = write_head(make_head(8, words_share=0.5), tmp_path)
    words = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(words | {"constant_first": True}), "utf-8")
    with pytest.raises(EncoderError, match="separate words"):
        read_head(tmp_path)


@pytest.mark.parametrize("constant", [-1, float("inf"), "much"])
def test_a_constant_that_is_none_is_refused(constant, tmp_path):
    _, path = write_head(make_head(8, constant=0.5), tmp_path)
    words = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(words | {"constant": constant}), "utf-8")
    with pytest.raises(EncoderError, match="no readable head"):
        read_head(tmp_path)


@pytest.mark.parametrize("words_share", [None, 0.3])
def test_a_profile_has_the_same_bits_alone_and_in_any_batch(vectors, texts, words_share):
    head = make_head(8, words_share=words_share)
    together = head.profiles(texts, vectors)
    for row in (0, 31, 255, 256, 599):
        np.testing.assert_array_equal(
            head.profiles(texts[row : row + 1], vectors[row : row + 1])[0], together[row]
        )
    np.testing.assert_array_equal(head.profiles(texts[::-1], vectors[::-1])[::-1], together)


def test_words_apart_keep_the_inner_products_of_tfidf_rows_and_take_their_share(vectors):
    head, plain = make_head(8, words_share=0.3), make_head(8)
    assert head.lexical_width == 5 and head.dim == 10 and plain.lexical_width == 0
    found, rest = head.profiles(TEXTS, vectors[:6]), plain.profiles(TEXTS, vectors[:6])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 5:], np.sqrt(0.7) * rest, atol=1e-6)
    rows = head.kernel.lexical.encode(TEXTS).toarray()
    best = np.linalg.svd(rows, full_matrices=False)
    nearest = (best.U[:, :4] * best.S[:4] ** 2) @ best.U[:, :4].T  # of all matrices of rank 4, to rows rowsᵀ
    np.testing.assert_allclose(found[:, 1:5] @ found[:, 1:5].T, 0.3 * nearest, atol=1e-5)


def test_a_text_without_known_words_has_none_and_still_unit_length(vectors):
    found = make_head(8, words_share=0.3).profiles(["zebra"], vectors[:1])[0]
    assert (found[1:5] == 0).all() and found[0] == pytest.approx(np.sqrt(0.3))
    assert np.linalg.norm(found) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_of_words_out_of_range_is_refused(share, tmp_path):
    _, path = write_head(make_head(8, words_share=0.3), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"words_share": share}), "utf-8")
    with pytest.raises(EncoderError, match="words_share"):
        read_head(tmp_path)


@pytest.mark.parametrize("words_share", [None, 0.3])
def test_a_saved_head_makes_the_same_profiles(vectors, texts, tmp_path, words_share):
    head = make_head(8, words_share=words_share)
    names = [path.name for path in write_head(head, tmp_path)]
    assert names == ["head.npz", "head.json"]
    again = read_head(tmp_path)
    np.testing.assert_allclose(again.profiles(texts, vectors), head.profiles(texts, vectors), atol=1e-6)
    before = [(tmp_path / name).read_bytes() for name in names]
    write_head(again, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("name", ["head.npz", "head.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", None])
def test_a_damaged_head_is_refused_with_its_folder(name, content, tmp_path):
    write_head(make_head(8), tmp_path)
    half = (tmp_path / name).read_bytes()[:-40]
    (tmp_path / name).write_bytes(half if content is None else content)
    with pytest.raises(EncoderError, match="no readable head"):
        read_head(tmp_path)


def test_a_head_without_words_asks_the_encoder_alone(vectors):
    head = make_head(8, share=0.0)
    np.testing.assert_array_equal(
        head.profiles(["never seen"], vectors[:1]), head.profiles(["blue chair"], vectors[:1])
    )


def test_a_packed_head_is_named_by_the_encoder_and_its_own_files(tiny_reference, tmp_path):
    head = make_head(tiny_reference.dim, words_share=0.3)
    reference = pack_head(tiny_reference, head, tmp_path)
    assert (reference.dim, reference.lexical_width) == (10, 5)
    verify_files(tmp_path / reference.hash, reference.files)
    assert HeadReference.load(tmp_path / reference.hash / "reference.json") == reference
    assert pack_head(tiny_reference, head, tmp_path) == reference
    elsewhere = tiny_reference.model_copy(update={"hash": "f" * 64})
    others = [pack_head(elsewhere, head, tmp_path), pack_head(tiny_reference, make_head(32), tmp_path)]
    assert len({reference.hash, *(one.hash for one in others)}) == 3
    assert {path.name for path in tmp_path.iterdir()} == {reference.hash, *(one.hash for one in others)}


def test_an_encoder_and_its_head_encode_as_one(tiny_reference, encoders, tiny_encoder, tmp_path):
    packed = pack_head(tiny_reference, make_head(tiny_reference.dim), tmp_path)
    head = load_head(tmp_path / packed.hash, packed.dim)
    encoder = HeadedEncoder(tiny_encoder, head, packed.hash)
    queries = ["red chair", "blue lamp", "red chair"]
    found = encoder.encode(queries)
    assert found.shape == (3, 5) and encoder.dim == 5 and encoder.hash == packed.hash
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found, head.profiles(queries, tiny_encoder.encode(queries)))
    assert encoder.count_tokens(queries).tolist() == tiny_encoder.count_tokens(queries).tolist()
    assert encoder.encode([]).shape == (0, 5)


def test_a_head_for_vectors_of_another_width_is_refused(tiny_reference, tmp_path):
    with pytest.raises(EncoderError, match="width 3"):
        pack_head(tiny_reference, make_head(3), tmp_path)
    packed = pack_head(tiny_reference, make_head(tiny_reference.dim), tmp_path)
    with pytest.raises(EncoderError, match="profiles of width 5, not 6"):
        load_head(tmp_path / packed.hash, 6)


def test_a_head_that_remembers_texts_is_refused(tmp_path):
    path, _ = write_head(make_head(8), tmp_path)
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    np.savez(
        path, **arrays, memory_digests=np.array(["0" * 32], "S32"), memory_rows=np.ones((1, 2), np.float32)
    )
    with pytest.raises(EncoderError, match=r"memory_rows(.|\n)*dvc repro finetune"):
        read_head(tmp_path)


def test_a_head_of_a_newer_version_is_refused_and_one_of_the_first_is_read(tmp_path, vectors):
    head = make_head(8)
    _, path = write_head(head, tmp_path)
    words = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(words | {"version": 11}), "utf-8")
    with pytest.raises(EncoderError, match="newest known is 10"):
        read_head(tmp_path)
    path.write_text(json.dumps(words | {"version": 1}), "utf-8")
    first = read_head(tmp_path)
    np.testing.assert_allclose(
        first.profiles(TEXTS, vectors[:6]), head.profiles(TEXTS, vectors[:6]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "fields", "problem"),
    [
        ({"words_indices": lambda a: a + 1000}, {}, "indices"),
        ({"words_indices": lambda a: a - 1000}, {}, "indices"),
        ({"words_indptr": lambda a: a * 50}, {}, "index"),
        ({"vectors": lambda a: a[:3]}, {}, "do not fit 3 landmarks"),
        ({"projection": lambda a: a[:, 0]}, {}, "do not fit"),
        ({"projection": lambda a: a * np.inf}, {}, "finite"),
        ({"vectors": lambda a: a.astype(np.float64)}, {}, "float32"),
        ({"idf": lambda a: a[:-1]}, {}, "do not fit"),
        ({}, {"terms": ["red"] * 3}, "names a term twice"),
        ({}, {"gamma": -1}, "gamma"),
        ({}, {"lexical_share": float("nan")}, "lexical_share"),
        ({}, {"characters": [1, 10**9]}, "character n-grams"),
    ],
)
def test_a_head_whose_files_do_not_fit_or_point_outside_is_refused(tmp_path, changes, fields, problem):
    arrays_path, terms_path = write_head(make_head(8), tmp_path)
    with np.load(arrays_path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    np.savez(arrays_path, **arrays | {name: change(arrays[name]) for name, change in changes.items()})
    terms_path.write_text(json.dumps(json.loads(terms_path.read_text()) | fields))
    with pytest.raises(EncoderError, match=f"no readable head: .*{problem}"):
        read_head(tmp_path)
