"""Details in releases: what readers get of items, and releases from before there were any."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys import Release
from recsys.errors import ReleaseError
from recsys.publishing.current import Current
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from tests.publishing.shop import HER, UP, Shop
from tests.publishing.test_hostile import Attacker

OpenShop = Callable[[str], Shop]


def titles(folder: FolderStorage, cache: Path) -> dict[str, str]:
    """Item -> title, as a page shows it."""
    profiles = Release.open(folder.url, cache=cache)._profiles
    assert profiles.details is not None
    found = profiles.details.rows(np.arange(len(profiles.latest.item_ids)))
    return {row["item_id"]: row["title"] for row in found}


def test_a_release_shows_the_newest_row_of_every_item(shop: Shop, folder: FolderStorage, cache: Path) -> None:
    shop.publish(folder)
    before = titles(folder, cache)
    shop.items({"heat": "Heat (restored)", "jaws": None, **UP}, day=1, attributes={"up": '{"year": 2009}'})
    shop.build().publish(folder)
    del before["jaws"]
    assert titles(folder, cache) == before | {"heat": "Heat (restored)"} | UP
    details = Release.open(folder.url, cache=cache)._profiles.details
    assert details is not None and details.attributes == ("year",)
    assert details.column("year").drop_null().to_pylist() == [2009.0]


def test_other_attributes_make_another_release_and_encode_nothing(
    shop: Shop, folder: FolderStorage, cache: Path
) -> None:
    shop.items(UP, day=1, attributes={"up": '{"year": 2009, "studio": "Pixar"}'})
    first = shop.build().publish(folder)
    params = shop.settings.publish.model_copy(update={"attributes": ("studio",)})
    with pytest.raises(ReleaseError, match="details of part 000001") as refused:
        shop.publish(folder, params=params)
    assert refused.value.remedy == "dvc repro features"
    shop.settings = shop.settings.model_copy(update={"publish": params})
    second = shop.build().publish(folder)
    assert second.outcome == "published" and shop.publish(folder).outcome == "unchanged"
    old, new = first.manifest.segments, second.manifest.segments
    assert [s.model_copy(update={"details": None}) for s in old] == [
        s.model_copy(update={"details": None}) for s in new
    ]
    details = Release.open(folder.url, cache=cache)._profiles.details
    assert details is not None and details.attributes == ("studio",)


def test_a_merged_part_shows_the_same(shop: Shop, folder: FolderStorage, cache: Path) -> None:
    from recsys.catalogue.compaction import compact_above

    shop.items({"heat": "Heat (restored)", **UP}, day=1)
    shop.build().publish(folder)
    before = titles(folder, cache)
    compact_above(shop.at.data, shop.at.staging, 1)
    manifest = shop.build().publish(folder).manifest
    assert len(manifest.segments) == 1 and titles(folder, cache) == before


def go_back(folder: FolderStorage) -> str:
    """Replace the current release by the same one as code from before there were details wrote it."""
    attacker = Attacker(folder)
    attacker.go_back()
    release = attacker.publish()
    pointer = Current.model_validate_json(folder.read("CURRENT"))
    folder.write("CURRENT", pointer.model_copy(update={"release": release}).to_bytes())
    return release


def test_a_release_from_before_has_none_and_the_next_one_has(
    shop: Shop, folder: FolderStorage, cache: Path
) -> None:
    shop.publish(folder)
    old = go_back(folder)
    opened = Release.open(folder.url, cache=cache)
    assert opened.id == old and opened.manifest.format == 4
    assert opened._profiles.details is None and opened.similar("alien")
    done = shop.publish(folder)
    assert done.outcome == "published" and done.manifest.parent == old and done.manifest.format == 7
    assert len(titles(folder, cache)) == 10


def test_what_others_published_before_there_were_details_is_kept_without_them(
    open_shop: OpenShop, folder: FolderStorage, cache: Path
) -> None:
    ours, theirs = open_shop("ours"), open_shop("theirs")
    ours.items(UP)
    theirs.items(HER)
    for shop in (ours, theirs):
        shop.ratings([("ann", "up"), ("ann", "her")])
    theirs.build().publish(folder)
    go_back(folder)
    joined = ours.build().publish(folder)
    assert joined.rebased and joined.manifest.format == 7
    assert titles(folder, cache) == {"her": None, **UP}
    ReleaseStore(folder).require_objects(joined.manifest)
