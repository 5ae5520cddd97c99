"""Lists as JSON: the bytes of the models that describe them, whether or not an item was shown before."""

import math

import pytest

from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.serving.answers import Answer, Scored
from recsys.serving.recommender import Recommender
from recsys.serving.service import answer_schemas, list_json
from recsys.serving.service.list_json import ShownItems, list_answered, search_answered
from recsys.serving.service.questions import fields_of
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FilmWorkspace


@pytest.fixture
def recommender(film_workspace: FilmWorkspace, folder: Storage) -> Recommender:
    film_workspace.items({"up": 'An "old" man \u2028 ties balloons', "heat": None}, day=1)
    film_workspace.build().publish(folder)
    store = ReleaseStore(folder)
    manifest = store.manifest(store.current().current.release)
    return Recommender(manifest, Profiles(manifest, ObjectFiles(folder, film_workspace.at.root / "cache")))


@pytest.mark.parametrize("kept_bytes", [0, 100, 10**6])
def test_a_list_is_written_as_its_model_is(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch, kept_bytes: int
) -> None:
    monkeypatch.setattr(list_json, "KEPT_BYTES", kept_bytes)
    for items in (
        (Scored("alien", 1.5), Scored("jaws", -0.1)),
        (Scored("jaws", 1e-9), Scored("up", 3.0), Scored("alien", 0.0)),
        (),
    ):
        answer = Answer(recommender.release, items, "profile", ("no \u00e9 item", '"'))
        model = answer_schemas.ListAnswer(
            release=answer.release,
            basis=answer.basis,
            items=[answer_schemas.ShownItem(**one) for one in fields_of(items, recommender)],
            unknown=list(answer.unknown),
        )
        for _ in range(2):
            assert list_answered(answer, recommender).body == model.model_dump_json().encode()


def test_a_search_is_written_as_its_model_is(recommender: Recommender) -> None:
    items = (Scored("alien", 1.5, 0.25), Scored("jaws", 0.5, None))
    answer = Answer(recommender.release, items, "profile", (), n_candidates=7)
    model = answer_schemas.SearchAnswer(
        release=answer.release,
        basis=answer.basis,
        items=[
            answer_schemas.FoundItem(**one, probability=scored.probability)
            for one, scored in zip(fields_of(items, recommender), items, strict=True)
        ],
        n_candidates=7,
        temperature=recommender.temperature,
    )
    assert search_answered(answer, recommender).body == model.model_dump_json().encode()


def test_numbers_that_json_has_not_are_null_and_one_item_may_come_twice() -> None:
    class OneItem:
        def details_of(self, item_ids: list[str]) -> list[dict[str, object]]:
            assert item_ids == ["a"]
            return [{"title": "A", "attributes": {"price": math.inf}}]

    first, second = ShownItems(OneItem()).of(["a", "a"])  # type: ignore[arg-type]
    assert (
        first
        == second
        == (b'"title":"A","description":null,"tags":[],"image":null,"attributes":{"price":null}')
    )
