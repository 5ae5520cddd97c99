"""A change of one part redoes what depends on it and nothing else, counted through the stages as they run."""

import json

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.catalogue.compaction import merge_parts, remove_merged
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.encoders.tfidf import fit_tfidf
from recsys.errors import EncoderError
from recsys.features.text import PREPROCESSING_VERSION
from recsys.heads.kernel_head import Kernel, KernelHead
from recsys.heads.packing import pack_head
from recsys.models import engines, segments
from recsys.models.packed import pack_ranker
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments, load_profiles
from recsys.publishing.published_model import bring_profiles
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.settings import Settings
from recsys.stages import features, index, profiles, users
from recsys.storage.opening import open_storage
from tests.encoders.models import save_model, texts
from tests.publishing.film_workspace import FILMS, FilmWorkspace, tiny_model
from tests.stages.catalogue_world import champion, land

TEXTS = [f"{text} {n}" for n, text in enumerate(texts(12))]
ITEMS = {f"i{n}": text for n, text in enumerate(TEXTS)}


def make_head(dim, gamma=2.0):
    rng = np.random.default_rng(0)
    kernel = Kernel(fit_tfidf(TEXTS), 0.4, gamma)
    vectors = rng.normal(size=(len(TEXTS), dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    projection = rng.normal(size=(len(TEXTS), 5)).astype(np.float32)
    return KernelHead(kernel, csr_array(kernel.lexical.encode(TEXTS)), vectors, projection)


def weights_of(items, value):
    known = np.sort(digests(items))
    between = csr_array(([np.float32(value)], ([0], [1])), shape=(len(known), len(known)))
    return ItemWeights(known, between, np.ones(len(known), np.float32), len(known))


@pytest.fixture
def house(workspace, tmp_path):
    """A workspace whose champion is a small real encoder, with profiles by a head over it."""
    champion(workspace, save_model(tmp_path / "model"))
    land(workspace, ITEMS)
    encoder = ModelReference.load(workspace.model_reference("champion")).encoder
    head = pack_head(encoder, make_head(encoder.dim), workspace.cache / "heads")
    ModelReference.of(encoder, head).save(workspace.model_reference("champion"))
    return workspace


def walk(at):
    """The stages on the way to publishing; what `profiles` says of itself."""
    settings = Settings.load(at.params)
    features.run(settings, at)
    profiles.run(settings, at, "champion")
    for one in (users, index):
        one.run(settings, at)
    return json.loads((at.var / "last_encode.json").read_text())


def counted(record):
    return record["encoded"], record["projected"], record["segments_made"]


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_new_ranker_or_lambda_encodes_nothing_projects_nothing_and_writes_no_segment(house):
    assert counted(walk(house)) == (12, 12, 1)
    before = times(house.profiles("champion")), times(house.index)
    gram = (house.users / "gram.npy").read_bytes()
    model = ModelReference.load(house.model_reference("champion"))
    ranker = pack_ranker("item_weights", weights_of(["i0", "i1"], 0.5), house.cache / "rankers")
    changed = ModelReference.of(model.encoder, model.head, 77.0, ranker)
    assert changed.hash != model.hash and changed.profiles_hash == model.profiles_hash
    changed.save(house.model_reference("champion"))
    assert counted(walk(house)) == (0, 0, 0)
    assert before[0] == times(house.profiles("champion"))
    assert before[1].keys() == times(house.index).keys()
    assert gram == (house.users / "gram.npy").read_bytes()
    assert json.loads((house.users / "users.json").read_text())["ridge_lambda"] == 77.0


def test_a_new_head_runs_no_text_through_the_language_model(house, monkeypatch):
    walk(house)
    model = ModelReference.load(house.model_reference("champion"))
    other = pack_head(model.encoder, make_head(model.encoder.dim, gamma=1.0), house.cache / "heads")
    ModelReference.of(model.encoder, other).save(house.model_reference("champion"))
    monkeypatch.setattr(engines, "open_vectors", lambda *_: pytest.fail("the encoder was opened"))
    (old,) = list_segments(house.profiles("champion"))
    assert counted(walk(house)) == (0, 12, 1)
    (new,) = list_segments(house.profiles("champion"))
    assert new.name != old.name
    assert [path.name for path in house.vectors.iterdir()] == [
        f"{model.encoder.hash}-{PREPROCESSING_VERSION}"
    ]


def test_arrivals_under_one_head_project_what_is_new_alone(house):
    walk(house)
    land(house, {"new": "za zb", "i0": TEXTS[0]})
    assert counted(walk(house)) == (1, 2, 1)
    assert counted(walk(house)) == (0, 0, 0)


def test_merged_parts_keep_the_profiles_that_they_have(house):
    walk(house)
    land(house, {"new": "za zb", "i0": TEXTS[0], "i1": "zb za"})
    walk(house)
    profiles_of = dict(_live_profiles(house))
    parts = list_parts(house.data, CATALOGUE)
    merge_parts(parts, house.data, house.staging)
    remove_merged(house.data)
    assert counted(walk(house)) == (0, 0, 1)
    assert len(list_segments(house.profiles("champion"))) == 1
    merged = dict(_live_profiles(house))
    assert merged.keys() == profiles_of.keys() == {*ITEMS, "new"}
    assert all((merged[item] == profiles_of[item]).all() for item in merged)


def test_profiles_survive_a_kill_before_merged_parts_have_theirs(house, monkeypatch):
    walk(house)
    land(house, {"new": "za zb"})
    walk(house)
    merge_parts(list_parts(house.data, CATALOGUE), house.data, house.staging)
    remove_merged(house.data)
    with monkeypatch.context() as patch:
        patch.setattr(segments.SegmentDraft, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            walk(house)
    assert counted(walk(house)) == (0, 0, 1)


def test_merged_parts_are_projected_where_nothing_tells_whose_the_profiles_were(house):
    walk(house)
    land(house, {"new": "za zb"})
    walk(house)
    before = dict(_live_profiles(house))
    merge_parts(list_parts(house.data, CATALOGUE), house.data, house.staging)
    remove_merged(house.data)
    model = ModelReference.load(house.model_reference("champion"))
    other = pack_head(model.encoder, make_head(model.encoder.dim, gamma=1.0), house.cache / "heads")
    ModelReference.of(model.encoder, other).save(house.model_reference("champion"))
    assert counted(walk(house)) == (0, 13, 1)  # another head
    model.save(house.model_reference("champion"))
    house.made_profiles("champion").unlink()  # var/ was deleted
    assert counted(walk(house)) == (0, 13, 1)
    after = dict(_live_profiles(house))
    assert all(np.allclose(after[item], before[item], atol=1e-6) for item in before)


def _live_profiles(at):
    found = load_profiles(list_segments(at.profiles("champion")))
    return zip(found.ids, found.vectors, strict=True)


def test_a_workspace_of_its_own_finds_the_published_profiles_for_a_new_ranker(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    store = open_storage(str(tmp_path / "store"))
    first = FilmWorkspace(tmp_path / "first", tiny_model(tmp_path / "cache/encoders"))
    first.items(FILMS)
    first.ratings([("ann", "alien"), ("bob", "babe")])
    published = first.build().publish(store).manifest
    ranker = pack_ranker("item_weights", weights_of(sorted(FILMS), 0.5), tmp_path / "cache/rankers")
    own = FilmWorkspace(tmp_path / "own", ModelReference.of(first.model.encoder, None, 3.0, ranker))
    own.items(FILMS)
    own.ratings([("ann", "alien"), ("bob", "babe")])
    assert bring_profiles(store, own.at, own.model) == 1
    brought = {path.name: path.stat().st_ino for path in own.at.details.iterdir()}
    own.build()
    assert {path.name: path.stat().st_ino for path in own.at.details.iterdir()} == brought and len(
        brought
    ) == 2
    record = json.loads((own.at.var / "last_encode.json").read_text())
    assert counted(record) == (0, 0, 0)
    done = own.publish(store, new_model=True).manifest
    assert done.segments == published.segments and done.model == own.model
    other = tiny_model(tmp_path / "cache/encoders", "another")
    assert bring_profiles(store, own.at, other) == 0


def test_a_model_with_the_hash_of_another_is_refused(house):
    model = ModelReference.load(house.model_reference("champion"))
    other = ModelReference.of(model.encoder, model.head, 77.0).model_copy(update={"hash": model.hash})
    other.save(house.model_reference("champion"))
    with pytest.raises(EncoderError, match="is not the hash of these parts"):
        ModelReference.load(house.model_reference("champion"))
