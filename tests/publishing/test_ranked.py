"""Releases whose encoder brings item weights: lists are those that scoring every item would give."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys import Release
from recsys.encoders.reference import HEAD, TERMS
from recsys.errors import ReleaseError
from recsys.models.legacy import parts_of_legacy
from recsys.models.packed import pack_ranker
from recsys.models.reference import ModelReference
from recsys.profiles.ridge import Ridge
from recsys.publishing import ranked
from recsys.publishing.release import Manifest
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.retrieval.segments import Found, SegmentSearcher
from recsys.serving.answers import ListRequest, Taste
from recsys.storage.folder import FolderStorage
from recsys.storage.packed import PackedFile
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, UP, FilmWorkspace, tiny_encoder

NEW = ("up", "rocky")
N_ITEMS = 3
"""Rows of the Gram matrix when the weights were learned; ann, bob and cy met five."""


def bring_weights(
    film_workspace: FilmWorkspace, ridge_lambda: float = 3.0, n_items: int = N_ITEMS, as_legacy: bool = False
) -> ItemWeights:
    """A model with weights between some films; two films are new to it, `heat` is known and has no weight."""
    known = np.sort(digests([item for item in FILMS if item not in NEW]))
    rng = np.random.default_rng(5)
    dense = (
        np.where(rng.random((len(known), len(known))) < 0.5, rng.normal(size=(len(known), len(known))), 0)
        * 0.2
    )
    np.fill_diagonal(dense, 0)
    dense[:, np.searchsorted(known, digests(["heat"])[0])] = 0
    factor = rng.uniform(0.4, 0.8, len(known)).astype(np.float32)
    weights = ItemWeights(known, csr_array(dense.astype(np.float32)), factor, n_items)
    encoder = tiny_encoder(film_workspace.at.encoders, "with weights")
    if as_legacy:
        packed = film_workspace.at.encoders / encoder.hash
        for name in (HEAD, TERMS):
            (packed / name).write_text(f"tiny {name}")
        written = (packed / HEAD, packed / TERMS, *weights.save(packed))
        files = (*encoder.files, *map(PackedFile.of, written))
        legacy = encoder.model_copy(update={"files": files}).model_dump(mode="json")
        film_workspace.set_model(
            ModelReference.model_validate(parts_of_legacy(legacy | {"ridge_lambda": ridge_lambda}))
        )
    else:
        ranker = pack_ranker("item_weights", weights, film_workspace.at.cache / "rankers")
        film_workspace.set_model(ModelReference.of(encoder, None, ridge_lambda, ranker))
    return weights


def by_hand(release: Release, weights: ItemWeights, history: list[str]) -> dict[str, float]:
    """Every item's score for that history."""
    profiles = {item: release.profile(item).astype(np.float64) for item in release.items}
    growth = release.manifest.users.n_items / N_ITEMS
    b = np.sum([profiles[item] for item in history], axis=0)
    user = growth * Ridge(release._profiles.gram(), 3.0 * growth).weights(b[None])[0]
    place = dict(zip(release.items, weights.over(release.items).place_I, strict=True))
    dense = weights.weights_TT.toarray()
    scores = {}
    for item, profile in profiles.items():
        scores[item] = float(profile @ user)
        if place[item] >= 0:
            added = sum(dense[place[one], place[item]] for one in set(history) if place[one] >= 0)
            scores[item] = scores[item] * float(weights.factor_T[place[item]]) + added
    return scores


@pytest.mark.parametrize("gathered", [ranked.GATHERED, 0])
@pytest.mark.parametrize("exact_below", [50_000, 1])
def test_a_list_is_what_scoring_every_item_gives(
    film_workspace: FilmWorkspace,
    folder: Storage,
    exact_below: int,
    gathered: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        ranked, "GATHERED", gathered
    )  # small groups are compared whole, or found by the index
    index = film_workspace.settings.index.model_copy(update={"exact_below": exact_below})
    film_workspace.settings = film_workspace.settings.model_copy(update={"index": index})
    film_workspace.items(UP, day=1)
    film_workspace.items({"dumbo": None, "fargo": "A typo is mended in a warm item"}, day=2)
    weights = bring_weights(film_workspace)
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    assert release.manifest.users.n_items == 4  # five were met, one is deleted
    for history in (["alien", "jaws"], ["jaws"], ["up"], ["up", "heat", "alien"]):
        scores = by_hand(release, weights, history)
        expected = sorted(((-score, item) for item, score in scores.items() if item not in history))
        found = release.recommend(history=history, k=50)
        assert [one.item_id for one in found] == [item for _, item in expected]
        assert [one.score for one in found] == pytest.approx([-score for score, _ in expected], abs=1e-5)
        assert release.recommend(history=history, k=3) == found[:3]
        listed = release.recommend(history=history, k=50, exclude_seen=False)
        assert [one.item_id for one in listed] == sorted(scores, key=lambda item: (-scores[item], item))
    assert {one.item_id for one in release.recommend(pseudonym="ann", k=50)} == set(release.items) - {
        "alien",
        "jaws",
    }
    assert release.recommend(history=["dumbo", "jaws"], k=50) == release.recommend(history=["jaws"], k=50)


def test_lists_that_leave_out_few_items_are_not_searched_as_filtered(
    film_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranked, "GATHERED", 0)
    monkeypatch.setattr(ranked, "FEW_LEFT_OUT", 6)
    bring_weights(film_workspace)
    film_workspace.build().publish(folder)
    release, told, search = Release.open(folder.url), list[bool](), SegmentSearcher.search

    def spied(searcher: SegmentSearcher, *args: Any, is_filtered: bool) -> Found:
        told.append(is_filtered)
        return search(searcher, *args, is_filtered=is_filtered)

    monkeypatch.setattr(SegmentSearcher, "search", spied)
    n = len(release.items)
    for n_left, is_filtered in ((n, False), (n - 6, False), (n - 7, True)):
        wanted = ListRequest(k=3, candidates=release.items[:n_left])
        release._recommender.recommend(Taste(likes=("alien",)), wanted)
        assert set(told) == {is_filtered}
        told.clear()


def test_among_new_items_the_order_is_that_of_their_profiles(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.items(UP, day=1)
    film_workspace.build().publish(folder)
    plain = {one.item_id: one for one in Release.open(folder.url).recommend(history=["alien"], k=50)}
    bring_weights(film_workspace, film_workspace.settings.users.ridge_lambda, n_items=5)
    film_workspace.build().publish(folder, new_model=True)
    weighted = {one.item_id: one for one in Release.open(folder.url).recommend(history=["alien"], k=50)}
    assert {item: weighted[item].score for item in NEW} == {item: plain[item].score for item in NEW}
    assert any(weighted[item].score != plain[item].score for item in plain)


def test_a_catalogue_of_new_items_alone_is_listed_by_profiles(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.items(dict.fromkeys(FILMS) | UP | {"ran": "An old warlord divides his kingdom"}, day=1)
    bring_weights(film_workspace)
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    assert set(release.items) == {"up", "ran"} and release.manifest.users.n_items == 0
    assert [one.item_id for one in release.recommend(history=["up"], k=5)] == ["ran"]


def test_the_release_names_its_ranker(film_workspace: FilmWorkspace, folder: Storage) -> None:
    assert film_workspace.publish(folder).manifest.model.ranker.name == "dot"
    bring_weights(film_workspace)
    manifest = film_workspace.build().publish(folder, new_model=True).manifest
    assert manifest.model.ranker.name == "item_weights"
    assert Manifest.from_bytes(manifest.to_bytes(), manifest.id) == manifest


def test_a_model_from_before_there_were_parts_gives_the_same_lists(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    bring_weights(film_workspace, as_legacy=True)
    manifest = film_workspace.build().publish(folder).manifest
    assert manifest.model.has_one_hash and manifest.model.ranker.name == "item_weights"
    assert manifest.model.users.ridge_lambda == 3.0 and len(manifest.model.encoder.files) == 6
    assert Manifest.from_bytes(manifest.to_bytes(), manifest.id) == manifest
    before = Release.open(folder.url).recommend(pseudonym="ann", k=50)
    bring_weights(film_workspace)
    film_workspace.build().publish(folder, new_model=True)
    assert Release.open(folder.url).recommend(pseudonym="ann", k=50) == before


@pytest.mark.parametrize("ranker", [{"name": "item_weights"}, {"name": "tarot"}])
def test_a_ranker_that_the_release_does_not_hold_is_refused(
    film_workspace: FilmWorkspace, folder: FolderStorage, ranker: dict[str, str]
) -> None:
    manifest = film_workspace.publish(folder).manifest
    content = json.loads(manifest.to_bytes())
    content["model"]["ranker"] |= ranker
    other = Manifest.model_validate(content)
    folder.write(f"releases/{other.id}/manifest.json", other.to_bytes())
    with pytest.raises(ReleaseError, match="which it does not hold"):
        Release.open(folder.url, release=other.id).recommend(pseudonym="ann")


def test_damaged_weights_are_refused_and_similar_needs_none(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    bring_weights(film_workspace)
    manifest = film_workspace.build().publish(folder).manifest
    (packed,) = manifest.model.ranker.files
    folder.write(f"objects/{packed.sha256}", b"gone")
    release = Release.open(folder.url)
    assert len(release.similar("alien", 3)) == 3
    with pytest.raises(ReleaseError, match=r"item_weights.npz.* is corrupt"):
        release.recommend(pseudonym="ann")
