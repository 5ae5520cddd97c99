"""Interactions that came before their items, through the stages to a release: they count when the item is there."""

from recsys.serving.reader import Release
from recsys.storage.opening import open_storage
from tests.publishing.film_workspace import UP


def release_of(film_workspace, storage, cache):
    film_workspace.build()
    film_workspace.publish(storage)
    return Release.open(storage.url, cache=cache)


def test_a_user_of_pending_interactions_only_is_recommended_for_once_the_item_comes(film_workspace, tmp_path):
    storage = open_storage(str(tmp_path / "store"))
    film_workspace.ratings([("dan", "up"), ("ann", "up")], day=1)
    before = release_of(film_workspace, storage, tmp_path / "reader")
    assert "up" not in before.items
    assert before.recommend(pseudonym="ann", k=3)  # the item that is not there takes nothing from her history
    film_workspace.items(UP, day=2)
    after = release_of(film_workspace, storage, tmp_path / "reader")
    assert "up" in after.items
    after.verify()
    mine = [scored.item_id for scored in after.recommend(pseudonym="dan", k=3)]
    assert len(mine) == 3 and "up" not in mine
    assert mine == [scored.item_id for scored in after.recommend(history=["up"], k=3)]
