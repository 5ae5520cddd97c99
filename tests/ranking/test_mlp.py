"""The file of ranker `mlp` may come from a stranger; features by hand."""

import numpy as np
import pytest

from recsys.dataset.trait_names import TraitNames
from recsys.errors import EncoderError
from recsys.ranking.dot import Dot
from recsys.ranking.mlp import FILE, Mlp
from recsys.ranking.shortlist import FEATURES, Shortlist, popularity_of
from tests.ranking.heads import heads_of


def shortlist(**changed) -> Shortlist:
    """Two candidates of a user with two items."""
    parts = {
        "user_D": np.array([0.0, 3, 4], np.float32),
        "items_CD": np.array([[0, 1, 0], [1, 0, 0]], np.float32),
        "history_HD": np.array([[0, 1, 0], [0, 0, 1]], np.float32),
        "profile_C": np.array([3.0, 0], np.float32),
        "score_C": np.array([3.5, 0], np.float32),
        "popularity_C": np.array([0.7, 0], np.float32),
        "popularity_H": np.array([0.5, 0.1], np.float32),
        "is_new_C": np.array([False, True]),
        "lexical_width": 2,
    }
    return Shortlist(**(parts | changed))


def test_features_by_hand():
    found = shortlist().features()
    by_name = {name: found[:, place].tolist() for place, name in enumerate(FEATURES)}
    expected = {
        "score": [3.5, 0],
        "score_by_length": [0.7, 0],
        "profile": [3, 0],
        "profile_by_length": [0.6, 0],
        "correction": [0.5, 0],
        "words": [3, 0],  # the second dimension alone: the first only completes unit length
        "nearest": [1, 0],
        "nearest_3": [0.5, 0],
        "nearness": [0.5, 0],
        "popularity": [0.7, 0],
        "is_new": [0, 1],
        "history": [np.log(3)] * 2,
        "popularity_of_history": [0.3, 0.3],
        "popularity_gap": [0.4, 0.3],
    }
    assert by_name.keys() == expected.keys()
    for name, values in expected.items():
        assert by_name[name] == pytest.approx(values, abs=1e-6), name


def test_of_a_new_item_only_its_scores_are_read():
    known, new = (shortlist(is_new_C=np.array([one, True])).features() for one in (False, True))
    changed = {name for place, name in enumerate(FEATURES) if known[0, place] != new[0, place]}
    assert changed == {"words", "nearest", "nearest_3", "nearness", "is_new"}
    assert not new[0, [FEATURES.index(name) for name in changed - {"is_new"}]].any()


def test_a_user_without_history_has_finite_features_and_no_taste():
    nothing = shortlist(
        user_D=np.zeros(3, np.float32),
        history_HD=np.zeros((0, 3), np.float32),
        popularity_H=np.zeros(0, np.float32),
    )
    assert np.isfinite(nothing.features()).all() and not nothing.taste_D.any()


def test_popularity_has_no_scale():
    few, many = np.array([0, 1, 3]), np.array([0, 100, 300])
    np.testing.assert_allclose(popularity_of(few), popularity_of(many))
    assert popularity_of(few)[0] == 0 and not popularity_of(np.zeros(3, int)).any()


def test_purchases_count_in_lists_as_far_as_their_weight():
    heads = heads_of(dim=3)
    predicted = heads.predict(shortlist())
    for weight in (0.0, 0.3, 1.0):
        found = Mlp(Dot(), heads, 100, weight).scores(shortlist())
        expected = predicted.click_C * (1 - weight + weight * predicted.purchase_C)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def saved_with(tmp_path, **changed):
    """A saved ranker with some arrays replaced; None leaves one out."""
    Mlp(Dot(), heads_of(dim=3), 100, 0.0).save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        arrays = {name: file[name] for name in file.files} | changed
    np.savez(tmp_path / FILE, **{name: one for name, one in arrays.items() if one is not None})
    return [tmp_path / FILE]


@pytest.mark.parametrize(
    "changed",
    [
        {"scale_F": np.zeros(len(FEATURES), np.float32)},
        {"heads_E": np.full(3, np.nan, np.float32)},
        {"first_H": np.zeros(9, np.float32)},
        {"calibration_E2": np.array([[-1.0, 0], [1, 0], [1, 0]])},
        {"is_learned_E": np.array([False, True, True])},
        {"depth": np.array(0)},
        {"purchase_weight": np.array(1.5)},
        {"wide_FE": None},
        {"first_digests": np.array([b"x"])},
        {"trait_sets": np.array([b"tags"])},
        {"trait_numbers": np.array([1.0])},
        {"trait_more": np.array([b"tags"])},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_file_that_does_not_fit_together_is_refused_by_name(tmp_path, changed):
    with pytest.raises(EncoderError, match=r"mlp\.npz holds no readable ranker"):
        Mlp.load(saved_with(tmp_path, **changed))


def test_a_file_of_a_newer_version_asks_for_an_update(tmp_path):
    with pytest.raises(EncoderError, match="newest known is 3") as error:
        Mlp.load(saved_with(tmp_path, mlp_version=np.array(4)))
    assert "update Firstlight" in str(error.value)


def test_profiles_of_another_width_are_refused_where_the_heads_read_them(tmp_path):
    Mlp(Dot(), heads_of(dim=7), 100, 0.0).scores(shortlist())
    with pytest.raises(EncoderError, match="profiles of 7 dimensions, these have 3"):
        Mlp(Dot(), heads_of(dim=7, width=2), 100, 0.0).scores(shortlist())


def test_traits_are_kept_with_the_ranker_and_without_any_the_file_is_as_before(tmp_path):
    names = TraitNames(("tags", "marque"), ("price",))
    ranker = Mlp(Dot(), heads_of(dim=3, n_traits=3), 100, 0.0, names)
    again = Mlp.load(ranker.save(tmp_path))
    assert again.traits == names
    numbers = np.array([[0.5, 0.1, 0, 0.2, 0.7, 0.3], [0, 0, 0, 0, 0, 0]], np.float32)
    told = shortlist(traits_CF=numbers)
    assert told.features().shape == (2, len(FEATURES) + 6)
    np.testing.assert_array_equal(told.features()[:, len(FEATURES) :], numbers)
    np.testing.assert_array_equal(again.scores(told), ranker.scores(told))
    Mlp(Dot(), heads_of(dim=3), 100, 0.0).save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        assert int(file["mlp_version"]) == 1 and not [name for name in file.files if "trait" in name]
    only = Mlp(Dot(), heads_of(dim=3, n_traits=1), 100, 0.0, TraitNames((), ("age",)))
    assert Mlp.load(only.save(tmp_path)).traits == only.traits


@pytest.mark.parametrize(("sets", "version"), [((), 1), (("tags",), 2), (("tags", "relations"), 3)])
def test_each_ranker_is_written_in_the_lowest_version_that_fits(tmp_path, sets, version):
    """Version 2 would read an attribute of the name `relations`, and not what has landed."""
    heads = heads_of(dim=3, n_traits=len(sets))
    (path,) = Mlp(Dot(), heads, 100, 0.0, TraitNames(sets)).save(tmp_path)
    with np.load(path) as file:
        assert int(file["mlp_version"]) == version


def test_a_ranker_that_learned_from_an_attribute_called_relations_is_refused(tmp_path):
    (path,) = Mlp(Dot(), heads_of(dim=3, n_traits=1), 100, 0.0, TraitNames(("relations",))).save(tmp_path)
    with np.load(path) as file:
        before = {**file, "mlp_version": np.array(2)}
    np.savez(path, **before)
    with pytest.raises(EncoderError, match="an attribute 'relations'"):
        Mlp.load((path,))
