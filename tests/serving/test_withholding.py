"""Items that a person withholds: in no list, search or neighbourhood until their time has passed."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from pydantic import ValidationError

from recsys.errors import UnknownItem
from recsys.publishing.formats import DETAILED, WEIGHTED
from recsys.publishing.params import PublishParams
from recsys.publishing.withheld import Withheld
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.recommender import Recommender
from recsys.serving.withholding import Withholding
from recsys.storage.protocol import Storage
from tests.publishing.conftest import filled
from tests.publishing.film_workspace import FILMS, FilmWorkspace
from tests.publishing.test_ranked import bring_weights
from tests.serving.test_recommender import of_release, tag

MAY = datetime(2026, 5, 1, tzinfo=UTC)
ALL = ListRequest(k=50, exclude_seen=False)


def with_entries(film_workspace: FilmWorkspace, *entries: Withheld) -> FilmWorkspace:
    publish = film_workspace.settings.publish.model_copy(update={"withhold": entries})
    film_workspace.settings = film_workspace.settings.model_copy(update={"publish": publish})
    return film_workspace


def names(answer) -> set[str]:
    return {one.item_id for one in answer.items}


def at(recommender: Recommender, now: datetime) -> Recommender:
    """The same release at another time."""
    held = Withholding(recommender.profiles, recommender.filters, lambda: now)
    recommender.withholding = recommender._lists._withholding = held
    return recommender


def test_a_withheld_item_is_in_no_list_however_it_is_asked_for(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    bring_weights(film_workspace)
    film_workspace.build()
    entry = Withheld(items=("jaws", "no such item"), who="ann", why="recalled")
    recommender = of_release(with_entries(film_workspace, entry), folder)
    lists = [
        recommender.recommend(Taste(likes=("alien",)), ALL),
        recommender.recommend(Taste(), ALL),
        recommender.recommend(Taste(likes=("alien",)), ListRequest(k=50, candidates=["jaws", "heat"])),
        recommender.similar("alien", ALL),
    ]
    assert [len(one.items) for one in lists] == [9, 9, 1, 8]
    assert not any("jaws" in names(one) for one in lists)
    why = recommender.explain("jaws", Taste(likes=("alien",)))
    assert why.withheld == "withheld by ann: recalled"
    assert recommender.explain("heat", Taste(likes=("alien",))).withheld is None


def test_a_withheld_item_is_not_found_by_words(encoded_workspace: FilmWorkspace, folder: Storage) -> None:
    free = of_release(encoded_workspace, folder)
    assert free.search("shark", ALL).items[0].item_id == "jaws" and free.manifest.format == DETAILED
    entry = Withheld(items=("jaws",), who="ann", why="recalled")
    held = of_release(with_entries(encoded_workspace, entry), folder)
    assert held.manifest.format == WEIGHTED and held.release != free.release
    assert names(held.search("shark", ALL)) == names(free.search("shark", ALL)) - {"jaws"}
    assert "jaws" not in {one.item_id for one in held.new_item("a shark in the sea", ALL).neighbours}


def test_a_tag_withholds_its_items_until_the_time_has_passed(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    entry = Withheld(tags=("horror",), who="bob", why="before the watershed", until=MAY)
    recommender = of_release(with_entries(tag(film_workspace), entry), folder)
    taste = Taste(likes=("heat",))
    before, after = MAY - timedelta(seconds=1), MAY
    assert names(at(recommender, before).recommend(taste, ALL)) == set(FILMS) - {"alien", "jaws"}
    assert at(recommender, before).explain("alien", taste).withheld == (
        "withheld by bob: before the watershed, until 2026-05-01 00:00 UTC"
    )
    assert names(at(recommender, after).recommend(taste, ALL)) == set(FILMS)
    assert at(recommender, after).explain("alien", taste).withheld is None


def test_several_entries_hold_together_and_a_list_of_conditions_too(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    entries = (
        Withheld(tags=("space",), who="ann", why="first"),
        Withheld(items=("alien",), who="bob", why="second", until=MAY),
    )
    recommender = at(of_release(with_entries(tag(film_workspace), *entries), folder), MAY - timedelta(days=1))
    assert recommender.explain("alien", Taste(likes=("heat",))).withheld == (
        "withheld by ann: first; withheld by bob: second, until 2026-05-01 00:00 UTC"
    )
    horror = ListRequest(k=50, where={"tags": "horror"})
    assert names(recommender.recommend(Taste(likes=("heat",)), horror)) == {"jaws"}


def test_an_entry_that_is_taken_out_brings_the_item_back_with_the_next_release(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    entry = Withheld(items=("jaws",), who="ann", why="recalled")
    held = of_release(with_entries(film_workspace, entry), folder)
    free = of_release(with_entries(film_workspace), folder)
    assert free.manifest.parent == held.manifest.id and "jaws" in names(free.recommend(Taste(), ALL))
    assert b"withheld" not in free.manifest.to_bytes()
    with pytest.raises(UnknownItem):
        free.explain("no such item", Taste(likes=("alien",)))


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"who": "ann", "why": "recalled"}, "name items or tags"),
        ({"items": ["a"], "why": "recalled"}, "who"),
        ({"items": ["a"], "who": "ann", "why": ""}, "why"),
        ({"items": [""], "who": "ann", "why": "recalled"}, "items"),
        ({"items": ["a"], "who": "ann", "why": "recalled", "until": "2026-05-01T00:00:00"}, "timezone"),
    ],
)
def test_an_entry_needs_a_name_a_reason_and_a_time_with_its_zone(entry, fault) -> None:
    with pytest.raises(ValidationError, match=fault):
        Withheld.model_validate(entry)


def test_yaml_may_write_ids_as_numbers_and_times_as_dates(film_workspace: FilmWorkspace) -> None:
    plain = yaml.safe_load("[{items: [4711], who: ann, why: recalled, until: 2027-01-01}]")
    params = film_workspace.settings.publish.model_dump() | {"withhold": plain}
    (found,) = PublishParams.model_validate(params).withhold
    assert found.items == ("4711",) and found.until == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_workspace_that_knows_of_no_recall_does_not_undo_it(make_workspace, folder: Storage) -> None:
    entry = Withheld(items=("jaws",), who="ann", why="recalled")
    own, stale = (filled(make_workspace(name)) for name in ("own", "stale"))
    own.publish(folder)
    with_entries(own, entry).publish(folder)
    stale.items({"up": "A house flies"}, day=1)
    kept = stale.build().publish(folder).manifest
    assert (kept.withheld, kept.format) == ((entry,), WEIGHTED)
    with_entries(own).publish(folder)  # somebody else has published since: the entry stays
    assert with_entries(own).publish(folder).manifest.withheld == ()
