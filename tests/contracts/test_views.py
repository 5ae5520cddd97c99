"""What every view promises, whatever its kind, in a trained head and in first light."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.errors import EncoderError
from recsys.features.views import DenseView, SparseView, take
from recsys.heads.head_file import read_head, view_weights, write_head
from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.heads.view_kernels import NamesKernel, centred, fit_view
from tests.heads.world import FIRST_LIGHT, dataset, fusion_params

__all__ = ["dataset", "fusion_params"]

KINDS = ["names", "names, two steps", "vectors"]
VIEW = "evidence"
HEADS = {
    "trained": Recipe(0.3, 0.75, 1.0, None, {}),
    "first light": Recipe(None, None, 1.0, None, {}, first_light=FIRST_LIGHT),
}


def sparse_view(n, seed=0):
    """Items name their series, and a few of 30 other things; every seventh item has nothing."""
    rng = np.random.default_rng(seed)
    rows = np.hstack([np.eye(10)[np.arange(n) % 10], rng.random((n, 30)) < 0.1]).astype(np.float32)
    rows[::7] = 0
    return SparseView(tuple(f"thing {place}" for place in range(40)), csr_array(rows))


def dense_view(n, seed=0):
    """Vectors near those of their series; every seventh item has none."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(16)[np.arange(n) % 10] + rng.normal(scale=0.2, size=(n, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[::7] = 0
    return DenseView(vectors.astype(np.float32), "model 1")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def viewed(kind, dataset):
    make = dense_view if kind == "vectors" else sparse_view
    return replace(dataset, views={VIEW: make(len(dataset.texts))})


@pytest.fixture(scope="module")
def params(kind, fusion_params):
    return fusion_params.model_copy(update={"view_decay": 0.3 if kind == "names, two steps" else 0.0})


@pytest.fixture(scope="module", params=HEADS)
def plain(request):
    return HEADS[request.param]


@pytest.fixture(scope="module")
def head(plain, viewed, params):
    return learn_head(viewed, replace(plain, view_weights={VIEW: 1.0}), params)


def profiles_of(head, some, rows, views=None):
    texts = [some.texts[row] for row in rows]
    return head.profiles(texts, some.vectors_ID[rows], take(some.views, rows) if views is None else views)


def empty(view, n):
    if isinstance(view, DenseView):
        return DenseView(np.zeros((n, view.vectors_ND.shape[1]), np.float32), view.source)
    return SparseView(view.names, csr_array((n, len(view.names)), dtype=np.float32))


def test_a_view_changes_the_profiles_of_the_items_that_have_it_and_of_no_other(head, viewed):
    rows = np.arange(120)
    joined, bare = profiles_of(head, viewed, rows), profiles_of(head, viewed, rows, views={})
    has = viewed.views[VIEW].has_N
    assert has.sum() == 102 and (joined[has] != bare[has]).any(axis=1).all()
    np.testing.assert_array_equal(joined[~has], bare[~has])
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-6)


def test_a_view_brings_items_with_the_same_evidence_together(head, viewed):
    has = np.flatnonzero(viewed.views[VIEW].has_N)
    same = (has[:, None] - has) % 10 == 0
    joined, bare = profiles_of(head, viewed, has), profiles_of(head, viewed, has, views={})
    assert (joined @ joined.T)[same].mean() > (bare @ bare.T)[same].mean()


def test_a_profile_depends_on_the_evidence_of_its_item_alone(head, viewed):
    rows = np.arange(120)
    together = profiles_of(head, viewed, rows)
    for row in (0, 1, 64, 119):
        np.testing.assert_array_equal(profiles_of(head, viewed, np.array([row]))[0], together[row])
    np.testing.assert_array_equal(profiles_of(head, viewed, rows[::-1])[::-1], together)


def test_an_item_without_evidence_gets_the_profile_of_its_text(head, viewed):
    rows = np.arange(10)
    nothing = {VIEW: empty(viewed.views[VIEW], 10)}
    np.testing.assert_array_equal(
        profiles_of(head, viewed, rows, views=nothing), profiles_of(head, viewed, rows, views={})
    )


def test_an_item_without_text_is_like_those_with_the_same_evidence(head, viewed):
    has = np.flatnonzero(viewed.views[VIEW].has_N)
    nothing = np.zeros((len(has), viewed.vectors_ID.shape[1]), np.float32)
    bare = head.profiles([""] * len(has), nothing, take(viewed.views, has))
    similar, same = bare @ profiles_of(head, viewed, has).T, (has[:, None] - has) % 10 == 0
    assert similar[same].mean() > similar[~same].mean() + 0.1


def test_evidence_that_the_head_cannot_compare_is_no_evidence(head, viewed):
    rows, other = np.arange(1, 7), take(viewed.views, np.arange(1, 7))[VIEW]
    if isinstance(other, DenseView):
        strange = replace(other, source="model 2")
    else:
        strange = replace(other, names=tuple(f"other {name}" for name in other.names))
    bare = profiles_of(head, viewed, rows, views={})
    for views in ({VIEW: strange}, {"another view": other}):
        np.testing.assert_array_equal(profiles_of(head, viewed, rows, views=views), bare)


def test_queries_are_compared_by_their_words_alone(head, viewed):
    texts, vectors = viewed.texts[:3], viewed.vectors_ID[:3]
    with_views = head.profiles(texts, vectors, take(viewed.views, np.arange(3)), as_queries=True)
    np.testing.assert_array_equal(with_views, head.profiles(texts, vectors, as_queries=True))


def test_views_of_other_items_are_refused(head, viewed):
    with pytest.raises(ValueError, match="has 120 rows, not 2"):
        head.profiles(viewed.texts[:2], viewed.vectors_ID[:2], viewed.views)


def test_a_view_of_weight_zero_gives_the_same_bytes_as_none(plain, viewed, dataset, params, tmp_path):
    folders = [tmp_path / name for name in ("zero", "unused", "absent")]
    learned = [
        learn_head(viewed, replace(plain, view_weights={VIEW: 0.0}), params),
        learn_head(viewed, plain, params),
        learn_head(dataset, plain, params),
    ]
    for folder, one in zip(folders, learned, strict=True):
        write_head(one, folder)
    for name in ("head.npz", "head.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    version = 4 if plain.first_light else 2
    assert json.loads((folders[0] / "head.json").read_text("utf-8"))["version"] == version


def test_a_saved_head_makes_the_same_profiles_and_the_same_bytes(plain, head, viewed, tmp_path):
    paths = write_head(head, tmp_path)
    before = [path.read_bytes() for path in paths]
    again = read_head(tmp_path)
    rows = np.arange(120)
    np.testing.assert_array_equal(profiles_of(again, viewed, rows), profiles_of(head, viewed, rows))
    write_head(again, tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert json.loads(paths[1].read_text("utf-8"))["version"] == (9 if plain.first_light else 5)
    assert view_weights(tmp_path) == {VIEW: 1.0}


def test_weights_of_a_head_without_views_are_none_and_of_a_damaged_one_an_error(
    plain, dataset, params, tmp_path
):
    _, path = write_head(learn_head(dataset, plain, params), tmp_path)
    assert view_weights(tmp_path) == {}
    path.write_text('{"views": [{"name": "image"}]}')
    with pytest.raises(EncoderError, match="cannot be read"):
        view_weights(tmp_path)


@pytest.mark.parametrize("change", [{"weight": 0}, {"weight": float("inf")}, {"decay": -1, "gamma": -1}])
def test_a_head_with_a_view_out_of_range_is_refused(head, change, tmp_path):
    _, path = write_head(head, tmp_path)
    plain = json.loads(path.read_text("utf-8"))
    plain["views"][0] |= change
    path.write_text(json.dumps(plain), "utf-8")
    with pytest.raises(EncoderError, match="no readable head: view 'evidence'"):
        read_head(tmp_path)


def test_a_head_whose_view_does_not_fit_its_landmarks_is_refused(head, tmp_path):
    path, _ = write_head(head, tmp_path)
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    for cut in {"view_0_vectors", "view_0_idf", "view_0_mean"} & arrays.keys():
        np.savez(path, **arrays | {cut: arrays[cut][:-1]})
        with pytest.raises(EncoderError, match="no readable head: view 'evidence'"):
            read_head(tmp_path)


def test_two_steps_are_the_powers_of_the_landmarks_cosines():
    view, a = sparse_view(40, seed=3), 0.4
    landmarks = np.arange(30)
    kernel = fit_view(view.take(landmarks), a, 2.0)
    assert isinstance(kernel, NamesKernel)
    rows = kernel.rows_of(view).toarray()
    cosines = rows @ rows[landmarks].T
    k, whole = cosines[landmarks], rows @ rows.T
    walks = (
        whole + 2 * a * cosines @ cosines.T + a**2 * cosines @ k @ cosines.T
    )  # K + 2aK² + a²K³ of all items
    lengths = np.sqrt(walks.diagonal())
    expected = np.divide(
        walks, np.outer(lengths, lengths), out=np.zeros_like(walks), where=np.outer(lengths, lengths) > 0
    )
    np.testing.assert_allclose(kernel.compare(kernel.rows_of(view)), expected[:, landmarks], atol=1e-6)


def test_a_centred_kernel_is_the_inner_product_of_items_without_their_mean():
    view, landmarks = dense_view(40, seed=3), np.arange(30)
    plain = fit_view(view.take(landmarks), 0.0, 2.0)
    kernel, rows = centred(plain), plain.rows_of(view)
    has = view.has_N
    between = np.exp(2.0 * (rows @ rows.T - 1))  # of all items, by definition
    weights = np.where(has[:30], 1 / has[:30].sum(), 0)
    without = np.eye(40)
    without[:, :30] -= weights
    expected = np.where(np.outer(has, has), without @ between @ without.T, 0)[:, :30]
    np.testing.assert_allclose(kernel.compare(rows), expected, atol=1e-6)
    np.testing.assert_allclose(kernel.compare(rows).sum(axis=1), 0, atol=1e-6)


def test_names_that_no_landmark_has_are_not_kept():
    view = SparseView(("a", "b"), csr_array(np.array([[1, 0], [0, 1]], np.float32)))
    kernel = fit_view(view.take(np.array([0])), 0.3, 2.0)
    assert kernel.names == ("a",)
    assert fit_view(empty(view, 2), 0.3, 2.0) is None


def test_vectors_of_one_source_and_two_widths_are_refused():
    kernel = fit_view(dense_view(20), 0.3, 2.0)
    with pytest.raises(EncoderError, match="width 2, those of the head 16"):
        kernel.rows_of(DenseView(np.eye(2, dtype=np.float32), "model 1"))
