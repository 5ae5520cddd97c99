"""How the champion enters a workspace: a real, tiny encoder, a real MLflow server, a model name for every test."""

import json
import shutil
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import pytest

from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.params import EncoderParams, FirstLightParams
from recsys.errors import RegistryError, RegistryUnreachable
from recsys.evaluation.provenance import TrainedOn
from recsys.models.opening import open_model
from recsys.models.packed import lay_out, verify_model
from recsys.models.parts import SearchPart
from recsys.models.reference import ModelReference
from recsys.registry import mlflow
from recsys.registry.fetch import fetch_champion
from recsys.registry.first_light import Pretrained
from recsys.registry.ledger import entries
from recsys.registry.record import RunRecord
from recsys.registry.registering import register_folder, register_model
from tests.registry.judged import by_hand, client_of

NOBODY = "http://127.0.0.1:9"
FIRST_LIGHT = FirstLightParams(
    min_items=20,
    lexical_shares=(0.4, 0.6),
    long_from_terms=40,
    field_terms=0.0,
    gamma=2.0,
    constant=0.5,
    width=16,
    wide_up_to=0,
    max_landmarks=30,
)


@pytest.fixture(scope="session")
def params(tiny_encoder):
    return EncoderParams(
        source=str(tiny_encoder),
        pooling="mean",
        item_prefix=None,
        query_prefix=None,
        max_tokens=16,
        precision="float32",
        calibration_texts=32,
        batch_tokens=64,
    )


@pytest.fixture(scope="session")
def packed(params, tmp_path_factory):
    """The tiny encoder, packed once; every workspace starts with a copy of it in its cache."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, ModelReference.of(pack_encoder(params, cache / "encoders", ()))


@pytest.fixture
def pretrained(params):
    return Pretrained(params, FIRST_LIGHT, texts=lambda: [], record=lambda: RunRecord("c0ffee", {"seed": 1}))


@pytest.fixture
def new_workspace(tmp_path, packed):
    """Makes workspaces of different machines: no cache is shared."""

    def make(name, *, with_cache=True):
        at = Artifacts(tmp_path / name)
        if with_cache:
            shutil.copytree(packed[0], at.cache)
        return at

    return make


@pytest.fixture
def registry(request):
    """The server, asked about a registered model of this test's own."""
    return Registry(request.getfixturevalue("mlflow_server"), f"encoder-{uuid4().hex[:8]}")


@dataclass(frozen=True)
class Registry:
    uri: str
    model: str

    def fetch(self, at, pretrained):
        return fetch_champion(self.uri, at, pretrained, self.model)

    def champion(self):
        return mlflow.champion(self.uri, self.model)

    def versions(self):
        return mlflow.versions(self.uri, self.model)

    def register(self, model, cache, pretrained):
        return register_model(self.uri, model, cache, pretrained.record(), self.model)

    def register_as(self, model_hash, model, cache, record):
        """A version whose tag names another model than its files are."""
        lay_out(model, cache, cache / model_hash)
        return register_folder(self.uri, model_hash, cache / model_hash, record, self.model)


def saved(at):
    return ModelReference.load(at.model_reference("champion"))


def test_without_a_registry_the_pretrained_encoder_is_used(new_workspace, pretrained, packed):
    at = new_workspace("a")
    fetched = fetch_champion(None, at, pretrained)
    assert saved(at) == fetched.model == packed[1]
    assert fetched.model.registry is None and "MLFLOW_TRACKING_URI is not set" in fetched.how


@pytest.mark.servers
def test_first_light_registers_version_1_and_makes_it_champion(registry, new_workspace, pretrained, packed):
    at = new_workspace("a")
    fetched = registry.fetch(at, pretrained)
    assert fetched.how.startswith("first light") and fetched.warning == ""
    assert saved(at).registry.model == registry.model and saved(at).registry.version == "1"
    assert saved(at).hash == packed[1].hash
    assert registry.champion().version == "1"
    assert TrainedOn.load(at.trained_on("champion")) == TrainedOn(model_hash=packed[1].hash)
    (only,) = entries(registry.uri, registry.model)
    assert (only.alias, only.previous, only.version, only.how) == ("champion", None, "1", "first light")


@pytest.mark.servers
def test_what_the_champion_was_trained_on_comes_with_it(registry, new_workspace, pretrained, packed):
    tags = {"trained_on": "b" * 64, "trained_until": "2026-03-01T00:00:00Z"}
    record = RunRecord("c0ffee", {"seed": 1}, tags=tags)
    made = register_model(registry.uri, packed[1], packed[0], record, registry.model)
    by_hand(registry.uri, registry.model, "champion", made.version)
    at = new_workspace("a")
    other = pretrained.params.model_copy(update={"source": "another"})
    fetched = registry.fetch(at, replace(pretrained, params=other))
    assert fetched.warning == ""  # a trained encoder comes from training, not from encoder.source
    found = TrainedOn.load(at.trained_on("champion"))
    assert found == made.trained and found.trained_on == "b" * 64 and found.trained_until.year == 2026


@pytest.mark.servers
def test_a_second_fetch_touches_nothing(registry, new_workspace, pretrained):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    before = at.model_reference("champion").stat()
    fetched = registry.fetch(at, pretrained)
    after = at.model_reference("champion").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert fetched.how.endswith("unchanged")
    assert len(registry.versions()) == 1


@pytest.mark.servers
def test_another_machine_downloads_the_very_same_bytes(registry, new_workspace, pretrained, packed):
    first, second = new_workspace("a"), new_workspace("b", with_cache=False)
    registry.fetch(first, pretrained)
    fetched = registry.fetch(second, pretrained)
    assert fetched.how.endswith("downloaded") and saved(second) == saved(first)
    for name in ("model.xml", "model.bin", "tokenizer.json", "encoder.json"):
        ours, theirs = (at.encoders / packed[1].hash / name for at in (first, second))
        assert ours.read_bytes() == theirs.read_bytes()
    assert [path.name for path in second.encoders.iterdir()] == [packed[1].hash]


@pytest.mark.servers
def test_a_damaged_cache_is_fetched_again(registry, new_workspace, pretrained, packed):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    weights = at.encoders / packed[1].hash / "model.bin"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    fetched = registry.fetch(at, pretrained)
    assert fetched.how.endswith("downloaded") and weights.read_bytes() == whole


@pytest.mark.servers
def test_mlflow_down_means_the_champion_fetched_last_and_says_so(registry, new_workspace, pretrained):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    before = saved(at)
    fetched = fetch_champion(NOBODY, at, pretrained)
    assert fetched.model == saved(at) == before
    assert "using the champion fetched last" in fetched.warning and NOBODY in fetched.warning


def test_mlflow_down_and_none_was_ever_fetched_is_an_error_with_a_remedy(new_workspace, pretrained):
    at = new_workspace("a")
    with pytest.raises(RegistryUnreachable, match="remedy: start MLflow"):
        fetch_champion(NOBODY, at, pretrained)
    assert not at.model_reference("champion").exists()


@pytest.mark.servers
def test_first_light_cut_short_before_the_alias_is_finished_by_the_next_run(
    registry, new_workspace, pretrained, packed
):
    at = new_workspace("a")
    registry.register(packed[1], at.cache, pretrained)
    fetched = registry.fetch(at, pretrained)
    assert fetched.model.registry.version == "1" and len(registry.versions()) == 1


@pytest.mark.servers
def test_versions_without_a_champion_are_a_persons_decision(registry, new_workspace, pretrained, packed):
    at = new_workspace("a")
    registry.register_as("f" * 64, packed[1], at.cache, pretrained.record())
    with pytest.raises(RegistryError, match="versions 1 of .* exist, none is champion"):
        registry.fetch(at, pretrained)


@pytest.mark.servers
def test_a_version_whose_files_are_not_what_its_tag_says_is_refused(
    registry, new_workspace, pretrained, packed
):
    at = new_workspace("a")
    made = registry.register_as("f" * 64, packed[1], at.cache, pretrained.record())
    by_hand(registry.uri, registry.model, "champion", made.version)
    with pytest.raises(RegistryError, match="version 1 of .* is tagged ffff"):
        registry.fetch(at, pretrained)
    assert [path.name for path in at.encoders.iterdir()] == [packed[1].hash]


@pytest.mark.servers
def test_params_that_ask_for_another_encoder_are_told_that_the_registry_decides(
    registry, new_workspace, pretrained
):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    other = replace(pretrained, params=pretrained.params.model_copy(update={"precision": "int8"}))
    fetched = registry.fetch(at, other)
    assert "encoder.precision: int8" in fetched.warning and fetched.model == saved(at)


@pytest.mark.servers
def test_an_alias_moved_by_hand_brings_the_other_version(
    registry, new_workspace, pretrained, params, tmp_path
):
    at = new_workspace("a")
    first = registry.fetch(at, pretrained).model
    narrow = params.model_copy(update={"max_tokens": 8})
    second = ModelReference.of(pack_encoder(narrow, tmp_path / "other/encoders", ()))
    made = registry.register(second, tmp_path / "other", pretrained)
    by_hand(registry.uri, registry.model, "champion", made.version)
    fetched = registry.fetch(at, pretrained)
    assert fetched.model.hash == second.hash != first.hash
    assert fetched.model.registry.version == "2" and "encoder.max_tokens: 16" in fetched.warning


@pytest.mark.servers
def test_weights_that_validation_chose_come_with_the_champion(registry, new_workspace, pretrained):
    first, second = new_workspace("a"), new_workspace("b", with_cache=False)
    chosen = SearchPart(lexical_weight=0.4, typical_weight=16.0)
    weighed = registry.fetch(first, pretrained).model.with_search(chosen)
    made = registry.register(weighed, first.cache, pretrained)
    by_hand(registry.uri, registry.model, "champion", made.version)
    fetched = registry.fetch(second, pretrained)
    assert fetched.model.hash == weighed.hash and saved(second).search == chosen


TEXTS = tuple(f"{a}{b} chair of maker{n % 5}" for n, a in enumerate("abcdef") for b in "uvwxyz")


@pytest.fixture
def full(pretrained):
    """A catalogue with enough texts to join words to the encoder."""
    return replace(pretrained, texts=lambda: TEXTS)


def test_without_a_registry_words_are_joined_and_stay_so_as_the_catalogue_grows(new_workspace, full, packed):
    at = new_workspace("a")
    fetched = fetch_champion(None, at, full)
    assert saved(at) == fetched.model and fetched.model.has_head
    assert "joined with the words of 30 texts" in fetched.how  # max_landmarks
    assert TrainedOn.load(at.trained_on("champion")) == TrainedOn(model_hash=fetched.model.hash)
    grown = replace(full, texts=lambda: [*TEXTS, *(f"{text} again" for text in TEXTS)])
    assert fetch_champion(None, at, grown).model == fetched.model
    again = fetch_champion(None, at, grown, again=True).model
    assert again.hash != fetched.model.hash and saved(at) == again


def test_without_a_registry_data_that_began_small_is_joined_on_request(
    new_workspace, full, pretrained, packed
):
    at = new_workspace("a")
    assert "the pretrained encoder alone" in fetch_champion(None, at, pretrained).how
    assert fetch_champion(None, at, full).model == packed[1]  # what is published stays
    assert fetch_champion(None, at, full, again=True).model.has_head


@pytest.mark.parametrize("change", ["first_light", "params"])
def test_without_a_registry_other_params_make_another_encoder(new_workspace, full, change):
    at = new_workspace("a")
    before = fetch_champion(None, at, full).model
    update = {"lexical_shares": (0.5, 0.6)} if change == "first_light" else {"max_tokens": 8}
    other = replace(full, **{change: getattr(full, change).model_copy(update=update)})
    after = fetch_champion(None, at, other).model
    assert after.hash != before.hash and after.has_head


@pytest.mark.servers
def test_first_light_cut_short_is_finished_with_the_version_that_was_registered(
    registry, new_workspace, full
):
    first, second = new_workspace("a"), new_workspace("b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.registry.first_light.move", killed)
        with pytest.raises(KeyboardInterrupt):
            registry.fetch(first, full)
    assert registry.champion() is None and len(registry.versions()) == 1
    more = replace(full, texts=lambda: TEXTS[:-3])  # another catalogue by now, another machine
    fetched = registry.fetch(second, more)
    assert fetched.model.registry.version == "1" and len(registry.versions()) == 1
    assert registry.fetch(first, full).model.hash == fetched.model.hash
    assert "joined with the words of" in fetched.how and fetched.model.has_head


@pytest.mark.servers
def test_two_workers_at_once_end_with_the_same_champion(registry, new_workspace, full):
    first, second = new_workspace("a"), new_workspace("b")

    def meanwhile():
        others.append(registry.fetch(second, replace(full, texts=lambda: TEXTS[:-3])))
        return full.record()

    others = []
    fetched = registry.fetch(first, replace(full, record=meanwhile))
    assert len(others) == 1 and len(registry.versions()) == 2
    assert fetched.model.registry.version == "1" == saved(second).registry.version
    assert fetched.model == saved(second) and registry.champion().version == "1"


@pytest.mark.servers
def test_first_light_is_made_anew_only_on_request_and_only_while_nothing_is_trained(
    registry, new_workspace, full, pretrained, packed
):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    assert registry.fetch(at, full).model.hash == packed[1].hash
    fetched = fetch_champion(registry.uri, at, full, registry.model, again=True)
    assert fetched.model.has_head and fetched.model.registry.version == "2"
    assert fetch_champion(registry.uri, at, full, registry.model, again=True).model == fetched.model
    assert [entry.how for entry in entries(registry.uri, registry.model)] == ["first light"] * 2
    record = RunRecord("c0ffee", {"seed": 1}, tags={"trained_on": "b" * 64})
    made = registry.register_as("e" * 64, packed[1], at.cache, record)
    by_hand(registry.uri, registry.model, "champion", made.version)
    with pytest.raises(RegistryError, match="version 3 of .* was trained"):
        fetch_champion(registry.uri, at, full, registry.model, again=True)


def killed(*_):
    raise KeyboardInterrupt


def as_legacy(at):
    """The champion as the code before there were parts left it: one folder, one reference, one hash."""
    model = saved(at)
    folder = at.encoders / ("d" * 64)
    folder.mkdir()
    for part in model.parts:
        for file in part.files:
            shutil.copyfile(part.folder(at.cache) / file.name, folder / file.name)
    files = [file.model_dump() for file in model.files]
    plain = model.encoder.model_dump(mode="json") | {"hash": "d" * 64, "dim": model.dim, "files": files}
    (folder / "encoder.json").write_text(json.dumps(plain | {"registry": None}))
    for gone in (at.cache / "heads", at.cache / "models"):
        shutil.rmtree(gone)
    at.model_reference("champion").unlink()
    return folder


def test_a_workspace_from_before_there_were_parts_keeps_its_champion(new_workspace, full, pretrained):
    at = new_workspace("a")
    before = fetch_champion(None, at, full).model
    queries = ["red chair", "aau chair of maker0"]
    profiles = open_model(before, at.cache, 64).encode(queries)
    folder = as_legacy(at)
    shutil.copyfile(folder / "encoder.json", at.model_reference("champion").with_name("encoder.json"))
    grown = replace(full, texts=lambda: [*TEXTS, *(f"{text} again" for text in TEXTS)])
    model = fetch_champion(None, at, grown).model
    assert model.hash == "d" * 64 and model.head is None and model.has_head and model.dim == before.dim
    assert saved(at) == model and at.model_reference("champion").exists()
    np.testing.assert_array_equal(open_model(model, at.cache, 64).encode(queries), profiles)


def test_a_damaged_reference_is_written_again(new_workspace, pretrained, packed):
    at = new_workspace("a")
    fetch_champion(None, at, pretrained)
    at.model_reference("champion").write_text('{"hash": ')
    assert fetch_champion(None, at, pretrained).model == packed[1] == saved(at)


@pytest.mark.servers
def test_a_version_registered_before_there_were_parts_is_fetched(registry, new_workspace, full):
    at, other = new_workspace("a"), new_workspace("b", with_cache=False)
    before = fetch_champion(None, at, full).model
    folder = as_legacy(at)
    client = client_of(registry.uri)
    run = client.create_run(client.create_experiment(f"old {registry.model}"))
    client.log_artifacts(run.info.run_id, str(folder), "encoder")
    client.create_registered_model(registry.model)
    source = f"{run.info.artifact_uri}/encoder"
    made = client.create_model_version(
        registry.model, source, run.info.run_id, tags={"encoder_hash": "d" * 64}, await_creation_for=0
    )
    by_hand(registry.uri, registry.model, "champion", made.version)
    fetched = registry.fetch(other, full)
    assert fetched.how.endswith("downloaded") and fetched.model.hash == "d" * 64
    assert fetched.model.dim == before.dim and verify_model(fetched.model, other.cache) is None
    assert registry.fetch(other, full).how.endswith("unchanged")
