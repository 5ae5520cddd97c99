import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from recsys.encoders.params import FirstLightParams
from recsys.encoders.tfidf import fit_tfidf
from recsys.features.views import DenseView
from recsys.heads.first_light import FirstLight, pack_first_light
from recsys.heads.from_texts import choose_landmarks, fit_words, learn_from_texts
from recsys.heads.headed import load_head
from recsys.heads.kernel_head import QUERY_LEXICAL_SHARE
from recsys.heads.packing import pack_head
from recsys.heads.view_kernels import fit_view
from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from recsys.storage.packed import verify_files

COLOURS = ("red", "blue", "green", "black", "white")
THINGS = ("chair", "table", "lamp", "carpet", "curtain", "shelf")
TEXTS = tuple(f"{colour} {thing} by maker{n % 7}" for n, colour in enumerate(COLOURS) for thing in THINGS)
PARAMS = FirstLightParams(
    min_items=20,
    lexical_shares=(0.4, 0.6),
    long_from_terms=40,
    field_terms=0.0,
    gamma=2.0,
    constant=0.0,
    width=64,
    wide_up_to=0,
    max_landmarks=100,
)


def changed(**values):
    return PARAMS.model_copy(update=values)


@pytest.fixture(scope="session")
def cache(tmp_path_factory, encoders, tiny_reference):
    """Folder of packed parts with the tiny encoder."""
    made = tmp_path_factory.mktemp("cache")
    shutil.copytree(encoders / tiny_reference.hash, made / "encoders" / tiny_reference.hash)
    return made


def pack(base, cache, texts=TEXTS, params=PARAMS):
    return pack_first_light(base, texts, cache, params, 256)


@pytest.fixture(scope="module")
def joined(tiny_reference, cache):
    return pack(tiny_reference, cache)


def centred_kernel(texts, vectors, params=PARAMS):
    """Inner products of the texts in the kernel's own space, after their mean is taken away, by definition."""
    words = fit_tfidf(sorted(texts)).encode(texts)
    share = params.lexical_shares[0]
    kernel = share * (words @ words.T).toarray() + (1 - share) * np.exp(
        params.gamma * (vectors @ vectors.T - 1)
    )
    without_mean = np.eye(len(texts)) - 1 / len(texts)
    return without_mean @ kernel @ without_mean


def test_inner_products_of_all_directions_are_the_centred_kernel(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    head = learn_from_texts(TEXTS, vectors, fit_tfidf(TEXTS), changed(constant=0.5))
    expected = centred_kernel(TEXTS, vectors) + 0.5**2
    lengths = np.sqrt(np.diag(expected))
    found = head.profiles(TEXTS, vectors)
    np.testing.assert_allclose(found @ found.T, expected / np.outer(lengths, lengths), atol=5e-3)


def test_what_all_items_share_says_nothing_about_a_users_taste(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    head = learn_from_texts(TEXTS, vectors, fit_tfidf(TEXTS), changed(constant=0.5))
    found = head.profiles(TEXTS, vectors)
    assert head.lexical_width == 1
    user = Ridge(gram_of(found), 10.0, head.lexical_width).weights(found.sum(axis=0, keepdims=True))[0]
    alone = Ridge(gram_of(found), 10.0, head.lexical_width).weights(found[:1])[0]
    assert user[0] == 0 and np.linalg.norm(user) < 0.5 * np.linalg.norm(alone)


def test_long_texts_are_compared_by_their_words_more(tiny_encoder):
    long_texts = [f"{text} {' '.join(f'{text[0]}{n}' for n in range(30))}" for text in TEXTS]
    for texts, share in ((TEXTS, 0.4), (long_texts, 0.6)):
        head = learn_from_texts(texts, tiny_encoder.encode(texts), fit_tfidf(texts), PARAMS)
        assert head.kernel.lexical_share == share


def test_the_constant_takes_the_first_of_the_dimensions(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    head = learn_from_texts(TEXTS, vectors, fit_tfidf(TEXTS), changed(width=8, constant=0.5))
    found = head.profiles(TEXTS, vectors)
    assert found.shape == (len(TEXTS), 8) and (found[:, 0] > 0).all()


def test_a_view_that_says_what_the_texts_say_leaves_the_constant_its_share():
    vectors = np.random.default_rng(0).normal(size=(len(TEXTS), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    view, params = DenseView(vectors, "some model"), changed(lexical_shares=(1e-9, 1e-9), constant=0.5)
    same = fit_view(view, 0.0, params.gamma)
    plain, with_view = (
        learn_from_texts(TEXTS, vectors, fit_tfidf(TEXTS), params, views=views)
        for views in ({}, {"same": replace(same, weight=3.0)})
    )
    found = with_view.profiles(TEXTS, vectors, {"same": view})
    assert 0.1 < found[:, 0].min() < 0.9
    np.testing.assert_allclose(found[:, 0], plain.profiles(TEXTS, vectors)[:, 0], atol=1e-4)


@pytest.mark.parametrize(("wide_up_to", "width"), [(len(TEXTS), 16), (len(TEXTS) - 1, 8)])
def test_profiles_of_a_small_catalogue_are_twice_as_wide(
    tiny_reference, tiny_encoder, cache, wide_up_to, width
):
    params = changed(width=8, wide_up_to=wide_up_to, constant=0.5)
    assert pack(tiny_reference, cache, params=params).dim == width
    sample = changed(
        width=8, wide_up_to=wide_up_to, max_landmarks=20
    )  # texts count, not those that are compared with
    assert pack(tiny_reference, cache, params=sample).dim == width
    head = learn_from_texts(TEXTS, tiny_encoder.encode(TEXTS), fit_tfidf(TEXTS), params)
    assert head.dim == width


def test_fewer_directions_keep_the_largest_part_of_the_kernel(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    head = learn_from_texts(TEXTS, vectors, fit_tfidf(TEXTS), changed(width=5))
    values = np.linalg.eigvalsh(centred_kernel(TEXTS, vectors))[::-1][:4]
    compared = head.kernel.compare(head.words_MV, vectors, head.words_MV.T.tocsr(), vectors)
    raw = compared @ head.projection_MD - head.mean_D
    np.testing.assert_allclose((raw**2).sum(axis=0), values, rtol=1e-3)


def test_a_shared_word_brings_texts_together_that_the_encoder_keeps_apart(tiny_encoder, cache, joined):
    asked = ["red chair by maker1", "green chair by maker3", "white lamp by maker5"]
    alone = tiny_encoder.encode(asked)
    found = load_head(cache / "heads" / joined.hash, joined.dim).profiles(asked, alone)
    gain = (found @ found.T) - (alone @ alone.T)
    assert gain[0, 1] > gain[0, 2]


def test_neither_order_nor_repeats_nor_a_second_run_change_the_encoder(tiny_reference, cache, joined):
    before = {path.name: path.stat().st_mtime_ns for path in (cache / "heads" / joined.hash).iterdir()}
    again = pack(tiny_reference, cache, [*reversed(TEXTS), TEXTS[3], "  "])
    assert again == joined
    assert {
        path.name: path.stat().st_mtime_ns for path in (cache / "heads" / joined.hash).iterdir()
    } == before


def test_a_damaged_one_is_made_again(tiny_reference, cache):
    params = changed(lexical_shares=(0.3, 0.6))
    reference = pack(tiny_reference, cache, params=params)
    head = cache / "heads" / reference.hash / "head.npz"
    whole = head.read_bytes()
    head.write_bytes(whole[:-1])
    assert pack(tiny_reference, cache, params=params).hash == reference.hash
    verify_files(cache / "heads" / reference.hash, reference.files)
    assert head.read_bytes() == whole


def test_the_record_says_what_it_was_made_from(tiny_reference, cache, joined):
    record = FirstLight.load(cache / "heads" / joined.hash)
    assert (record.base, record.params, record.n_landmarks) == (tiny_reference.hash, PARAMS, len(TEXTS))
    assert "first_light.json" in {file.name for file in joined.files}
    assert FirstLight.load(cache / "encoders" / tiny_reference.hash) is None
    assert json.loads((cache / "heads" / joined.hash / "first_light.json").read_text())["version"] == 2


def test_fields_are_told_apart_where_texts_are_long_and_have_several():
    by_field = changed(field_terms=2, long_from_terms=5)
    lines, bags = ["red\nchair of blue wood"] * 3, ["red chair of blue wood"] * 3
    assert fit_words(lines, by_field).longest_field is not None
    for texts, params in (
        (bags, by_field),
        (["red\nchair"] * 3, by_field),
        (lines, changed(long_from_terms=5)),
    ):
        assert fit_words(texts, params).longest_field is None


@pytest.mark.parametrize(("long_from", "version"), [(2, 8), (40, 4)])
def test_a_head_from_before_usual_stays_where_texts_are_one_bag_and_not_where_fields_are_told_apart(
    tiny_reference, tiny_encoder, tmp_path, encoders, long_from, version
):
    shutil.copytree(encoders / tiny_reference.hash, tmp_path / "encoders" / tiny_reference.hash)
    texts = [text.replace(" ", "\n", 1) for text in TEXTS]
    params = changed(field_terms=6.0, long_from_terms=long_from)
    landmarks = choose_landmarks(texts, params.max_landmarks)
    lexical = replace(fit_words(landmarks.texts, params), usual_terms=())
    head = learn_from_texts(landmarks.texts, tiny_encoder.encode(landmarks.texts), lexical, params)
    record = FirstLight(
        base=tiny_reference.hash, params=params, n_landmarks=len(TEXTS), landmarks=landmarks.digest
    )
    before = pack_head(tiny_reference, head, tmp_path / "heads", beside=(record,))
    now = pack(tiny_reference, tmp_path, texts, params)
    found = tmp_path / "heads" / now.hash
    assert (now == before) == (version < 8) == (FirstLight.load(found).usual is None)
    assert json.loads((found / "head.json").read_text("utf-8"))["version"] == version
    assert pack(tiny_reference, tmp_path, texts, params) == now
    if now == before:
        shutil.rmtree(found)
        assert pack(tiny_reference, tmp_path, texts, params) == before  # learned today


def test_a_record_from_before_wide_up_to_is_read_and_without_it_the_same_bytes_are_written(tmp_path):
    """The hash of a head covers its record: where small catalogues get no wider profiles, heads stay."""
    params = {
        "min_items": 20,
        "lexical_shares": [0.4, 0.6],
        "long_from_terms": 40,
        "gamma": 2.0,
        "constant": 0.0,
        "width": 64,
        "max_landmarks": 100,
    }
    plain = {"version": 2, "base": "b" * 64, "params": params, "n_landmarks": 30, "landmarks": "c" * 64}
    path = tmp_path / "first_light.json"
    path.write_text(json.dumps(plain, indent=1) + "\n")
    before, found = path.read_bytes(), FirstLight.load(tmp_path)
    assert found is not None and found.params == PARAMS
    found.save(tmp_path)
    assert path.read_bytes() == before
    for change in ({"wide_up_to": 9}, {"field_terms": 6.0}):
        later = found.model_copy(update={"params": changed(**change)})
        later.save(tmp_path)
        assert FirstLight.load(tmp_path) == later != found


@pytest.mark.parametrize(
    "change",
    [{"lexical_shares": (0.5, 0.6)}, {"gamma": 1.0}, {"constant": 0.5}, {"width": 8}, {"max_landmarks": 25}],
)
def test_other_settings_give_another_encoder(tiny_reference, cache, joined, change):
    assert pack(tiny_reference, cache, params=changed(**change)).hash != joined.hash


@pytest.mark.parametrize(
    "texts", [TEXTS[:19], TEXTS[:19] * 3, (), [f"{n} of the and" for n in range(10)] * 9, ["1", "2"] * 40]
)
def test_too_few_texts_leave_the_encoder_as_it_comes(tiny_reference, cache, texts):
    assert pack(tiny_reference, cache, texts) is None


def test_texts_without_words_leave_the_encoder_as_it_comes(tiny_reference, cache):
    assert pack(tiny_reference, cache, [chr(33 + n) for n in range(15)] * 2, changed(min_items=2)) is None


def test_texts_in_scripts_without_blanks_are_joined_too(tiny_reference, tiny_encoder, cache):
    texts = [f"紅色{a}椅子{b}" for a in "大小新舊高" for b in "木鐵石竹紙"]
    reference = pack(tiny_reference, cache, texts)
    head = load_head(cache / "heads" / reference.hash, reference.dim)
    found = head.profiles(texts[:2], tiny_encoder.encode(texts[:2]))
    assert np.isfinite(found).all()


def test_of_a_larger_catalogue_the_same_sample_is_taken_in_any_order():
    texts = [f"item {n}" for n in range(1000)]
    one, other = choose_landmarks(texts, 20), choose_landmarks(texts[::-1] + texts[:500], 20)
    assert one == other and one.n_texts == 1000 and len(one.texts) == 20
    assert choose_landmarks(texts[:15], 20).n_texts == 15 == len(choose_landmarks(texts[:15], 20).texts)


def test_a_query_is_compared_by_meaning_more_around_the_mean_of_the_landmarks(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    lexical = fit_tfidf(sorted(TEXTS))
    head = learn_from_texts(TEXTS, vectors, lexical, changed(lexical_shares=(0.6, 0.6), constant=0.5))
    queries = ("black lamp", "white", "a carpet by maker3")
    asked = tiny_encoder.encode(queries)

    def compared(texts, theirs):
        words = (lexical.encode(texts) @ lexical.encode(TEXTS).T).toarray()
        meaning = np.exp(2.0 * (theirs.astype(float) @ vectors.T - 1))
        return QUERY_LEXICAL_SHARE * words + (1 - QUERY_LEXICAL_SHARE) * meaning

    directions = (compared(queries, asked) - compared(TEXTS, vectors).mean(axis=0)) @ head.projection_MD
    wanted = np.pad(directions, ((0, 0), (1, 0)), constant_values=0.5)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert head.profiles(queries, asked, as_queries=True) == pytest.approx(wanted, abs=1e-5)
    assert not np.allclose(head.profiles(queries, asked), wanted, atol=1e-3)


def test_a_head_of_few_exact_words_reads_queries_as_items(tiny_encoder):
    vectors = tiny_encoder.encode(TEXTS)
    head = learn_from_texts(TEXTS, vectors, fit_tfidf(sorted(TEXTS)), changed(lexical_shares=(0.2, 0.2)))
    assert head.profiles(TEXTS, vectors, as_queries=True) == pytest.approx(
        head.profiles(TEXTS, vectors), abs=1e-5
    )
