from datetime import UTC, datetime

import pytest

from recsys.catalogue.split import Split
from recsys.errors import ArtifactMissing, ConfigError
from recsys.stages.split import run
from tests.stages.judged_world import Item, World, make_world, settings

LATE = datetime(2030, 1, 1, tzinfo=UTC)


def test_items_that_came_late_are_cold_and_the_same_world_gives_the_same_bytes(tmp_path):
    written = []
    for name in ("one", "two"):
        world = make_world(tmp_path / name)
        run(world.settings, world.at)
        written.append({path.name: path.read_bytes() for path in world.at.split.iterdir()})
    assert written[0] == written[1]
    made = Split.load(world.at.split)
    rows = made.items.to_pylist()
    assert {row["item_id"] for row in rows if row["slice"] == "cold"} >= {
        f"i{n:03d}" for n in range(120, 150)
    }
    assert made.summary.by == "time" and made.summary.n_test_users >= 50


def test_a_world_without_times_is_split_by_item_hash(tmp_path):
    world = make_world(tmp_path, timed=False)
    run(world.settings, world.at)
    assert Split.load(world.at.split).summary.by == "item-hash"


def test_a_world_that_is_too_small_is_an_error_with_a_remedy(tmp_path):
    world = make_world(tmp_path, n_users=8)
    with pytest.raises(ConfigError, match="split.min_test_users"):
        run(settings(), world.at)


def test_no_interactions_say_what_to_do(tmp_path):
    world = World(tmp_path)
    world.land_items([Item("i0", 0)])
    with pytest.raises(ArtifactMissing, match="recsys ingest"):
        run(world.settings, world.at)


def test_interactions_that_wait_for_their_item_move_nothing(tmp_path):
    written = []
    for name in ("one", "two"):
        world = make_world(tmp_path / name)
        if name == "two":
            world.land_interactions([(f"u{n}", "never", None if n % 2 else LATE) for n in range(500)])
        run(world.settings, world.at)
        written.append({path.name: path.read_bytes() for path in world.at.split.iterdir()})
    assert written[0] == written[1]
