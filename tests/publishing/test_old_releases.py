"""Releases of every format so far, as the code of their time wrote them, give the lists that it gave."""

import json
from pathlib import Path

import pytest

from recsys import Release
from recsys.artifacts import Artifacts
from recsys.models.packed import find_model, verify_model
from recsys.models.reference import ModelReference
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.published_model import bring_model
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.recommender import Recommender
from recsys.storage.opening import open_storage

RELEASES = Path(__file__).resolve().parents[1] / "fixtures/releases"
FORMATS = (1, 2, 3, 4, 5, 6, 7)
TOLERANCE = 2e-6  # scores are kept with six decimals


@pytest.fixture(params=FORMATS, ids="format {}".format)
def old(request, tmp_path):
    """An opened release, and what it answered when it was made."""
    folder = RELEASES / str(request.param)
    expected = json.loads((folder / "lists.json").read_text("utf-8"))
    return Release.open(folder / "store", cache=tmp_path), expected


def assert_same(found, expected):
    assert [one.item_id for one in found] == [item for item, _ in expected]
    assert [one.score for one in found] == pytest.approx([score for _, score in expected], abs=TOLERANCE)


def test_it_is_of_the_format_its_folder_names_and_names_every_object_of_its_store(old):
    release, expected = old
    objects = {path.name for path in (RELEASES / str(expected["format"]) / "store/objects").iterdir()}
    assert {file.sha256 for file in release.manifest.files()} == objects  # `collect` deletes all others
    assert release.id == expected["release"] and release.manifest.format == expected["format"]
    assert release.verify() == len(release.manifest.files())
    assert sorted(release.items) == expected["items"] and len(release.users) == expected["n_users"]


def test_users_get_the_lists_that_the_code_of_its_time_gave(old):
    release, expected = old
    assert len(expected["recommend"]) >= 20
    for user, items in expected["recommend"].items():
        assert_same(release.recommend(pseudonym=user, k=10), items)
    for history, items in expected["history"].items():
        assert_same(release.recommend(history=history.split(","), k=10), items)


def test_items_and_texts_find_the_neighbours_that_they_found(old):
    release, expected = old
    for item, items in expected["similar"].items():
        assert_same(release.similar(item, 5), items)
    for text, items in expected["search"].items():
        assert_same(release.search(text, 5), items)


def test_every_format_has_its_release():
    assert sorted(path.name for path in RELEASES.iterdir() if path.is_dir()) == [str(n) for n in FORMATS]


def test_rankers_and_parts_that_formats_introduced_are_there():
    manifests = {n: next((RELEASES / str(n)).glob("store/releases/*/manifest.json")) for n in FORMATS}
    plain = {n: json.loads(path.read_text("utf-8")) for n, path in manifests.items()}
    names = {n: {file["name"] for file in plain[n]["encoder"]["files"]} for n in FORMATS[:5]}
    assert "head.npz" not in names[1] and "head.npz" in names[2]
    assert plain[2]["ranker"] == {"name": "dot"} and plain[3]["ranker"] == {"name": "item_weights"}
    assert "item_weights.npz" in names[3] and "pseudonym_key_check" not in plain[3]
    assert plain[4]["pseudonym_key_check"] and plain[5]["encoder"]["lexical_width"]
    parted = plain[6]["model"]
    assert "encoder" not in plain[6] and parted["head"]["lexical_width"] and parted["users"]["ridge_lambda"]
    assert [file["name"] for file in parted["ranker"]["files"]] == ["item_weights.npz"]
    assert all({"details", "terms"} <= segment.keys() for segment in plain[7]["segments"])
    assert set(plain[7]["search"]) == {"k1", "b", "lexical_weight", "user_weight", "text_weight"}


def test_parts_give_the_lists_that_a_model_without_parts_gave():
    """Formats 5 and 6 were trained alike, by the code before there were parts and by the code that made them."""
    legacy, parted = (json.loads((RELEASES / str(n) / "lists.json").read_text("utf-8")) for n in (5, 6))
    differing = ("format", "release")
    assert {key: legacy[key] for key in legacy if key not in differing} == {
        key: parted[key] for key in parted if key not in differing
    }


def test_conditions_and_details_are_those_that_the_code_of_its_time_gave(tmp_path):
    """From format 7 on a release holds what they need."""
    expected = json.loads((RELEASES / "7/lists.json").read_text("utf-8"))
    store = ReleaseStore(open_storage(str(RELEASES / "7/store")))
    manifest = store.manifest(expected["release"])
    recommender = Recommender(manifest, Profiles(manifest, ObjectFiles(store.storage, tmp_path)))
    ((where, items),) = expected["where"].items()
    wanted = ListRequest(k=8, where=json.loads(where))
    assert_same(recommender.recommend(Taste(likes=("i001", "i002")), wanted).items, items)
    assert recommender.items.details_of(["i003", "i020"]) == expected["details"]


def test_a_workspace_takes_over_its_model_with_the_keys_of_its_time(old, tmp_path, monkeypatch):
    release, expected = old
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "own"))
    at = Artifacts(tmp_path / "workspace")
    model = bring_model(open_storage(str(RELEASES / str(expected["format"]) / "store")), at)
    plain = json.loads(release.manifest.to_bytes())
    if "model" in plain:
        assert (
            model.model_dump(mode="json") == plain["model"] and len({part.kind for part in model.parts}) == 3
        )
    else:
        legacy = plain["encoder"]
        assert model.hash == model.profiles_hash == legacy["hash"] and model.dim == legacy["dim"]
        assert model.users.ridge_lambda == legacy.get("ridge_lambda")
        (at.cache / "models" / f"{model.hash}.json").unlink()  # the encoder's folder tells all of it
    verify_model(model, at.cache)
    assert find_model(model.hash, at.cache) == model.model_copy(update={"registry": None})
    assert ModelReference.load(at.model_reference("champion")) == model
