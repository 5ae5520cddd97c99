"""The published encoder in a workspace, and publishing onto one release only."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys import Release
from recsys.artifacts import Artifacts
from recsys.effects.resume import resume
from recsys.effects.rollback import rollback
from recsys.encoders.reference import EncoderReference
from recsys.errors import OtherModel, Overtaken, ReleaseError
from recsys.features.text import PREPROCESSING_VERSION, feature_files
from recsys.models.packed import verify_model
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.publishing.published_model import bring_model
from recsys.publishing.store import ReleaseStore
from tests.publishing.film_workspace import HER, UP, tiny_model, vector_of

NARROW = 4


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A workspace on another machine: nothing in its cache."""

    def go():
        monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "other-cache"))
        return Artifacts(tmp_path / "other")

    return go


def reference_of(at):
    return ModelReference.load(at.model_reference("champion"))


def test_before_the_first_release_there_is_none(folder, elsewhere):
    at = elsewhere()
    assert bring_model(folder, at) is None
    assert not at.model_reference("champion").exists()


def test_its_files_come_from_the_store_whole_and_only_once(film_workspace, storage, elsewhere):
    film_workspace.publish(storage)
    at = elsewhere()
    assert bring_model(storage, at) == film_workspace.model == reference_of(at)
    verify_model(film_workspace.model, at.cache)
    assert (
        EncoderReference.load(at.encoders / film_workspace.model.hash / "encoder.json")
        == film_workspace.model.encoder
    )
    before = at.model_reference("champion").stat().st_mtime_ns
    bring_model(storage, at)
    assert at.model_reference("champion").stat().st_mtime_ns == before  # or DVC would encode again


def test_a_damaged_reference_is_written_again(film_workspace, storage, elsewhere):
    film_workspace.publish(storage)
    at = elsewhere()
    bring_model(storage, at)
    at.model_reference("champion").write_text("{")
    assert bring_model(storage, at) == film_workspace.model == reference_of(at)


def test_a_damaged_file_is_brought_again_and_one_damaged_in_the_store_gets_no_name(
    film_workspace, folder, elsewhere
):
    done = film_workspace.publish(folder)
    at = elsewhere()
    bring_model(folder, at)
    (at.encoders / film_workspace.model.hash / "model.bin").write_text("tiny model.b1n")
    bring_model(folder, at)
    verify_model(film_workspace.model, at.cache)
    (file,) = [one for one in done.manifest.model.files if one.name == "model.bin"]
    (at.encoders / film_workspace.model.hash / "model.bin").unlink()
    folder.write(f"objects/{file.sha256}", b"torn")
    with pytest.raises(ReleaseError, match=r"model\.bin.*is corrupt"):
        bring_model(folder, at)
    assert [path.name for path in at.encoders.iterdir()] == [film_workspace.model.hash]


def test_it_is_the_newest_releases_also_under_a_hold(film_workspace, folder, cache):
    old = film_workspace.model
    film_workspace.publish(folder)
    film_workspace.set_model(tiny_model(cache / "encoders", "second"))
    second = film_workspace.build().publish(folder, new_model=True)
    rollback(folder, "previous", "me", "looks odd")
    assert ReleaseStore(folder).current().current.release != second.release
    film_workspace.set_model(old)
    assert (
        bring_model(folder, film_workspace.at).hash
        == second.manifest.model.hash
        == reference_of(film_workspace.at).hash
    )
    resume(folder, "me")
    assert bring_model(folder, film_workspace.at).hash == second.manifest.model.hash


def test_arrivals_go_on_with_the_old_encoder_until_the_swap_and_with_the_new_one_after_it(
    make_workspace, folder, cache
):
    """One workspace takes arrivals, another brings a new encoder; each release has one encoder and nothing is lost."""
    film_workspace, beside = make_workspace("arrivals"), make_workspace("beside")
    film_workspace.items(UP)
    film_workspace.build().publish(folder)
    beside.items(UP)
    beside.set_model(tiny_model(cache / "encoders", "second"))
    beside.build()
    film_workspace.items(HER, day=1)
    arrived = film_workspace.build().publish(folder)  # meanwhile
    with pytest.raises(Overtaken, match=f"newest release is {arrived.release}(.|\n)*recsys catch-up"):
        beside.publish(folder, new_model=True, onto=arrived.manifest.parent)
    beside.items(HER, day=1)
    swapped = beside.build().publish(folder, new_model=True, onto=arrived.release)
    assert swapped.manifest.parts == arrived.manifest.parts
    film_workspace.ratings([("ann", "her")], day=2)
    with pytest.raises(OtherModel, match="fetch-champion --published"):
        film_workspace.build().publish(folder)
    film_workspace.set_model(bring_model(folder, film_workspace.at))
    last = film_workspace.build().publish(folder)
    assert last.manifest.model.hash == beside.model.hash
    assert last.manifest.parts > swapped.manifest.parts
    assert {s.name for s in last.manifest.segments} == {s.name for s in swapped.manifest.segments}


def test_a_model_of_another_form_over_the_same_profiles_joins_what_was_published_meanwhile(
    make_workspace, folder, cache
):
    film_workspace, beside = make_workspace("arrivals"), make_workspace("beside")
    for one in (film_workspace, beside):
        one.items(UP)
        one.ratings([("ann", "up"), ("bob", "alien")])
    first = film_workspace.build().publish(folder)
    parted = ModelReference.of(film_workspace.model.encoder, None, 3.0)
    beside.set_model(parted)
    beside.build()
    film_workspace.items(HER, day=1)
    film_workspace.ratings([("ann", "her")], day=1)
    arrived = film_workspace.build().publish(folder)
    joined = beside.publish(folder, new_model=True)  # a model of parts onto one without
    assert joined.rebased and not parted.has_one_hash and first.manifest.model.has_one_hash
    assert joined.manifest.parts == arrived.manifest.parts and joined.manifest.model == parted
    release = Release.open(folder.url, cache=cache)
    assert release.ridge_lambda == 3.0 and "her" in release.items
    back = film_workspace.publish(folder, new_model=True)
    assert back.manifest.model == film_workspace.model
    assert back.manifest.segments == arrived.manifest.segments
    assert back.manifest.users == arrived.manifest.users
    assert Release.open(folder.url, cache=cache).ridge_lambda == arrived.manifest.users.ridge_lambda


def test_interactions_that_were_published_meanwhile_are_caught_up_with_too(make_workspace, folder, cache):
    film_workspace, beside = make_workspace("arrivals"), make_workspace("beside")
    film_workspace.items(UP)
    first = film_workspace.build().publish(folder)
    beside.items(UP)
    beside.set_model(tiny_model(cache / "encoders", "second"))
    beside.build()
    film_workspace.ratings([("ann", "up")])
    film_workspace.build().publish(folder)
    with pytest.raises(Overtaken):
        beside.publish(folder, new_model=True, onto=first.release)


def test_an_encoder_of_another_width_is_published_as_one_release_and_serves(film_workspace, folder, cache):
    film_workspace.publish(folder)
    encoder = tiny_model(cache / "encoders", "narrow").encoder.model_copy(update={"dim": NARROW})
    narrow = ModelReference.of(encoder)
    film_workspace.set_model(narrow)
    files = feature_files(film_workspace.at.features)
    hashes = sorted({one for file in files for one in pq.read_table(file.path)["text_hash"].to_pylist()})
    rows = [vector_of(one)[:NARROW] for one in hashes]
    vectors = np.stack([row / np.linalg.norm(row) for row in rows])
    VectorCache(film_workspace.at.vectors / f"{narrow.hash}-{PREPROCESSING_VERSION}", NARROW).add(
        hashes, vectors
    )
    no_smoke = film_workspace.settings.publish.model_copy(update={"smoke_queries": 0})
    done = film_workspace.build().publish(folder, new_model=True, params=no_smoke)
    release = Release.open(folder.url, cache=cache)
    assert done.manifest.model.dim == NARROW and release.id == done.release
    assert release.profile("alien").shape == (NARROW,)
    assert len(release.recommend(pseudonym=release.users[0], k=3)) == 3
    assert len(release.similar("heat", k=3)) == 3
