"""How much each part of a head counts in a profile: the same as by taking the profile apart."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.features.views import DenseView, SparseView, take
from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.heads.view_shares import parts_of, view_shares
from tests.heads.world import FIRST_LIGHT


@pytest.fixture(scope="module")
def viewed(dataset):
    """Every third item has a maker by its series, every other one a picture."""
    n = len(dataset.texts)
    makers = np.zeros((n, 10), np.float32)
    makers[np.arange(0, n, 3), np.arange(0, n, 3) % 10] = 1
    pictures = np.eye(4, dtype=np.float32)[np.arange(n) % 4]
    pictures[::2] = 0
    views = {
        "relations": SparseView(tuple(f"maker{place}" for place in range(10)), csr_array(makers)),
        "image": DenseView(pictures, "test"),
    }
    return replace(dataset, views=views)


RECIPES = {
    "no separate words": Recipe(0.3, 0.75, 1.0, None, {}),
    "separate words": Recipe(0.3, 0.75, 1.0, None, {}, words_weight=1.0),
    "first light": Recipe(None, None, 1.0, None, {}, first_light=FIRST_LIGHT),
}


@pytest.fixture(scope="module", params=RECIPES)
def head(request, viewed, fusion_params):
    recipe = replace(RECIPES[request.param], view_weights={"relations": 2.0, "image": 0.5})
    return learn_head(viewed, recipe, fusion_params)


def shares_of(head, viewed):
    profiles = head.profiles(viewed.texts, viewed.vectors_ID, viewed.views)
    return view_shares(head, viewed.texts, viewed.vectors_ID, viewed.views, profiles)


def test_shares_sum_to_one_and_a_view_that_an_item_lacks_has_none(head, viewed):
    shares_NP = shares_of(head, viewed)
    assert parts_of(head.views) == ("words", "text", "image", "relations")
    np.testing.assert_allclose(shares_NP.sum(axis=1), 1, atol=1e-5)
    has_image, has_maker = viewed.views["image"].has_N, viewed.views["relations"].has_N
    assert (shares_NP[~has_image, 2] == 0).all() and (shares_NP[has_image, 2] != 0).all()
    assert (shares_NP[~has_maker, 3] == 0).all() and (shares_NP[has_maker, 3] > 0).all()


def test_a_share_is_the_inner_product_of_what_the_part_adds_with_the_whole(head, viewed):
    """Counted from the definition, with heads that have one part of the kernel each."""
    share, rows = head.kernel.lexical_share, np.arange(0, 30)
    some = [viewed.texts[row] for row in rows], viewed.vectors_ID[rows]
    exact = head.projection_MD.astype(np.float64)
    words_NM = (head.kernel.lexical.encode(some[0]) @ head.words_MV.T).toarray()
    text_NM = np.exp(
        head.kernel.gamma * (some[1].astype(np.float64) @ head.vectors_ML.T.astype(np.float64) - 1)
    )
    if head.mean_D is not None:
        landmarks = head.vectors_ML.astype(np.float64)
        text_NM -= np.exp(head.kernel.gamma * (landmarks @ landmarks.T - 1)).mean(axis=0)
        words_NM -= (head.words_MV @ head.words_MV.T).toarray().mean(axis=0)
    added = {"words": share * words_NM, "text": (1 - share) * text_NM}
    for name, kernel in head.views.items():
        view = take(viewed.views, rows)[name]
        added[name] = kernel.weight * kernel.compare(kernel.rows_of(view))
    parts = {name: kernel_NM @ exact for name, kernel_NM in added.items()}
    whole = sum(parts.values())
    apart = head.words.share if head.words else 0.0
    expected = {
        name: (1 - apart) * (part * whole).sum(axis=1) / (whole * whole).sum(axis=1)
        for name, part in parts.items()
    }
    expected["words"] += apart
    found = shares_of(head, viewed)[rows]
    for place, name in enumerate(parts_of(head.views)):
        np.testing.assert_allclose(found[:, place], expected[name], atol=1e-4, err_msg=name)


def test_shares_depend_on_the_item_alone(head, viewed):
    whole = shares_of(head, viewed)
    rows = np.array([7, 90, 3])
    texts, vectors, views = (
        [viewed.texts[row] for row in rows],
        viewed.vectors_ID[rows],
        take(viewed.views, rows),
    )
    alone = view_shares(head, texts, vectors, views, head.profiles(texts, vectors, views))
    np.testing.assert_allclose(alone, whole[rows], atol=1e-5)
