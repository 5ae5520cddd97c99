"""The consumer's door, with real vectors, on a folder; what it refuses, and what it never does."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms, remember_key
from recsys.effects.rollback import rollback
from recsys.encoders.reference import HEAD, TERMS
from recsys.errors import ConfigError, EncoderError, ReleaseError
from recsys.models.legacy import parts_of_legacy
from recsys.models.reference import ModelReference
from recsys.profiles.ridge import Ridge
from recsys.publishing import released_profiles
from recsys.publishing.formats import NEWEST
from recsys.publishing.listing import releases
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.serving.trace import trace
from recsys.storage.folder import FolderStorage
from recsys.storage.packed import PackedFile
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, UP, FilmWorkspace


@pytest.fixture
def opened(film_workspace: FilmWorkspace, folder: FolderStorage) -> Release:
    film_workspace.publish(folder)
    return Release.open(folder.url)


def test_text_search_similar_and_smoke_lists_speak_the_same_language(
    encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    done = encoded_workspace.publish(folder)
    opened = Release.open(folder.url, cache=tmp_path / "reader")
    assert opened.search("a shark in the sea", 1)[0].item_id == "jaws"
    assert opened.similar("alien", 2)[0].item_id == "gravity"
    assert len(done.manifest.smoke) == 8
    by_text = {text: item for item, text in FILMS.items()}
    for query in done.manifest.smoke:
        assert query.neighbours[0] == by_text[query.text]
    with pytest.raises(ReleaseError, match="empty text"):
        opened.search("  ")


def test_a_catalogue_that_doubles_passes_the_smoke_check_and_drifted_vectors_do_not(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    encoded_workspace.publish(folder)
    encoded_workspace.items({f"{item}-2": f"{text} again" for item, text in FILMS.items()}, day=1)
    second = encoded_workspace.build().publish(folder)
    assert second.manifest.parent is not None
    # The same part under the same key, with other vectors: what a faulty machine or library would bring.
    for vectors in sorted(encoded_workspace.at.profiles("champion").glob("*.vectors.npy")):
        np.save(vectors, np.ascontiguousarray(np.load(vectors)[::-1]))
    encoded_workspace.items(UP, day=2)
    with pytest.raises(ReleaseError, match="the neighbours of .* drifted"):
        encoded_workspace.build().publish(folder)


def test_recommendations_are_the_ridge_over_the_users_items(opened: Release) -> None:
    profiles = np.stack([opened.profile(item) for item in opened.items]).astype(np.float64)
    row = {item: n for n, item in enumerate(opened.items)}
    b = profiles[row["alien"]] + profiles[row["jaws"]]
    weights = Ridge(opened._profiles.gram(), 10.0).weights(b[None])[0]
    expected = sorted(
        (-float(profiles[row[i]] @ weights), i) for i in opened.items if i not in ("alien", "jaws")
    )
    found = opened.recommend(pseudonym="ann", k=20)
    assert [one.item_id for one in found] == [item for _, item in expected]
    assert [one.score for one in found] == pytest.approx([-score for score, _ in expected], abs=1e-5)
    assert opened.recommend(history=["jaws", "alien"], k=20) == found
    assert len(opened.recommend(pseudonym="ann", k=20, exclude_seen=False)) == len(FILMS)


def test_similar_leaves_the_item_itself_out(opened: Release) -> None:
    found = opened.similar("alien", 100)
    assert len(found) == len(FILMS) - 1
    assert "alien" not in {one.item_id for one in found}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_unknown_names_are_refused_with_a_remedy(opened: Release) -> None:
    for ask, words in (
        (lambda: opened.profile("nope"), "item 'nope' is not in release"),
        (lambda: opened.similar("nope"), "item 'nope' is not in release"),
        (lambda: opened.recommend(pseudonym="nobody"), "user with pseudonym 'nobody' has no history"),
        (lambda: opened.recommend(history=["nope"]), "no item of the history has a profile .* 'nope'"),
        (lambda: opened.recommend(history=[]), r"\(empty\)"),
    ):
        with pytest.raises(ReleaseError, match=words) as caught:
            ask()
        assert caught.value.remedy
    for arguments in ({}, {"pseudonym": "ann", "history": ["jaws"]}, {"user": "ann", "pseudonym": "ann"}):
        with pytest.raises(ValueError, match="one of user, pseudonym and history"):
            opened.recommend(**arguments)


def test_a_raw_user_id_works_where_the_key_is_at_hand(
    film_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-sixteen-characters"
    film_workspace.ratings([(Pseudonyms(key).of("raw-42"), "heat")], day=1)
    film_workspace.build().publish(folder)
    with pytest.raises(ConfigError, match="RECSYS_PSEUDONYM_KEY"):
        Release.open(folder.url).recommend("raw-42")
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", f"{key}\n")
    assert "heat" not in {one.item_id for one in Release.open(folder.url).recommend("raw-42", k=20)}


def test_a_raw_id_that_is_another_users_pseudonym_gets_nothing_of_that_user(
    film_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-sixteen-characters"
    pseudonym = Pseudonyms(key).of("raw-42")
    film_workspace.ratings([(pseudonym, "heat")], day=1)
    film_workspace.build().publish(folder)
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", key)
    release = Release.open(folder.url)
    assert release.recommend(pseudonym=pseudonym) == release.recommend(user="raw-42")
    with pytest.raises(ReleaseError, match="has no history"):
        release.recommend(user=pseudonym)


def test_a_release_knows_another_key_from_its_own(
    film_workspace: FilmWorkspace, folder: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-sixteen-characters"
    film_workspace.ratings([(Pseudonyms(key).of("raw-42"), "heat")], day=1)
    remember_key(film_workspace.at.pseudonyms, Pseudonyms(key))
    film_workspace.build().publish(folder)
    release = Release.open(folder.url)
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", key)
    assert release.recommend(user="raw-42", k=3)
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "another-key-of-sixteen-characters")
    with pytest.raises(ConfigError, match=f"not the key .* of release {release.id}"):
        release.recommend(user="raw-42")
    assert key not in release.manifest.to_bytes().decode()


def test_a_release_from_before_there_was_a_check_value_keeps_its_id(opened: Release) -> None:
    assert b"pseudonym_key_check" not in opened.manifest.to_bytes()


def test_an_export_holds_every_live_profile(opened: Release, tmp_path: Path) -> None:
    assert opened.export(tmp_path / "out" / "profiles.parquet") == len(FILMS)
    table = pq.read_table(tmp_path / "out" / "profiles.parquet")
    assert table.schema.names == ["item_id", "vector", "release"]
    assert [str(field.type) for field in table.schema] == ["string", "list<element: float>", "string"]
    assert set(table["release"].to_pylist()) == {opened.id}
    for item, vector in zip(table["item_id"].to_pylist(), table["vector"].to_pylist(), strict=True):
        assert np.array_equal(np.array(vector, np.float32), opened.profile(item))


def test_an_open_release_does_not_change_when_another_is_published(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    film_workspace.publish(folder)
    before = Release.open(folder.url)
    film_workspace.items({**UP, "jaws": None}, day=1)
    film_workspace.build().publish(folder)
    assert set(before.items) == set(FILMS)
    assert set(Release.open(folder.url).items) == set(FILMS) - {"jaws"} | {"up"}
    assert set(Release.open(folder.url, release=before.id).items) == set(FILMS)


@pytest.mark.parametrize("which", ["rows", "vectors", "gram", "history"])
def test_a_corrupt_object_is_refused_and_named(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path, which: str
) -> None:
    manifest = film_workspace.publish(storage).manifest
    file = {
        "rows": manifest.segments[0].rows,
        "vectors": manifest.segments[0].vectors,
        "gram": manifest.users.gram,
        "history": manifest.histories[0].file,
    }[which]
    content = storage.read(f"objects/{file.sha256}")
    storage.write(f"objects/{file.sha256}", content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ReleaseError, match=f"object {file.sha256} .* is corrupt"):
        Release.open(storage.url, cache=cache).recommend(pseudonym="ann")
    storage.write(f"objects/{file.sha256}", content)
    assert Release.open(storage.url, cache=cache).recommend(pseudonym="ann")


def test_a_missing_object_is_refused_and_named(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path
) -> None:
    manifest = film_workspace.publish(storage).manifest
    storage.delete(f"objects/{manifest.segments[0].rows.sha256}")
    with pytest.raises(ReleaseError, match=f"object {manifest.segments[0].rows.sha256} .* is missing"):
        _ = Release.open(storage.url, cache=cache).items
    with pytest.raises(ReleaseError, match="is missing"):
        rollback(storage, manifest.id, "eve", "try")


def test_a_damaged_manifest_is_refused(film_workspace: FilmWorkspace, folder: FolderStorage) -> None:
    release = film_workspace.publish(folder).release
    path = folder.path(f"releases/{release}/manifest.json")
    path.write_bytes(path.read_bytes().replace(b"c0ffee", b"decade"))
    with pytest.raises(ReleaseError, match=f"manifest of release {release} fails its checksum"):
        Release.open(folder.url)
    (listed,) = releases(folder)  # a person who looks for a way out still gets the list
    assert listed.release == release
    assert listed.fault is not None and "fails its checksum" in listed.fault


def test_a_release_of_the_first_format_keeps_its_id_and_its_bytes() -> None:
    content = (
        Path(__file__).with_name("manifest_before_heads.json").read_bytes()
    )  # written before there were heads
    manifest = Manifest.from_bytes(content, "000001-ad0ea29330")
    assert manifest.id == "000001-ad0ea29330" and manifest.to_bytes() == content


def test_a_release_of_a_model_without_parts_but_with_a_head_names_its_parts(
    film_workspace: FilmWorkspace, folder: FolderStorage
) -> None:
    encoder = film_workspace.model.encoder
    packed = film_workspace.at.encoders / encoder.hash
    for name in (HEAD, TERMS):
        (packed / name).write_text(f"tiny {name}")
    files = (*encoder.files, *(PackedFile.of(packed / name) for name in (HEAD, TERMS)))
    lump = encoder.model_copy(update={"files": files}).model_dump(mode="json")
    film_workspace.set_model(ModelReference.model_validate(parts_of_legacy(lump | {"ridge_lambda": 30.0})))
    manifest = film_workspace.publish(folder).manifest
    assert "model" in json.loads(manifest.to_bytes()) and manifest.model.users.ridge_lambda == 30.0
    assert Manifest.from_bytes(manifest.to_bytes(), manifest.id) == manifest


def test_the_first_known_users_are_read_alone_and_further_ones_with_all_others(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film_workspace.publish(folder)
    everybody, alone = Release.open(folder.url, cache=cache), Release.open(folder.url, cache=cache)
    users = everybody.users
    monkeypatch.setattr(released_profiles, "READ_ALONE", 2)
    for user in users[:2]:
        assert alone.recommend(pseudonym=user, k=5) == everybody.recommend(pseudonym=user, k=5)
    assert "histories" not in vars(alone._profiles)
    assert alone.recommend(pseudonym=users[2], k=5) == everybody.recommend(pseudonym=users[2], k=5)
    assert "histories" in vars(alone._profiles)
    with pytest.raises(ReleaseError, match="no history"):
        Release.open(folder.url, cache=cache).recommend(pseudonym="nobody", k=5)


def test_users_are_plain_sums_where_profiles_hold_words_and_what_fills_them_up_ranks_nothing(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    encoder = film_workspace.model.encoder.model_copy(update={"lexical_width": 3})
    film_workspace.set_model(ModelReference.of(encoder))
    film_workspace.publish(folder)
    release = Release.open(folder.url, cache=cache)
    user = release.users[0]
    history = release._profiles.histories.items_of(user)
    everybody = {item for one in release.users for item in release._profiles.histories.items_of(one)}
    b = np.sum([release.profile(item) for item in history], axis=0, dtype=np.float64)
    rest = np.stack([release.profile(item)[3:] for item in sorted(everybody)]).astype(np.float64)
    weights = np.linalg.solve(rest.T @ rest + release.ridge_lambda * np.eye(rest.shape[1]), b[3:])
    new_to_user = [item for item in release.items if item not in history]
    expected = {
        item: release.profile(item)[1:3] @ b[1:3] / release.ridge_lambda + release.profile(item)[3:] @ weights
        for item in new_to_user
    }
    for found in release.recommend(pseudonym=user, k=len(new_to_user)):
        assert found.score == pytest.approx(expected[found.item_id], abs=1e-3)
    item = release.items[0]
    for found in release.similar(item, len(release.items)):
        assert found.score == pytest.approx(
            release.profile(item)[1:] @ release.profile(found.item_id)[1:], abs=1e-5
        )


def test_a_newer_format_is_refused_with_a_clear_word(
    film_workspace: FilmWorkspace, folder: FolderStorage
) -> None:
    manifest = film_workspace.publish(folder).manifest
    import hashlib

    newer = json.dumps(json.loads(manifest.to_bytes()) | {"format": NEWEST + 1, "wings": True}).encode()
    release = f"000001-{hashlib.sha256(newer).hexdigest()[:10]}"
    folder.write(f"releases/{release}/manifest.json", newer)
    with pytest.raises(
        ReleaseError,
        match=rf"has format {NEWEST + 1}, this Firstlight reads formats 1 to {NEWEST}\n  remedy: upgrade",
    ):
        Release.open(folder.url, release=release)
    pointer = json.loads(folder.read("CURRENT"))
    folder.write("CURRENT", json.dumps(pointer | {"format": 2}).encode())
    with pytest.raises(ReleaseError, match=r"CURRENT in .* has format 2"):
        ReleaseStore(folder).current()


def test_an_empty_store_and_an_unknown_release_say_what_to_do(
    folder: Storage, film_workspace: FilmWorkspace
) -> None:
    with pytest.raises(ReleaseError, match=r"holds no release\n  remedy: recsys publish"):
        Release.open(folder.url)
    film_workspace.publish(folder)
    for unknown in ("000009-0123456789", "../../etc/passwd"):
        with pytest.raises(ReleaseError, match="recsys releases"):
            Release.open(folder.url, release=unknown)


@pytest.mark.servers
def test_downloads_are_kept_and_a_damaged_one_is_fetched_again(
    film_workspace: FilmWorkspace, bucket: str, tmp_path: Path
) -> None:
    from recsys.storage.opening import open_storage

    storage = open_storage(f"s3://{bucket}")
    manifest = film_workspace.publish(storage).manifest
    first = Release.open(storage.url, cache=tmp_path / "c")
    first.verify()
    kept = tmp_path / "c" / "releases" / "objects" / manifest.segments[0].rows.sha256
    stamp = kept.stat().st_mtime_ns
    Release.open(storage.url, cache=tmp_path / "c").verify()
    assert kept.stat().st_mtime_ns == stamp
    kept.write_bytes(b"\0" * manifest.segments[0].rows.size)
    with pytest.raises(ReleaseError, match="is corrupt"):
        Release.open(storage.url, cache=tmp_path / "c").verify()
    assert Release.open(storage.url, cache=tmp_path / "c").verify() == 9


def test_a_profile_is_traced_to_its_source_also_after_compaction(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    from recsys.catalogue.compaction import merge_parts, remove_merged
    from recsys.catalogue.kinds import CATALOGUE
    from recsys.catalogue.parts import list_parts

    film_workspace.at.data_dvc.write_text("outs:\n- md5: d1.dir\n  path: data\n")
    film_workspace.publish(folder)
    part = film_workspace.items({"jaws": "A shark. Now in colour.", **UP}, day=1)
    film_workspace.at.data_dvc.write_text("outs:\n- md5: d2.dir\n  path: data\n")
    film_workspace.build().publish(folder)
    found = trace(Release.open(folder.url), "jaws")
    assert (found.part, found.line, found.source) == (part.id, 1, "films-1.jsonl")
    assert (found.source_sha256, found.data_version) == (part.arrival.sha256, "d2.dir")
    assert (found.code_commit, found.encoder_hash) == ("c0ffee", film_workspace.model.encoder.hash)
    assert found.model_hash == film_workspace.model.hash
    assert trace(Release.open(folder.url), "heat").data_version == "d1.dir"
    merge_parts(
        list_parts(film_workspace.at.data, CATALOGUE), film_workspace.at.data, film_workspace.at.staging
    )
    remove_merged(film_workspace.at.data)
    film_workspace.build().publish(folder)
    after = trace(Release.open(folder.url), "jaws")
    assert after.segment != found.segment
    same = ("part", "line", "source", "source_sha256", "text_hash", "updated_at", "data_version")
    assert [getattr(after, name) for name in same] == [getattr(found, name) for name in same]
    assert trace(Release.open(folder.url), "heat").source == "films-0.jsonl"


def test_a_release_is_searched_as_its_own_texts_were_made(
    encoded_workspace: FilmWorkspace, folder: FolderStorage, tmp_path: Path
) -> None:
    encoded_workspace.publish(folder)
    opened = Release.open(folder.url, cache=tmp_path / "reader")
    plain, marked = "sharks & boats", "<p>sharks &amp;amp; bo\u00adats</p>"
    assert opened.search(marked) == opened.search(plain)
    with pytest.raises(ReleaseError, match="empty text"):
        opened.search("<br>&nbsp;")

    def of_version(version: int) -> Release:
        made = opened.manifest.preprocessing.model_copy(update={"version": version})
        return Release(opened.manifest.model_copy(update={"preprocessing": made}), opened._profiles)

    assert of_version(1).search(marked) != opened.search(plain)
    assert of_version(1).search(" sharks  &\nboats") == opened.search(plain)
    with pytest.raises(EncoderError, match=r"preprocessing 4, known are 1, 2, 3.*\n.*upgrade"):
        of_version(4).search(plain)
