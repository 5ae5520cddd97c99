"""Relations that land later change the profiles of their items, and no others, on the whole way into a release."""

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import Release
from recsys.catalogue.kinds import RELATIONS
from recsys.catalogue.schemas import RELATIONS_SCHEMA
from recsys.catalogue.tracking import is_published
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.errors import ReleaseError
from recsys.features.evidence import gather_evidence
from recsys.features.text import feature_files
from recsys.features.views import NO_VIEWS
from recsys.heads.learning import learn_head
from recsys.heads.packing import pack_head
from recsys.heads.recipe import Recipe
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments, load_profiles
from recsys.publishing.formats import DETAILED, RELATED
from recsys.serving.answers import Taste
from recsys.stages import stage
from tests.publishing.film_workspace import FILMS, NOON, RAN, UP, vector_of

GRAPH = [
    ("alien", "director", "Scott"),
    ("gravity", "director", "Cuaron"),
    ("heat", "director", "Mann"),
    ("fargo", "director", "Coen"),
    ("heat", "genre", "crime"),
    ("fargo", "genre", "crime"),
    ("jaws", "director", "Spielberg"),
    ("babe", "genre", "family"),
    ("dumbo", "genre", "family"),
]
LATER = [("ran", "directed_by", "Mann")]


def relate(house, triples, day):
    rows = [(*one, NOON + timedelta(days=day), False, line) for line, one in enumerate(triples, 1)]
    return house._accept(RELATIONS, RELATIONS_SCHEMA, f"graph-{day}.csv", rows, repr((day, triples)))


def with_head(house, *, with_views):
    """Learn a head of the films that are accepted, and make it the champion."""
    stage("features")(house.settings, house.at)
    rows = pa.concat_tables([pq.read_table(file.path) for file in feature_files(house.at.features)])
    ids, texts = rows["item_id"].to_pylist(), rows["text"].to_pylist()
    vectors_ID = np.stack([vector_of(one) for one in rows["text_hash"].to_pylist()])
    pairs = [(f"u{n}", ids[(n + step) % len(ids)]) for n in range(20) for step in (0, 3, 7)]
    users = tuple(sorted({user for user, _ in pairs}))
    interactions = make_interactions([u for u, _ in pairs], [i for _, i in pairs], users, tuple(ids))
    views = gather_evidence(house.at.data, house.settings.relations).views_of(pa.array(ids))
    dataset = Dataset(interactions, tuple(texts), vectors_ID, 1.0, 7, views=views if with_views else NO_VIEWS)
    weights = {"relations": 2.0} if with_views else {}
    head = learn_head(dataset, Recipe(0.3, 0.5, 1.0, None, {}, view_weights=weights), house.settings.fusion)
    assert bool(head.views) == with_views
    house.set_model(
        ModelReference.of(house.model.encoder, pack_head(house.model.encoder, head, house.at.cache / "heads"))
    )
    return house


@pytest.fixture
def related(make_workspace):
    """Ten films with relations, and a champion whose head joins them; one cold film without relations."""
    house = make_workspace("related")
    house.items(FILMS)
    relate(house, GRAPH, 1)
    house.ratings([("ann", "heat"), ("ann", "jaws"), ("bob", "babe"), ("bob", "dumbo")])
    with_head(house, with_views=True)
    house.items(RAN, day=1)
    return build(house)


def build(house):
    """As `FilmWorkspace.build`, whatever the width of its profiles."""
    stage("features")(house.settings, house.at)
    house._fill_cache()
    for name in ("profiles@champion", "users", "index"):
        stage(name)(house.settings, house.at)
    return house


def published(house, storage):
    params = house.settings.publish.model_copy(update={"smoke_queries": 0})
    return house.publish(storage, params=params)


def profiles_of(house):
    found = load_profiles(list_segments(house.at.profiles("champion")))
    return dict(zip(found.ids, found.vectors, strict=True))


def last_run(house):
    return json.loads((house.at.var / "last_encode.json").read_text())


def test_relations_of_a_cold_film_change_its_neighbours_and_encode_nothing(related, storage):
    before = profiles_of(related)
    first = published(related, storage)
    relate(related, LATER, 2)
    build(related)
    after = profiles_of(related)
    assert (last_run(related)["encoded"], last_run(related)["projected"]) == (0, 1)
    assert last_run(related)["segments_made"] == 1
    assert [item for item in before if before[item].tobytes() != after[item].tobytes()] == ["ran"]
    assert after["ran"] @ after["heat"] > before["ran"] @ before["heat"] + 0.1
    second = published(related, storage)
    assert second.outcome == "published" and second.release != first.release
    old, new = Release.open(storage.url, release=first.release), Release.open(storage.url)
    assert new.similar("ran", k=3)[0].item_id == "heat" != old.similar("ran", k=3)[0].item_id


def test_an_explanation_names_what_two_films_share(related, storage):
    relate(related, [*LATER, ("ran", "remade_as", "jaws")], 2)
    published(build(related), storage)
    release = Release.open(storage.url)
    found = release.explain("ran", history=["heat", "jaws", "babe"])
    shared = {
        one.item_id: [(f.relation, f.thing, f.other_relation) for f in one.shared]
        for one in found.contributions
    }
    assert shared == {
        "heat": [("directed_by", "Mann", "director")],
        "jaws": [("remade_as", "jaws", "remade_as")],
        "babe": [],
    }


def test_an_explanation_tells_how_much_words_text_and_relations_count_in_the_profile(related, storage):
    first = published(related, storage)
    relate(related, LATER, 2)
    second = published(build(related), storage)
    before, after = (
        Release.open(storage.url, release=one.release).explain("ran", history=["heat"]).view_shares
        for one in (first, second)
    )
    assert before.keys() == after.keys() == {"words", "text", "relations"}
    assert before["relations"] == 0 < 0.2 < after["relations"]
    assert sum(before.values()) == pytest.approx(1, abs=1e-5) == pytest.approx(sum(after.values()), abs=1e-5)
    other = Release.open(storage.url, release=second.release).explain("heat", history=["ran"]).view_shares
    again = Release.open(storage.url, release=first.release).explain("heat", history=["ran"]).view_shares
    assert other == again  # copied from the earlier segment, as its profile is


def test_an_explanation_says_that_an_item_has_no_text(related, storage):
    related.items({"silent": ""}, day=2)
    relate(related, [("silent", "director", "Mann")], 2)
    published(build(related), storage)
    found = Release.open(storage.url)._recommender.explain("silent", Taste(likes=("heat",)), with_words=True)
    assert found.score > 0 and found.has_text is False and found.words == ()


def test_a_head_of_texts_alone_tells_of_no_parts(make_workspace, storage):
    house = make_workspace("texts")
    house.items(FILMS)
    house.ratings([("ann", "heat"), ("ann", "jaws")])
    published(build(with_head(house, with_views=False)), storage)
    assert Release.open(storage.url).explain("jaws", history=["heat"]).view_shares == {}


def test_a_release_names_the_parts_its_views_are_made_of_and_what_landed_counts_as_published(
    related, storage
):
    done = published(related, storage)
    assert done.manifest.format == RELATED
    (part,) = done.manifest.view_parts
    assert part in {record.part for record in done.manifest.provenance.arrivals}
    assert is_published(related.at)
    relate(related, LATER, 2)
    assert not is_published(related.at)
    published(build(related), storage)
    assert is_published(related.at)


def test_a_head_of_texts_alone_keeps_its_segments_when_relations_land(make_workspace, storage):
    house = make_workspace("texts")
    house.items(FILMS)
    house.ratings([("ann", "heat"), ("ann", "jaws")])
    build(with_head(house, with_views=False))
    assert published(house, storage).manifest.format == DETAILED
    before = {path.name: path.read_bytes() for path in house.at.profiles("champion").iterdir()}
    relate(house, GRAPH, 1)
    build(house)
    assert {path.name: path.read_bytes() for path in house.at.profiles("champion").iterdir()} == before
    done = published(house, storage)
    assert done.manifest.format == RELATED  # for the facts that explanations name
    assert is_published(house.at)


def test_a_relation_that_is_taken_back_gives_back_the_old_profile(related):
    before = profiles_of(related)
    relate(related, LATER, 2)
    build(related)
    rows = [(*LATER[0], NOON + timedelta(days=3), True, 1)]
    related._accept(RELATIONS, RELATIONS_SCHEMA, "gone.csv", rows, "gone")
    build(related)
    assert {item: vector.tobytes() for item, vector in profiles_of(related).items()} == {
        item: vector.tobytes() for item, vector in before.items()
    }


def test_a_rebase_keeps_the_views_of_the_side_that_has_more(related, make_workspace, storage, cache):
    published(related, storage)
    other = make_workspace("other")
    other.set_model(related.model)
    other.items(FILMS)
    relate(other, GRAPH, 1)
    other.ratings([("ann", "heat"), ("ann", "jaws"), ("bob", "babe"), ("bob", "dumbo")])
    other.items(RAN, day=1)
    published(build(other), storage)
    relate(related, LATER, 2)
    winner = published(build(related), storage)
    other.items(UP, day=2)
    done = published(build(other), storage)
    assert done.rebased and done.manifest.view_parts == winner.manifest.view_parts
    release = Release.open(storage.url)
    assert "up" in release.items and release.similar("ran", k=1)[0].item_id == "heat"
    relate(related, [("her", "director", "Jonze")], 3)
    relate(other, [("up", "director", "Docter")], 4)
    published(build(related), storage)
    with pytest.raises(ReleaseError, match="relations or vectors that this workspace lacks"):
        published(build(other), storage)


POSTER = {"poster": ""}


def test_an_item_without_text_waits_and_gets_its_profile_when_a_view_says_something_of_it(related, storage):
    related.items(POSTER | {"solaris": "A widower meets his wife again in space"}, day=2)
    build(related)
    before = profiles_of(related)
    assert "poster" not in before and "solaris" in before
    assert (last_run(related)["waiting"], last_run(related)["encoded"]) == (1, 0)
    first = published(related, storage)
    waiting = Release.open(storage.url, release=first.release)
    assert "poster" not in waiting.items and waiting.similar("solaris", k=20)
    assert (
        waiting.manifest.segments[-1].n_items == 2
    )  # rows with details and words, of which one is in no list
    relate(related, [("poster", "directed_by", "Mann")], 3)
    build(related)
    after = profiles_of(related)
    assert (last_run(related)["waiting"], last_run(related)["encoded"]) == (0, 0)
    assert all(np.array_equal(before[item], after[item]) for item in before)
    published(related, storage)
    release = Release.open(storage.url)
    assert release.similar("poster", k=1)[0].item_id == "heat"  # the other film of Mann
    assert "poster" in {one.item_id for one in release.recommend(history=["heat"], k=20)}
    explained = release.explain("poster", history=["heat"])
    assert [one.thing for one in explained.contributions[0].shared] == ["Mann"] and explained.words == ()
    with pytest.raises(ReleaseError):
        waiting.similar("poster")


def test_an_item_without_text_waits_for_its_text_where_no_head_joins_views(film_workspace, storage):
    film_workspace.items(POSTER, day=2)
    film_workspace.build()
    assert last_run(film_workspace)["waiting"] == 1 and "poster" not in profiles_of(film_workspace)
    first = film_workspace.publish(storage)
    assert "poster" not in Release.open(storage.url, release=first.release).items
    film_workspace.items({"poster": "A film that nobody had described"}, day=3)
    film_workspace.build()
    film_workspace.publish(storage)
    assert last_run(film_workspace)["waiting"] == 1  # the row of that day; the newer one counts
    assert "poster" in Release.open(storage.url).items
