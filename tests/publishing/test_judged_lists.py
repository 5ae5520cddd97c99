"""A release recommends what was judged: the same lists, item by item, for every ranker."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys import Release
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.dataset.trait_names import TraitNames
from recsys.dataset.traits import Traits, traits_at
from recsys.features.evidence import gather_evidence
from recsys.models.packed import pack_ranker
from recsys.models.reference import ModelReference
from recsys.profiles.sites import sharing_of
from recsys.profiles.users_summary import UsersSummary, prior_name
from recsys.publishing.publish import Published
from recsys.ranking.dot import Dot, ridge_of
from recsys.ranking.mlp import Mlp
from recsys.ranking.rankers import RANKERS
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import rank
from recsys.storage.protocol import Storage
from recsys.validation.folds import times_of
from tests.publishing.film_workspace import DIM, FILMS, FilmWorkspace, tiny_encoder
from tests.publishing.test_publish import two_workspaces_on_one_release
from tests.publishing.test_ranked import bring_weights
from tests.publishing.test_views import relate
from tests.ranking.heads import heads_of

MORE = {f"film{n:02d}": f"Story number {n} of somebody who leaves home" for n in range(40)}


@pytest.mark.parametrize(
    ("exact_below", "prior_weight"), [(50_000, None), (1, 2.0)], ids=["exact", "index, prior"]
)
@pytest.mark.parametrize("name", list(RANKERS))
def test_recommended_lists_are_the_judged_lists(
    film_workspace: FilmWorkspace,
    folder: Storage,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    exact_below: int,
    prior_weight: float | None,
) -> None:
    monkeypatch.setattr("recsys.profiles.prior.MIN_USERS", 5)
    rng = np.random.default_rng(1)
    film_workspace.settings = film_workspace.settings.model_copy(
        update={"index": film_workspace.settings.index.model_copy(update={"exact_below": exact_below})}
    )
    film_workspace.items(MORE, day=1)
    popular = [*FILMS, *list(MORE)[:25]]  # the other films are cold
    pairs = [(f"user{n}", film) for n in range(12) for film in rng.choice(popular, 6, replace=False)]
    film_workspace.ratings(pairs, day=1)
    ranker = {
        "item_weights": lambda: bring_weights(film_workspace),
        "dot": Dot,
        "mlp": lambda: bring_mlp(film_workspace),
    }[name]()
    model = film_workspace.model
    film_workspace.set_model(
        ModelReference.of(model.encoder, None, 3.0, model.ranker, prior_weight=prior_weight)
    )
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    dataset = replace(judged_dataset(release), prior_weight=prior_weight or 0.0)
    assert (release.manifest.users.prior is None) == (prior_weight is None)
    assert release.manifest.format == 15 if prior_weight else release.manifest.format < 15
    judged, users, item_ids = learn_recommender(dataset, ranker), release.users, dataset.item_ids
    assert len(users) == 15 and len(item_ids) == 50
    for row, user in enumerate(users):
        known = dataset.interactions.matrix_UI[[row]].indices
        found = rank(judged, np.array([row]), np.arange(50), 50, known[None].astype(np.int64))
        listed = [item_ids[item] for item in found.rows_UK[0] if item >= 0]
        recommended = release.recommend(pseudonym=user, k=50)
        assert [one.item_id for one in recommended] == listed and len(listed) == 50 - len(known)
        assert [one.score for one in recommended] == pytest.approx(
            found.scores_UK[0][: len(listed)].tolist(), abs=1e-5
        )


def test_a_rebased_release_has_the_prior_of_the_users_of_both_sides(
    make_workspace: Callable[[str], FilmWorkspace], folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.profiles.prior.MIN_USERS", 2)
    sides = two_workspaces_on_one_release(make_workspace, folder)
    for number, side in enumerate(sides):
        users, liked = [f"{number} {one}" for one in range(5)], list(FILMS)[number : number + 3]
        side.ratings([(user, film) for user in users for film in liked], day=3 + number)
        side.build()

    def publish(side: FilmWorkspace) -> Published:
        sharing = sharing_of(side.at, side.settings.users, side.settings.privacy)
        return side.publish(folder, sharing=sharing)

    first, later = sides
    assert not publish(first).rebased
    summary = UsersSummary.load(first.at.users / "users.json")
    assert summary.prior is not None
    path = first.at.users / prior_name(summary.prior.made_of)
    np.save(path, np.load(path) * np.float32(1.000001))  # as another processor has it
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest != summary.prior.sha256
    prior = summary.prior.model_copy(update={"sha256": digest})
    replace(summary, prior=prior).save(first.at.users / "users.json")
    assert publish(first).outcome == "unchanged"
    done = publish(later)
    assert done.rebased and done.manifest.format == 15
    with monkeypatch.context() as patched:
        patched.setattr("recsys.publishing.rebase.prior_of", None)
        assert publish(later).outcome == "unchanged"
    release = Release.open(folder.url)
    weight = first.settings.users.prior_weight
    judged = ridge_of(replace(judged_dataset(release), prior_weight=weight)).prior_RD
    found = release._profiles.prior()
    assert judged is not None and found is not None and len(release.users) == 13
    np.testing.assert_allclose(found.T @ found, judged.T @ judged, atol=1e-4)


NAMES = TraitNames(("tags", "brand", "relations"), ("price", "age"))


def test_traits_of_a_release_are_those_of_judging(film_workspace: FilmWorkspace, folder: Storage) -> None:
    rng = np.random.default_rng(2)
    brands, prices = ["Acme", "Umbrella", 7], [9.5, "20", "on request", None]
    further = {
        film: json.dumps({"brand": brands[n % 3], "price": prices[n % 4], "color": "red"})
        for n, film in enumerate(MORE)
    }
    film_workspace.items(MORE, day=1, attributes=further)
    pairs = [
        (f"user{n}", film)
        for n in range(12)
        for film in rng.choice([*FILMS, *list(MORE)[:25]], 6, replace=False)
    ]
    film_workspace.ratings(pairs, day=1)
    film_workspace.items({"film30": None, "film07": "Another story"}, day=3, attributes=further)
    film_workspace.settings = film_workspace.settings.model_copy(
        update={
            "relations": film_workspace.settings.relations.model_copy(update={"max_degree": 5, "decay": 0.5})
        }
    )
    links = [  # actors are hubs
        (film, relation, f"{relation} {n % few}")
        for n, film in enumerate(MORE)
        for relation, few in (("actor", 5), ("writer", 12))
    ]
    relate(film_workspace, [*links, ("film03", "follows", "film02"), ("heat", "remake_of", "film39")], 2)
    weights = bring_weights(film_workspace)
    mlp = Mlp(weights, heads_of(dim=DIM, width=2, n_traits=5), 30, 0.0, NAMES)
    bring(film_workspace, mlp)
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    parts = list_parts(film_workspace.at.data, CATALOGUE)
    rows = pa.concat_tables([part.rows(["item_id", "part", "line"]) for part in parts])
    dataset = judged_dataset(release)
    places = rows.take(pc.index_in(pa.array(dataset.item_ids), value_set=rows["item_id"].combine_chunks()))
    graph = gather_evidence(film_workspace.at.data, film_workspace.settings.relations)
    views = graph.views_of(pa.array(dataset.item_ids))
    traits = traits_at(film_workspace.at.data, places, views, NAMES)
    assert (
        set(traits.sets) == {"tags", "brand", "relations"}
        and np.isfinite(traits.numbers["price"]).sum() == 20
    )
    assert traits.sets["relations"].sum(axis=1).max() == 3  # a writer, a film, and itself
    pairs_of = release._profiles.histories.pairs
    times = times_of(pairs_of["timestamp"])
    timed = make_interactions(pairs_of["user"], pairs_of["item_id"], release.users, dataset.item_ids, times)
    dataset = replace(dataset, traits=traits, interactions=timed)
    judged, plain = learn_recommender(dataset, mlp), learn_recommender(dataset, weights)
    assert judged.traits is not None and plain.traits is None
    differs, n = False, len(dataset.item_ids)
    assert n == 49
    for row, user in enumerate(release.users):
        known = dataset.interactions.matrix_UI[[row]].indices
        found = rank(judged, np.array([row]), np.arange(n), n, known[None].astype(np.int64))
        listed = [dataset.item_ids[item] for item in found.rows_UK[0] if item >= 0]
        recommended = release.recommend(pseudonym=user, k=50)
        assert [one.item_id for one in recommended] == listed
        assert [one.score for one in recommended] == pytest.approx(
            found.scores_UK[0][: len(listed)].tolist(), abs=1e-5
        )
        before = learn_recommender(replace(dataset, traits=Traits()), mlp)
        again = rank(before, np.array([row]), np.arange(n), n, known[None].astype(np.int64))
        differs |= found.rows_UK.tolist() != again.rows_UK.tolist()
    assert differs


def bring_mlp(film_workspace: FilmWorkspace) -> Mlp:
    """A model whose lists event heads rank again: 30 of 50 films."""
    return bring(
        film_workspace,
        Mlp(bring_weights(film_workspace), heads_of(dim=DIM, width=2), depth=30, purchase_weight=0.5),
    )


def bring(film_workspace: FilmWorkspace, mlp: Mlp) -> Mlp:
    ranker = pack_ranker("mlp", mlp, film_workspace.at.cache / "rankers")
    encoder = tiny_encoder(film_workspace.at.encoders, "with weights")
    film_workspace.set_model(ModelReference.of(encoder, None, 3.0, ranker))
    return mlp


def judged_dataset(release: Release) -> Dataset:
    """What stage `evaluate` would judge: the release's profiles and histories; items by id, for ties go by id there."""
    ids = tuple(sorted(release.items))
    pairs, users = release._profiles.histories.pairs, release.manifest.users
    return Dataset(
        make_interactions(pairs["user"], pairs["item_id"], release.users, ids),
        ids,
        np.stack([release.profile(item) for item in ids]),
        users.ridge_lambda,
        seed=0,
    )
