"""Lists under conditions, lists for people of whom nothing is known, and explanations that sum to the score."""

import re
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.errors import ReleaseError, RequestError, UnknownItem
from recsys.features.text import feature_files
from recsys.models.reference import ModelReference
from recsys.profiles.item_ids import NamedRows
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore, object_key
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.diversity import diversified
from recsys.serving.explaining import without_each_word
from recsys.serving.recommender import Recommender
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, NOON, UP, FilmWorkspace
from tests.publishing.test_ranked import bring_weights

TAGS = {"alien": ["horror", "space"], "gravity": ["space"], "jaws": ["horror"], "heat": []}

ATTRIBUTES = {
    "alien": '{"year": 1979, "brand": "Fox", "genre": ["a", "b"], "type": true}',
    "jaws": '{"year": "1975", "brand": "Universal"}',
    "gravity": '{"year": 2013.0, "genre": "b", "type": false}',
}


def of_release(film_workspace: FilmWorkspace, folder: Storage) -> Recommender:
    film_workspace.publish(folder)
    store = ReleaseStore(folder)
    manifest = store.manifest(store.current().current.release)
    return Recommender(
        manifest, Profiles(manifest, ObjectFiles(folder, film_workspace.at.cache / "releases"))
    )


def tag(film_workspace: FilmWorkspace) -> FilmWorkspace:
    """Land some films again, with tags."""
    rows = [
        (item, FILMS[item], None, tags, None, ATTRIBUTES.get(item), NOON + timedelta(days=2), False, line)
        for line, (item, tags) in enumerate(TAGS.items(), 1)
    ]
    film_workspace._accept(CATALOGUE, CATALOGUE_SCHEMA, "tags.jsonl", rows, repr(TAGS))
    return film_workspace.build()


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"tags": "horror"}, {"alien", "jaws"}),
        ({"tags": ["horror", "space"]}, {"alien", "gravity", "jaws"}),
        ({"tags": {"in": ["space"], "not": "horror"}}, {"gravity"}),
        ({"tags": {"not": "horror"}}, set(FILMS) - {"alien", "jaws"}),
        ({"tags": "unheard of"}, set()),
        ({"year": {"gte": 1979, "lt": 2013}}, {"alien"}),
        ({"year": 1975}, {"jaws"}),
        ({"year": ["1979", 2013]}, {"alien", "gravity"}),
        ({"year": {"lte": 1979}, "tags": "space"}, {"alien"}),
        ({"brand": {"not": "Fox"}}, set(FILMS) - {"alien"}),
        ({"genre": "b"}, {"alien", "gravity"}),
        ({"type": True}, {"alien"}),
        ({"type": ["false"]}, {"gravity"}),
        ({"year": {"lt": 10**400, "gt": -(10**400)}}, {"alien", "gravity", "jaws"}),
        ({}, set(FILMS)),
    ],
)
def test_a_list_holds_what_its_conditions_allow(
    film_workspace: FilmWorkspace, folder: Storage, where: dict[str, object], fits: set[str]
) -> None:
    recommender = of_release(tag(film_workspace), folder)
    wanted = ListRequest(k=20, where=where, exclude_seen=False)
    for taste in (Taste(), Taste(likes=("dumbo",))):
        assert {one.item_id for one in recommender.recommend(taste, wanted).items} == fits
    assert {one.item_id for one in recommender.similar("amadeus", wanted).items} == fits - {"amadeus"}


@pytest.mark.parametrize(
    "where",
    [
        {"shade": "red"},
        {"tags": {"near": "horror"}},
        {"tags": {"gte": 3}},
        {"year": {"gte": "x"}},
        {"brand": {"lt": 3}},
        {"shade": {}},
        {"year": {}},
        {"tags": None},
        {"tags": {"in": [["horror"]]}},
        {"tags": {"not": {"in": "horror"}}},
    ],
)
def test_a_condition_that_means_nothing_is_refused_by_name(
    film_workspace: FilmWorkspace, folder: Storage, where: dict[str, object]
) -> None:
    with pytest.raises(RequestError, match="where: .*(shade|near|gte|year|brand|tags).*\n.*remedy"):
        of_release(tag(film_workspace), folder).recommend(Taste(), ListRequest(where=where))


def test_items_are_shown_with_what_the_release_carries(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(tag(film_workspace), folder)
    jaws, babe = recommender.items.details_of(["jaws", "babe"])
    assert jaws["title"] == FILMS["jaws"] and jaws["tags"] == ["horror"]
    assert jaws["attributes"] == {"year": 1975, "brand": "Universal"}
    assert babe["attributes"] == {} and babe["image"] is None
    assert recommender.items.titles_of(["babe"]) == {"babe": FILMS["babe"]}


@pytest.mark.parametrize("kind", ["details", "terms"])
def test_damage_of_any_file_shows_before_a_release_answers(
    film_workspace: FilmWorkspace, folder: Storage, kind: str
) -> None:
    recommender = of_release(film_workspace, folder)
    file = getattr(recommender.manifest.segments[0], kind)
    folder.write(object_key(file), b"damaged")
    with pytest.raises(ReleaseError, match=re.escape(file.name)):
        recommender.warm()


def test_what_a_release_knows_of_a_user_is_the_same_by_row_as_by_id(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.ratings([("dan", "up"), ("ann", "up")], day=1)  # an item that has not arrived
    film_workspace.build()
    recommender = of_release(film_workspace, folder)
    histories = recommender.profiles.histories
    for user in (*histories.users, "nobody"):
        taste = recommender.taste_of(user)
        assert tuple(taste.likes) == histories.items_of(user)
        assert tuple(taste.dislikes) == histories.disliked_by(user)
        by_id = Taste(histories.items_of(user), histories.disliked_by(user))
        assert recommender.recommend(taste, ListRequest(k=4)) == recommender.recommend(
            by_id, ListRequest(k=4)
        )
    by_row = [isinstance(recommender.taste_of(user).likes, NamedRows) for user in histories.users]
    assert any(by_row) and not all(by_row)


def test_candidates_are_ranked_alone_and_unknown_ones_are_named(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(film_workspace, folder)
    answer = recommender.recommend(
        Taste(likes=("alien", "gone")), ListRequest(candidates=("heat", "babe", "nowhere", "alien"))
    )
    everything = recommender.recommend(Taste(likes=("alien",)), ListRequest(k=10))
    assert answer.items == tuple(one for one in everything.items if one.item_id in ("heat", "babe"))
    assert answer.unknown == ("gone", "nowhere") and answer.basis == "profile"


def test_somebody_unknown_gets_what_many_like_with_new_items_among_it(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.ratings([("ann", "heat"), ("bob", "heat"), ("cy", "heat"), ("bob", "jaws")], day=1)
    film_workspace.items(UP, day=3)
    answer = of_release(film_workspace.build(), folder).recommend(Taste(), ListRequest(k=7))
    assert answer.basis == "popular"
    assert [one.item_id for one in answer.items] == ["heat", "jaws", "alien", "babe", "up", "dumbo", "rocky"]
    assert answer.items[0].score == 1 and answer.items[4].score == 0


def test_a_diverse_list_turns_from_what_it_has_already() -> None:
    vectors_ND = np.array([[1, 0], [0.999, 0.045], [0, 1]], np.float32)
    assert diversified([3.0, 2.9, 1.0], vectors_ND, 2, 0.0) == [0, 1]
    assert diversified([3.0, 2.9, 1.0], vectors_ND, 2, 0.5) == [0, 2]
    assert diversified([], vectors_ND[:0], 2, 0.5) == []


def test_a_diverse_list_takes_no_notice_of_what_all_profiles_have_in_common(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    encoder = film_workspace.model.encoder.model_copy(update={"lexical_width": 1})
    film_workspace.set_model(ModelReference.of(encoder))
    recommender = of_release(film_workspace.build(), folder)
    taste = Taste(likes=("dumbo",))
    ranked = recommender.recommend(taste, ListRequest(k=9)).items
    rows = recommender.profiles.latest.item_ids.rows_of([one.item_id for one in ranked])
    profiles_ND, scores = recommender.profiles.searcher.vectors_of(rows), [one.score for one in ranked]
    rest_ND = profiles_ND[:, 1:] / np.linalg.norm(profiles_ND[:, 1:], axis=1, keepdims=True)
    expected = diversified(scores, rest_ND, 5, 0.5)
    assert expected != diversified(scores, profiles_ND, 5, 0.5)
    found = recommender.recommend(taste, ListRequest(k=5, diversity=0.5)).items
    assert [one.item_id for one in found] == [ranked[place].item_id for place in expected]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weights and prior"])
def test_contributions_sum_to_the_score_that_ordered_the_list(
    film_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch, weighted: bool
) -> None:
    if weighted:
        monkeypatch.setattr("recsys.profiles.prior.MIN_USERS", 2)
        bring_weights(film_workspace)
        model = film_workspace.model
        with_prior = ModelReference.of(model.encoder, None, 3.0, model.ranker, prior_weight=2.0)
        film_workspace.set_model(with_prior)
        film_workspace.build()
    recommender, n_sums = of_release(film_workspace, folder), 0
    assert (recommender.profiles.prior() is not None) is weighted
    rng = np.random.default_rng(3)
    for _ in range(250):
        taste = Taste(likes=tuple(rng.choice(list(FILMS), rng.integers(1, 6), replace=False)))
        for one in recommender.recommend(taste, ListRequest(k=10, exclude_seen=False)).items:
            why = recommender.explain(one.item_id, taste)
            total = sum(part.profile + part.ranker for part in why.contributions) + why.rest
            assert total == pytest.approx(one.score, abs=1e-5) and why.score == pytest.approx(
                one.score, abs=1e-5
            )
            assert abs(why.rest) < 1e-5  # both rankers are linear
            assert weighted or all(part.ranker == pytest.approx(0, abs=1e-6) for part in why.contributions)
            n_sums += 1
    assert n_sums == 2500


def test_words_about_a_user_join_the_history(encoded_workspace: FilmWorkspace, folder: Storage) -> None:
    recommender = of_release(encoded_workspace, folder)
    sea = recommender.recommend(Taste(text="loves sharks and the sea"), ListRequest(k=3))
    assert sea.items[0].item_id == "jaws" and sea.basis == "profile"
    both = Taste(likes=("gravity",), text="loves sharks and the sea")
    why = recommender.explain("alien", both, with_words=True)
    assert {part.source for part in why.contributions} == {"like", "text"}
    assert sum(part.profile + part.ranker for part in why.contributions) == pytest.approx(why.score, abs=1e-5)
    assert why.words[0][1] >= why.words[-1][1] and {"space", "deadly"} <= {word for word, _ in why.words}


def test_the_service_reads_an_item_by_its_fields_as_the_catalogue_is_read(
    encoded_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = of_release(tag(encoded_workspace), folder)
    newest = pq.read_table(feature_files(encoded_workspace.at.features)[-1].path).to_pylist()
    (text,) = [row["text"] for row in newest if row["item_id"] == "alien"]
    title, tags = text.split("\n")
    assert tags == "horror, space"
    kind, read = type(recommender.texts.encoder), list[str]()
    encode = kind.encode
    monkeypatch.setattr(kind, "encode", lambda self, texts: read.extend(texts) or encode(self, texts))
    row = {"title": FILMS["alien"], "tags": TAGS["alien"]}
    recommender.new_item(recommender.texts.text_of_row(row), ListRequest(k=1))
    assert read == [text]
    read.clear()
    why = recommender.explain("alien", Taste(likes=("gravity",)), with_words=True)
    assert read[0] == text and len(read) == 1 + len(why.words)
    assert {f"{title}\nspace", f"{title}\nhorror,"} & set(read)
    assert {"horror", "space"} <= {word for word, _ in why.words} and why.has_text
    read.clear()
    with pytest.raises(RequestError, match="empty text"):
        recommender.new_item(" \n ", ListRequest())
    assert not read


def test_a_text_without_a_word_keeps_the_places_of_its_fields() -> None:
    """Or a plot would be compared with titles, and count less, where a title of one word is left out."""
    assert without_each_word("Jaws.\nA shark – (Jaws)") == {
        "Jaws": "\nA shark –",
        "A": "Jaws.\nshark – (Jaws)",
        "shark": "Jaws.\nA – (Jaws)",
    }


def test_a_new_item_has_neighbours_and_an_audience_before_it_is_in_the_catalogue(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(encoded_workspace, folder)
    new = recommender.new_item("Astronauts lost in space", ListRequest(k=2))
    assert {one.item_id for one in new.neighbours} == {"alien", "gravity"}
    assert np.linalg.norm(new.profile_D) == pytest.approx(1, abs=1e-5) and new.audience is None
    recommender.sample_users()
    assert (
        recommender.new_item("Astronauts lost in space", ListRequest(k=2)).audience == 1
    )  # lists of ten hold all ten films
    with pytest.raises(RequestError, match="empty text"):
        recommender.new_item(" \n", ListRequest())


def test_an_item_that_is_not_there_is_named(film_workspace: FilmWorkspace, folder: Storage) -> None:
    recommender = of_release(film_workspace, folder)
    with pytest.raises(UnknownItem, match="'nowhere'"):
        recommender.explain("nowhere", Taste(likes=("alien",)))
    with pytest.raises(RequestError, match="nothing that is known"):
        recommender.explain("alien", Taste(likes=("nowhere",)))
