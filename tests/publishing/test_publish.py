"""Publishing to a folder and to SeaweedFS: whole, checked, idempotent, rebased, held."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from recsys import Release
from recsys.catalogue.kinds import IMPRESSIONS
from recsys.catalogue.pseudonyms import Pseudonyms, remember_key
from recsys.catalogue.schemas import IMPRESSIONS_SCHEMA
from recsys.catalogue.tracking import is_published
from recsys.effects.resume import resume
from recsys.effects.rollback import rollback
from recsys.errors import ReleaseError, StorageError
from recsys.publishing.listing import releases
from recsys.publishing.publish import Published, published
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, HER, NOON, RAN, UP, FilmWorkspace, tiny_model, vector_of

MakeWorkspace = Callable[[str], FilmWorkspace]


def current(storage: Storage) -> Manifest:
    store = ReleaseStore(storage)
    return store.manifest(store.current().current.release)


def items_in(storage: Storage, cache: Path) -> set[str]:
    opened = Release.open(storage.url, cache=cache)
    opened.verify()
    return set(opened.items)


def test_a_first_release_holds_everything(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path
) -> None:
    done = film_workspace.publish(storage)
    assert done.outcome == "published"
    assert done.release.startswith("000001-")
    opened = Release.open(storage.url, cache=cache)
    assert opened.id == done.release
    assert set(opened.items) == set(FILMS)
    assert opened.users == ("ann", "bob", "cy")
    assert opened.verify() == 3 + 4 + 1 + 1  # encoder; rows, vectors, details and terms; history; gram


def test_publishing_the_same_content_again_does_nothing(
    film_workspace: FilmWorkspace, storage: Storage
) -> None:
    first = film_workspace.publish(storage)
    again = film_workspace.publish(storage)
    assert (again.outcome, again.release, again.bytes_written) == ("unchanged", first.release, 0)
    assert len(releases(storage)) == 1
    shutil.rmtree(film_workspace.at.var)  # deleting var/ loses time, never data
    assert film_workspace.publish(storage).outcome == "unchanged"


def test_the_order_in_which_parallel_stages_ended_makes_no_other_release(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    stages = ["  users:\n    cmd: u\n", "  index:\n    cmd: i\n"]
    film_workspace.at.dvc_lock.write_text("schema: '2.0'\nstages:\n" + "".join(stages))
    first = film_workspace.publish(folder)
    shutil.rmtree(folder.url)
    film_workspace.at.dvc_lock.write_text("schema: '2.0'\nstages:\n" + "".join(reversed(stages)))
    again = film_workspace.publish(folder)
    assert again.release == first.release
    assert again.manifest.provenance.dvc_lock == "schema: '2.0'\nstages:\n" + "".join(reversed(stages))


def test_what_is_published_is_written_down_for_ingest(film_workspace: FilmWorkspace, folder: Storage) -> None:
    done = film_workspace.publish(folder)
    written = json.loads(film_workspace.at.published.read_text())
    assert written["release"] == done.release
    assert [part[:6] for part in written["parts"]] == ["000001", "000002"]


def test_impressions_which_no_release_holds_wait_for_no_release(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.publish(folder)
    rows = [("ann", "alien", "list 1", 1.0, None, NOON, 1)]
    part = film_workspace._accept(IMPRESSIONS, IMPRESSIONS_SCHEMA, "shown.csv", rows, "shown")
    assert is_published(film_workspace.at)
    assert film_workspace.publish(folder).outcome == "unchanged"
    assert "beside" not in published(film_workspace.at)  # the release was recorded without them
    film_workspace.items(UP, day=1)
    assert not is_published(film_workspace.at)
    film_workspace.build().publish(folder)
    assert is_published(film_workspace.at) and published(film_workspace.at)["beside"] == [part.id]


def test_an_arrival_adds_one_segment_and_shares_the_rest(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path
) -> None:
    film_workspace.publish(storage)
    before = set(ReleaseStore(storage).objects())
    film_workspace.items({**UP, "jaws": None}, day=1)
    done = film_workspace.build().publish(storage)
    manifest = current(storage)
    assert manifest.parent is not None and manifest.sequence == 2
    assert [segment.n_items for segment in manifest.segments] == [10, 1]
    assert [segment.n_deleted for segment in manifest.segments] == [0, 1]
    new = set(ReleaseStore(storage).objects()) - before
    assert len(new) == 5  # rows, vectors, details, terms, and gram: jaws was one of the items that users met
    assert done.bytes_written == sum(
        o.size for sha, o in ReleaseStore(storage).objects().items() if sha in new
    )
    assert items_in(storage, cache) == set(FILMS) - {"jaws"} | {"up"}


def test_two_workspaces_with_the_same_data_publish_one_release(
    make_workspace: MakeWorkspace, folder: Storage
) -> None:
    made = [make_workspace(name) for name in ("one", "two")]
    for film_workspace in made:
        film_workspace.items(FILMS)
        film_workspace.build()
    first, second = (film_workspace.publish(folder) for film_workspace in made)
    assert (second.outcome, second.release) == ("unchanged", first.release)


def two_workspaces_on_one_release(
    make_workspace: MakeWorkspace, storage: Storage
) -> tuple[FilmWorkspace, FilmWorkspace]:
    one, two = make_workspace("one"), make_workspace("two")
    for film_workspace in (one, two):
        film_workspace.items(FILMS)
        film_workspace.ratings([("ann", "alien")])
        film_workspace.build().publish(storage)
    one.items(UP, day=1)
    one.ratings([("bob", "up")], day=1)
    two.items(HER, day=2)
    two.ratings([("cy", "her")], day=2)
    return one.build(), two.build()


def test_the_later_of_two_publishers_keeps_the_others_delta(
    make_workspace: MakeWorkspace, storage: Storage, cache: Path
) -> None:
    one, two = two_workspaces_on_one_release(make_workspace, storage)
    one.publish(storage)
    done = two.publish(storage)
    assert done.rebased
    opened = Release.open(storage.url, cache=cache)
    assert set(opened.items) == {*FILMS, "up", "her"}
    assert opened.users == ("ann", "bob", "cy")
    assert (done.manifest.users.n_items, done.manifest.users.n_users) == (3, 3)
    vectors = np.stack([opened.profile(item) for item in ("alien", "up", "her")]).astype(np.float64)
    gram = opened._profiles.gram()
    assert np.allclose(gram, vectors.T @ vectors, atol=1e-3)
    # The next release of either workspace keeps what the other one added.
    two.items(RAN, day=3)
    two.build().publish(storage)
    assert items_in(storage, cache) == {*FILMS, "up", "her", "ran"}
    one.items({"it": "A clown lives in the sewers"}, day=4)
    one.build().publish(storage)
    assert items_in(storage, cache) == {*FILMS, "up", "her", "ran", "it"}


def test_two_publishers_at_once_both_get_in(
    make_workspace: MakeWorkspace, storage: Storage, cache: Path
) -> None:
    workspaces = two_workspaces_on_one_release(make_workspace, storage)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda film_workspace: film_workspace.publish(storage), workspaces))
    assert items_in(storage, cache) == {*FILMS, "up", "her"}
    assert {one.outcome for one in done} == {"published"}
    assert ReleaseStore(storage).current().current.generation == 3
    line = [one.release for one in releases(storage) if one.in_line]
    assert set(line) >= {one.release for one in done}


def test_compaction_on_one_side_and_an_arrival_on_the_other_join(
    make_workspace: MakeWorkspace, folder: Storage, cache: Path
) -> None:
    from recsys.catalogue.compaction import merge_parts, remove_merged
    from recsys.catalogue.kinds import CATALOGUE
    from recsys.catalogue.parts import list_parts

    one, two = two_workspaces_on_one_release(make_workspace, folder)
    one.publish(folder)
    merge_parts(list_parts(one.at.data, CATALOGUE), one.at.data, one.at.staging)
    remove_merged(one.at.data)
    merged = one.build().publish(folder)
    assert merged.outcome == "published"
    assert [len(segment.parts) for segment in merged.manifest.segments] == [2]
    assert len(merged.manifest.provenance.arrivals) == 4  # compaction forgets no source
    joined = two.publish(folder)
    assert sorted(len(segment.parts) for segment in joined.manifest.segments) == [1, 2]
    assert items_in(folder, cache) == {*FILMS, "up", "her"}


def test_two_workspaces_that_merged_the_same_part_differently_are_refused(
    make_workspace: MakeWorkspace, folder: Storage
) -> None:
    from recsys.catalogue.compaction import merge_parts
    from recsys.catalogue.kinds import CATALOGUE
    from recsys.catalogue.parts import list_parts

    one, two = two_workspaces_on_one_release(make_workspace, folder)
    for film_workspace in (one, two):
        merge_parts(
            list_parts(film_workspace.at.data, CATALOGUE), film_workspace.at.data, film_workspace.at.staging
        )
    one.build().publish(folder)
    with pytest.raises(ReleaseError, match="have merged part 000001-.* with different others"):
        two.build().publish(folder)


def test_rollback_holds_and_resume_lets_the_newest_in(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path
) -> None:
    first = film_workspace.publish(storage).release
    film_workspace.items(UP, day=1)
    second = film_workspace.build().publish(storage).release
    held = rollback(storage, "previous", "eve", "bad titles")
    assert held.hold is not None
    assert (held.release, held.hold.why, held.hold.head) == (first, "bad titles", second)
    film_workspace.items(HER, day=2)
    third = film_workspace.build().publish(storage)
    assert third.outcome == "held"
    assert current(storage).id == first
    assert film_workspace.publish(storage).outcome == "unchanged"
    assert third.manifest.parent == second
    after = resume(storage, "eve")
    assert (after.release, after.hold) == (third.release, None)
    assert resume(storage, "eve") == after
    assert items_in(storage, cache) == {*FILMS, "up", "her"}


def test_another_encoder_needs_the_flag(film_workspace: FilmWorkspace, folder: Storage, cache: Path) -> None:
    first = film_workspace.publish(folder)
    film_workspace.set_model(tiny_model(cache / "encoders", "other"))
    film_workspace.build()
    with pytest.raises(ReleaseError, match="recsys publish --new-encoder"):
        film_workspace.publish(folder)
    assert current(folder).id == first.release
    done = film_workspace.publish(folder, new_model=True)
    assert current(folder).model.hash == film_workspace.model.hash
    assert len(done.manifest.segments) == 1


def test_another_encoder_cannot_take_over_parts_that_it_has_no_vectors_of(
    make_workspace: MakeWorkspace, folder: Storage, cache: Path
) -> None:
    one, two = two_workspaces_on_one_release(make_workspace, folder)
    one.publish(folder)
    two.set_model(tiny_model(cache / "encoders", "other"))
    with pytest.raises(ReleaseError, match="has parts that this workspace lacks"):
        two.build().publish(folder, new_model=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda at: next(at.features.iterdir()).unlink(), "profiles of part 000001"),
        (lambda at: (at.index / "index.json").write_text("[]"), "profiles and index are of different runs"),
        (lambda at: (at.users / "gram.npy").write_bytes(b"?"), "users and champion are of different runs"),
        (lambda at: shutil.rmtree(at.data), "is not in data/ any more"),
    ],
    ids=["features", "index", "gram", "data"],
)
def test_artifacts_of_different_runs_are_refused(
    film_workspace: FilmWorkspace, folder: Storage, spoil: Callable[[object], None], words: str
) -> None:
    spoil(film_workspace.at)
    with pytest.raises(ReleaseError, match=words):
        film_workspace.publish(folder)
    assert folder.list("") == []


def test_users_that_were_learned_before_the_last_profiles_or_histories_are_refused(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    users = [film_workspace.at.users / name for name in ("users.json", "gram.npy")]
    kept = [path.read_bytes() for path in users]
    for change in (
        lambda: film_workspace.items(UP, day=1),
        lambda: film_workspace.ratings([("cy", "up")], day=2),
    ):
        change()
        film_workspace.build()
        now = [path.read_bytes() for path in users]
        for path, content in zip(users, kept, strict=True):
            path.write_bytes(content)
        with pytest.raises(ReleaseError, match="users and profiles are of different runs"):
            film_workspace.publish(folder)
        kept = now
    assert folder.list("") == []
    film_workspace.build().publish(folder)


def test_texts_made_by_other_params_are_refused(film_workspace: FilmWorkspace, folder: Storage) -> None:
    params = film_workspace.settings.features.model_copy(update={"max_chars": 5})
    with pytest.raises(ReleaseError, match="texts of part 000001"):
        film_workspace.publish(folder, features=params)


def test_a_poor_index_is_refused_before_readers_see_it(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    entries = json.loads((film_workspace.at.index / "index.json").read_text())
    entries[0]["recall"] = 0.5
    (film_workspace.at.index / "index.json").write_text(json.dumps(entries))
    with pytest.raises(ReleaseError, match=r"recall@10 0.500"):
        film_workspace.publish(folder)
    assert folder.find("CURRENT") is None


def test_an_object_that_arrives_corrupt_is_sent_again(
    film_workspace: FilmWorkspace, folder: FolderStorage
) -> None:
    done = film_workspace.publish(folder)
    (folder.root / "CURRENT").unlink()
    victim = folder.path(f"objects/{done.manifest.segments[0].vectors.sha256}")
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert film_workspace.publish(folder).release == done.release
    assert Release.open(folder.url).verify() == 9


def test_a_disk_that_keeps_corrupting_is_named(film_workspace: FilmWorkspace, tmp_path: Path) -> None:
    class Rotten(FolderStorage):
        def write(self, key: str, content: bytes | Path) -> None:
            super().write(key, b"rot" if key.startswith("objects/") else content)

    rotten = Rotten(str(tmp_path / "rotten"))
    with pytest.raises(ReleaseError, match=r"object [0-9a-f]{64} \(.*\) in .* is corrupt"):
        film_workspace.publish(rotten)
    assert rotten.find("CURRENT") is None


def test_a_lost_reply_after_a_swap_counts_as_success(film_workspace: FilmWorkspace, tmp_path: Path) -> None:
    class Forgetful(FolderStorage):
        def swap(self, key: str, content: bytes, expected: str | None) -> None:
            super().swap(key, content, expected)
            raise StorageError("connection reset")

    done = film_workspace.publish(Forgetful(str(tmp_path / "store")))
    assert done.outcome == "published"
    assert ReleaseStore(open_storage(str(tmp_path / "store"))).current().current.release == done.release


@pytest.mark.parametrize("name", ["model_hash", "encoder_hash"])  # the second in files of older versions
def test_metrics_and_decision_of_another_model_are_left_out(
    film_workspace: FilmWorkspace, folder: Storage, name: str
) -> None:
    for path, content in (
        (film_workspace.at.metrics, {"cold/recall@20": 0.3}),
        (film_workspace.at.report, {name: film_workspace.model.hash}),
        (film_workspace.at.decision, {name: "f" * 64, "open": True}),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    manifest = film_workspace.publish(folder).manifest
    assert manifest.metrics == {"cold/recall@20": 0.3}
    assert manifest.decision is None


class DieAt:
    """Wraps a storage: the process dies around its n-th write, before it or after it."""

    def __init__(self, storage: Storage, n: int, after: bool) -> None:
        self._storage, self._left, self._after = storage, n, after

    def __getattr__(self, name: str) -> object:
        found = getattr(self._storage, name)
        if name not in ("write", "swap", "delete", "move"):
            return found

        def dying(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                os._exit(9)
            result = found(*arguments)
            if self._left == 0:
                os._exit(9)
            return result

        return dying


def published_in_child(film_workspace: FilmWorkspace, storage: object) -> bool:
    """Publish in a forked child; whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            film_workspace.publish(storage)  # type: ignore[arg-type]
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.whole
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_write_and_run_again_gives_the_same_release(
    film_workspace: FilmWorkspace, tmp_path: Path, cache: Path, after: bool
) -> None:
    def fresh(name: str) -> tuple[FilmWorkspace, Storage]:
        root = shutil.copytree(film_workspace.at.root, tmp_path / name / "workspace")
        return FilmWorkspace(root, film_workspace.model), open_storage(str(tmp_path / name / "store"))

    def second_release(one: FilmWorkspace, storage: Storage) -> FilmWorkspace:
        one.publish(storage)
        one.items(UP, day=1)
        return one.build()

    expected_workspace, expected_store = fresh("undisturbed")
    expected: Published = second_release(expected_workspace, expected_store).publish(expected_store)
    boundaries = 0
    while True:
        again, storage = fresh(f"{after}-{boundaries}")
        second_release(again, storage)
        finished = published_in_child(again, DieAt(storage, boundaries + 1, after))
        assert items_in(storage, cache) in ({*FILMS}, {*FILMS, "up"})
        assert again.publish(storage).release == expected.release
        assert current(storage).to_bytes() == expected.manifest.to_bytes()
        if finished:
            break
        boundaries += 1
    assert boundaries == 6  # rows, vectors, details, terms, manifest, pointer


def test_a_reader_that_polls_never_sees_a_torn_release(
    make_workspace: MakeWorkspace, storage: Storage, tmp_path: Path
) -> None:
    film_workspace = make_workspace("films")
    film_workspace.items(FILMS)
    film_workspace.build().publish(storage)
    read: list[set[str]] = []
    with ThreadPoolExecutor(1) as pool:
        publisher = pool.submit(publish_five, film_workspace, storage)
        while not publisher.done():
            read.append(items_in(storage, tmp_path / "reader"))
        publisher.result()
    read.append(items_in(storage, tmp_path / "reader"))
    sizes = [len(items) for items in read]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(FILMS) + 5


def publish_five(film_workspace: FilmWorkspace, storage: Storage) -> None:
    for day in range(1, 6):
        film_workspace.items({f"sequel-{day}": f"Part {day} of a long story"}, day=day)
        film_workspace.build().publish(storage)


def test_the_published_vector_is_the_texts_own(
    film_workspace: FilmWorkspace, folder: Storage, cache: Path
) -> None:
    film_workspace.publish(folder)
    opened = Release.open(folder.url, cache=cache)
    _, row = opened.place_of("alien")
    assert np.array_equal(opened.profile("alien"), vector_of(row["text_hash"]))


def test_users_of_two_pseudonym_keys_never_join_one_release(
    make_workspace: MakeWorkspace, folder: Storage
) -> None:
    one, two = two_workspaces_on_one_release(make_workspace, folder)
    remember_key(one.at.pseudonyms, Pseudonyms("one-key-of-sixteen-characters"))
    first = one.publish(folder)
    remember_key(two.at.pseudonyms, Pseudonyms("two-key-of-sixteen-characters"))
    with pytest.raises(ReleaseError, match=f"release {first.release} were made with another key"):
        two.publish(folder)
    assert ReleaseStore(folder).current().current.release == first.release
    remember_key(two.at.pseudonyms, Pseudonyms("one-key-of-sixteen-characters\n"))
    joined = two.publish(folder).manifest
    assert joined.pseudonym_key_check == first.manifest.pseudonym_key_check is not None


def test_a_new_preprocessing_makes_every_profile_again_once_and_keeps_the_old_release(
    film_workspace: FilmWorkspace, folder: Storage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        for module in ("features.text", "publishing.draft", "models.encoding"):
            before.setattr(f"recsys.{module}.PREPROCESSING_VERSION", 1)
        before.setattr("tests.publishing.film_workspace.PREPROCESSING_VERSION", 1)
        old = film_workspace.build().publish(folder)
    new = film_workspace.build().publish(folder)
    assert (old.manifest.preprocessing.version, new.manifest.preprocessing.version) == (1, 3)
    assert (new.outcome, new.manifest.parent) == ("published", old.release)
    assert not {s.name for s in old.manifest.segments} & {s.name for s in new.manifest.segments}
    assert film_workspace.build().publish(folder).outcome == "unchanged"
    opened = Release.open(folder.url, release=old.release)
    assert opened.items == Release.open(folder.url).items
    assert opened.verify() == len(old.manifest.files())
