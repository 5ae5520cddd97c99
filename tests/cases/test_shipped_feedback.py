"""Feedback through the real commands: what a user is shown at once is what the next release shows."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from recsys import Release
from recsys.catalogue.opinions import disliked_items, liked_items
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event
from recsys.serving.feedback_opinions import merge
from recsys.serving.feedback_outbox import ship
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from tests.cases.conftest import ITEMS, KEY
from tests.cases.test_feedback import NAME, event, trained

pytestmark = pytest.mark.whole

__all__ = ["trained"]
OCTOBER = datetime(2026, 10, 25, 10, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    opened = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    yield opened
    opened.close()


def release_of(intake):
    for stage in ("users", "index"):
        intake.run("run", stage)
    intake.run("publish")
    return Release.open(intake.at.root / "store", cache=intake.at.root / "reader")


def opinions_now(intake, release, store, user):
    held = store.held(release.manifest.provenance.arrivals)
    before = release._profiles.histories.opinions_of(NAME(user))
    return merge(before, store.of(NAME(user), held), Settings.load(intake.at.params).feedback)


def lists_of(release, opinions):
    """The list for these likes, without what is liked or disliked."""
    likes, dislikes = liked_items(opinions), set(disliked_items(opinions))
    if not likes:
        return []
    found = release.recommend(history=likes, k=100)
    return [(one.item_id, one.score) for one in found if one.item_id not in dislikes]


def of(user, *events):
    """Events of a user, a minute after each other."""
    return [
        Event(f"{user}-{n}", NAME(user), item, event, value, OCTOBER + timedelta(minutes=n))
        for n, (item, event, value) in enumerate(events)
    ]


EVENTS = [
    *of("u0", ("s2", "like", None), ("s1", "dislike", None), ("s9", "rating", -1.0)),
    *of("u1", ("s3", "view", 3.0), ("s3", "unlike", None), ("s15", "like", None), ("s8", "undo", None)),
    *of("newcomer", ("s8", "purchase", 9.5), ("s16", "Not-Interested", None), ("s22", "view", None)),
    *of("hater", ("s8", "hide", None)),
]
USERS = ("u0", "u1", "newcomer", "hater", "u2")


def test_the_list_after_feedback_is_that_of_the_next_release(trained, store):
    # Somebody else likes every item, before and after: so what all users share does not change.
    trained.land("interactions/fan.jsonl", [event("fan", row["item_id"]) for row in ITEMS])
    trained.ingest()
    first = release_of(trained)
    untouched = {user: opinions_now(trained, first, store, user) for user in USERS}
    store.add(EVENTS)
    at_once = {user: opinions_now(trained, first, store, user) for user in USERS}
    (key,) = ship(store, open_storage(str(trained.at.root / "landing")), Pseudonyms(KEY)).keys
    assert trained.ingest()[key]["status"] == "accepted"
    assert not trained.quarantined()
    assert {user: opinions_now(trained, first, store, user) for user in USERS} == at_once
    second = release_of(trained)
    assert second.id != first.id
    assert store.of(NAME("u0"), store.held(second.manifest.provenance.arrivals)) == ()
    for user in USERS:
        now = opinions_now(trained, second, store, user)
        assert now == at_once[user] == second._profiles.histories.opinions_of(NAME(user))
        assert lists_of(second, now) == lists_of(first, at_once[user])
        assert (lists_of(first, at_once[user]) == lists_of(first, untouched[user])) == (
            user in {"u2", "hater"}
        )
        assert second._profiles.histories.disliked_by(NAME(user)) == disliked_items(now)


def test_a_file_that_lands_twice_is_taken_in_once(trained, store):
    store.add(EVENTS)
    (key,) = ship(store, open_storage(str(trained.at.root / "landing")), Pseudonyms(KEY)).keys
    content = (trained.at.root / "landing" / key).read_bytes()
    trained.ingest()
    n_rows = len(trained.interactions())
    trained.land(key, content)  # as a replica does that was paused while another one went on
    assert trained.ingest()[key]["status"] == "unchanged"
    assert len(trained.interactions()) == n_rows


def test_ids_that_end_in_a_fraction_stay_as_they_are(empty_intake, store):
    empty_intake.land(
        "catalogue/films.jsonl", [{"item_id": name, "title": f"Film {name}"} for name in ("1.0", "x", "2.0")]
    )
    empty_intake.ingest()
    store.add(of("u0", ("1.0", "like", None), ("2.0", "like", None)))
    ship(store, open_storage(str(empty_intake.at.root / "landing")), Pseudonyms(KEY))
    empty_intake.ingest()
    assert [row["item_id"] for row in empty_intake.interactions()] == ["1.0", "2.0"]
    assert (
        json.loads((empty_intake.at.data / "pseudonyms.json").read_text())["key_check"]
        == Pseudonyms(KEY).key_check
    )
