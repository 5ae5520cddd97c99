"""Search by words and meaning: rare words are found, meaning is found without them, and users count a little."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from recsys.encoders.short_texts import SIZES
from recsys.models.parts import SearchPart
from recsys.models.reference import ModelReference
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.diversity import POOL
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FilmWorkspace
from tests.serving.test_recommender import of_release

PARTS = {
    "part-1": "Hinge for a door, order number KX-4471-B",
    "part-2": "Hinge for a door, order number KX-4472-B",
}


def found(answer: object) -> list[str]:
    return [one.item_id for one in answer.items]  # type: ignore[attr-defined]


def test_an_order_number_is_found_at_first_light_and_meaning_without_its_words(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    encoded_workspace.items(PARTS, day=1)
    recommender = of_release(encoded_workspace.build(), folder)
    assert found(recommender.search("KX-4472-B", ListRequest(k=2)))[0] == "part-2"
    assert found(recommender.search("kx-4471-b", ListRequest(k=2)))[0] == "part-1"
    assert found(recommender.search("genius of symphonies versus rival", ListRequest(k=1))) == ["amadeus"]


def test_conditions_candidates_and_the_history_hold_in_search_too(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(encoded_workspace, folder)
    everything = found(recommender.search("a crew in space", ListRequest(k=10)))
    assert everything[0] == "alien" and len(everything) == 10
    only = found(recommender.search("a crew in space", ListRequest(k=10, candidates=("jaws", "babe"))))
    assert only == [one for one in everything if one in ("jaws", "babe")]
    mine = Taste(likes=("alien",), dislikes=("gravity",))
    left = found(recommender.search("a crew in space", ListRequest(k=10), mine))
    assert len(left) == 8 and not {"alien", "gravity"} & set(left)
    assert "alien" in found(
        recommender.search("a crew in space", ListRequest(k=10, exclude_seen=False), mine)
    )


def test_a_diverse_search_turns_from_what_it_has_already(
    encoded_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded_workspace.items(
        {f"copy {n}": "A crew in deep space meets a deadly creature" for n in range(3)}, day=1
    )
    recommender, query = of_release(encoded_workspace.build(), folder), "a deadly creature in space"
    plain = found(recommender.search(query, ListRequest(k=3)))
    diverse = found(recommender.search(query, ListRequest(k=3, diversity=0.5)))
    assert {one.split()[0] for one in plain} <= {"copy", "alien"} and diverse[0] == plain[0]
    assert not {one.split()[0] for one in diverse[1:]} & {"copy", "alien"}
    # All of the pool that it chooses from must be as surely the nearest as a plain list.
    searcher, sure = recommender.profiles.searcher, []
    best_of_segment = searcher.best_of_segment

    def spied(*args: Any, **more: Any) -> list[np.ndarray]:  # noqa: ANN401  as `best_of_segment` takes them
        sure.append(more["sure"])
        return best_of_segment(*args, **more)

    monkeypatch.setattr(searcher, "best_of_segment", spied)
    for diversity in (0.0, 0.5):
        recommender.search(query, ListRequest(k=3, diversity=diversity))
    assert list(dict.fromkeys(sure)) == [3, 3 * POOL]


def test_searches_at_the_same_time_find_what_each_finds_alone_and_are_prepared_together(
    encoded_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, wanted = of_release(encoded_workspace, folder), ListRequest(k=5)
    queries = ["a crew in space", "shark", "a pig who herds sheep and wins", "genius of symphonies"] * 8
    alone = [recommender.search(query, wanted) for query in queries]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda query: recommender.search(query, wanted), queries)) == alone
    prepared: list[np.ndarray] = []
    monkeypatch.setattr(recommender.profiles.searcher, "look_ahead", prepared.append)
    together = recommender.texts._of_queries(queries[:3])
    recommender.texts.of_query(queries[3])  # alone there is nothing to share
    assert [one.tolist() for one in prepared] == [np.stack(together).tolist()]


def test_no_text_needs_a_file_of_the_model_once_a_release_is_warm(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(encoded_workspace, folder)
    recommender.warm()
    shutil.rmtree(encoded_workspace.at.cache / "releases" / "encoders")
    for n in (1, SIZES[0] + 1, SIZES[-1] + 1):
        assert found(recommender.search("space " * n, ListRequest(k=1)))
    assert recommender.new_item("a crew in deep space", ListRequest(k=1)).neighbours


def test_an_old_text_is_not_found_after_an_edit(encoded_workspace: FilmWorkspace, folder: Storage) -> None:
    encoded_workspace.items({"jaws": "A great white whale called Zanzibar"}, day=1)
    encoded_workspace.items({"heat": None}, day=2)
    recommender = of_release(encoded_workspace.build(), folder)
    assert recommender.profiles.lexical is not None
    rows, _ = recommender.profiles.lexical.scores("shark detective zanzibar")
    assert [recommender.profiles.latest.item_ids[row] for row in rows] == ["jaws"]


def test_a_release_with_a_temperature_says_how_likely_each_hit_is(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    plain = of_release(encoded_workspace, folder)
    before = plain.search("a crew in space", ListRequest(k=10))
    assert plain.temperature is None and {one.probability for one in before.items} == {None}
    model = ModelReference.load(encoded_workspace.at.model_reference("champion"))
    encoded_workspace.set_model(model.with_search(SearchPart(temperature=0.2)))
    encoded_workspace.build().publish(folder, new_model=True)
    recommender = of_release(encoded_workspace, folder)
    answer = recommender.search("a crew in space", ListRequest(k=10))
    assert recommender.temperature == 0.2 and answer.n_candidates == 10
    assert [(one.item_id, one.score) for one in answer.items] == [
        (one.item_id, one.score) for one in before.items
    ]
    odds = np.exp(np.array([one.score for one in answer.items]) / 0.2)
    assert [one.probability for one in answer.items] == pytest.approx((odds / odds.sum()).tolist())
    short = recommender.search("a crew in space", ListRequest(k=3, diversity=0.5))
    of_all = {one.item_id: one.probability for one in answer.items}
    assert [one.probability for one in short.items] == pytest.approx(
        [of_all[one.item_id] for one in short.items]
    )
    two = recommender.search("a crew in space", ListRequest(k=10, candidates=("jaws", "babe")))
    assert two.n_candidates == 2 and sum(one.probability or 0 for one in two.items) == pytest.approx(1)
