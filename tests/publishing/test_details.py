"""Details and terms in releases: what readers get of items, by which words, and releases from before there were any."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys import Release
from recsys.catalogue.compaction import compact_above
from recsys.errors import ReleaseError
from recsys.publishing.current import Current
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from tests.publishing.film_workspace import HER, UP, FilmWorkspace
from tests.publishing.test_hostile import Attacker

MakeWorkspace = Callable[[str], FilmWorkspace]


def titles(folder: FolderStorage, cache: Path) -> dict[str, str]:
    """Item -> title, as a page shows it."""
    profiles = Release.open(folder.url, cache=cache)._profiles
    assert profiles.details is not None
    found = profiles.details.rows(np.arange(len(profiles.latest.item_ids)))
    return {row["item_id"]: row["title"] for row in found}


def test_a_release_shows_the_newest_row_of_every_item(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.publish(folder)
    before = titles(folder, cache)
    film_workspace.items(
        {"heat": "Heat (restored)", "jaws": None, **UP}, day=1, attributes={"up": '{"year": 2009}'}
    )
    film_workspace.build().publish(folder)
    del before["jaws"]
    assert titles(folder, cache) == before | {"heat": "Heat (restored)"} | UP
    details = Release.open(folder.url, cache=cache)._profiles.details
    assert details is not None and details.attributes == ("year",)
    assert details.column("year").drop_null().to_pylist() == [2009.0]


def found_by(folder: FolderStorage, cache: Path, query: str) -> dict[str, float]:
    """Item -> score of a search by words."""
    profiles = Release.open(folder.url, cache=cache)._profiles
    assert profiles.lexical is not None
    items, scores = profiles.lexical.scores(query)
    return {profiles.latest.item_ids[item]: float(score) for item, score in zip(items, scores, strict=True)}


def test_words_that_were_edited_or_erased_find_nothing_any_more(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.publish(folder)
    assert set(found_by(folder, cache, "kidnappers shark")) == {"fargo", "jaws"}
    film_workspace.items(
        {"fargo": "Snow", "jaws": None, **UP}, day=1, attributes={"up": '{"sku": "PX-2009/b"}'}
    )
    film_workspace.build().publish(folder)
    assert found_by(folder, cache, "kidnappers shark great") == {}
    assert set(found_by(folder, cache, "px2009b")) == {"up"} and set(found_by(folder, cache, "snow")) == {
        "fargo"
    }


def test_scores_do_not_depend_on_how_parts_were_merged(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.items({"heat": "A crew of detectives", **UP}, day=1)
    film_workspace.build().publish(folder)
    before = found_by(folder, cache, "a crew in space")
    compact_above(film_workspace.at.data, film_workspace.at.staging, 1)
    assert len(film_workspace.build().publish(folder).manifest.segments) == 1
    assert found_by(folder, cache, "a crew in space") == before and len(before) > 3


def test_other_weights_of_words_make_another_release_of_the_same_files(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    first = film_workspace.publish(folder)
    before = found_by(folder, cache, "crew")
    search = film_workspace.settings.search.model_copy(update={"b": 0.0})
    second = film_workspace.publish(folder, search=search)
    assert second.outcome == "published" and second.manifest.segments == first.manifest.segments
    after = found_by(folder, cache, "crew")
    assert after.keys() == before.keys() and len(set(after.values())) == 1 < len(set(before.values()))


def test_other_attributes_make_another_release_and_encode_nothing(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.items(UP, day=1, attributes={"up": '{"year": 2009, "studio": "Pixar"}'})
    first = film_workspace.build().publish(folder)
    params = film_workspace.settings.publish.model_copy(update={"attributes": ("studio",)})
    with pytest.raises(ReleaseError, match="details of part 000001") as refused:
        film_workspace.publish(folder, params=params)
    assert refused.value.remedy == "dvc repro features"
    film_workspace.settings = film_workspace.settings.model_copy(update={"publish": params})
    second = film_workspace.build().publish(folder)
    assert second.outcome == "published" and film_workspace.publish(folder).outcome == "unchanged"
    old, new = first.manifest.segments, second.manifest.segments
    gone = {"details": None, "terms": None}
    assert [s.model_copy(update=gone) for s in old] == [s.model_copy(update=gone) for s in new]
    details = Release.open(folder.url, cache=cache)._profiles.details
    assert details is not None and details.attributes == ("studio",)


def test_a_merged_part_shows_the_same(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.items({"heat": "Heat (restored)", **UP}, day=1)
    film_workspace.build().publish(folder)
    before = titles(folder, cache)
    compact_above(film_workspace.at.data, film_workspace.at.staging, 1)
    manifest = film_workspace.build().publish(folder).manifest
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
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    film_workspace.publish(folder)
    old = go_back(folder)
    opened = Release.open(folder.url, cache=cache)
    assert opened.id == old and opened.manifest.format == 4
    assert opened._profiles.details is None and opened._profiles.lexical is None and opened.similar("alien")
    done = film_workspace.publish(folder)
    assert done.outcome == "published" and done.manifest.parent == old and done.manifest.format == 7
    assert len(titles(folder, cache)) == 10


def test_what_others_published_before_there_were_details_is_kept_without_them(
    make_workspace: MakeWorkspace, folder: FolderStorage, cache: Path
) -> None:
    ours, theirs = make_workspace("ours"), make_workspace("theirs")
    ours.items(UP)
    theirs.items(HER)
    for film_workspace in (ours, theirs):
        film_workspace.ratings([("ann", "up"), ("ann", "her")])
    theirs.build().publish(folder)
    go_back(folder)
    joined = ours.build().publish(folder)
    assert joined.rebased and joined.manifest.format == 7
    assert titles(folder, cache) == {"her": None, **UP}
    assert found_by(folder, cache, "a lonely man") == pytest.approx(
        {"up": math.log(1 + 0.5 / 1.5) / (1 + 1.2)}  # one item counts, of mean length
    )
    ReleaseStore(folder).require_objects(joined.manifest)
