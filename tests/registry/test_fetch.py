"""How the champion enters a workspace: a real, tiny encoder, a real MLflow server, a model name for every test."""

import shutil
from dataclasses import dataclass
from uuid import uuid4

import pytest

from recsys.artifacts import Artifacts
from recsys.encoders import EncoderReference, pack_encoder
from recsys.encoders.params import EncoderParams
from recsys.errors import RegistryError, RegistryUnreachable
from recsys.evaluation.seen import TrainedOn
from recsys.registry import Pretrained, RunRecord, entries, fetch_champion, mlflow
from tests.registry.judged import by_hand

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def params(tiny_encoder):
    return EncoderParams(
        source=str(tiny_encoder),
        pooling="mean",
        max_tokens=16,
        precision="float32",
        calibration_texts=32,
        batch_tokens=64,
    )


@pytest.fixture(scope="session")
def packed(params, tmp_path_factory):
    """The tiny encoder, packed once; every workspace starts with a copy of it in its cache."""
    cache = tmp_path_factory.mktemp("cache") / "encoders"
    return cache, pack_encoder(params, cache, ())


@pytest.fixture
def pretrained(params):
    return Pretrained(params, calibration_texts=lambda: [], record=lambda: RunRecord("c0ffee", {"seed": 1}))


@pytest.fixture
def new_workspace(tmp_path, packed):
    """Makes workspaces of different machines: no cache is shared."""

    def make(name, *, with_cache=True):
        at = Artifacts(tmp_path / name)
        if with_cache:
            shutil.copytree(packed[0], at.encoders)
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

    def register(self, encoder_hash, folder, pretrained):
        return mlflow.register_encoder(self.uri, encoder_hash, folder, pretrained.record(), self.model)


def saved(at):
    return EncoderReference.load(at.encoder_reference("champion"))


def test_without_a_registry_the_pretrained_encoder_is_used(new_workspace, pretrained, packed):
    at = new_workspace("a")
    fetched = fetch_champion(None, at, pretrained)
    assert saved(at) == fetched.reference == packed[1]
    assert fetched.reference.registry is None and "MLFLOW_TRACKING_URI is not set" in fetched.how


@pytest.mark.servers
def test_first_light_registers_version_1_and_makes_it_champion(registry, new_workspace, pretrained, packed):
    at = new_workspace("a")
    fetched = registry.fetch(at, pretrained)
    assert fetched.how.startswith("first light") and fetched.warning == ""
    assert saved(at).registry.model == registry.model and saved(at).registry.version == "1"
    assert saved(at).hash == packed[1].hash
    assert registry.champion().version == "1"
    assert TrainedOn.load(at.trained_on("champion")) == TrainedOn(encoder_hash=packed[1].hash)
    (only,) = entries(registry.uri, registry.model)
    assert (only.alias, only.previous, only.version, only.how) == ("champion", None, "1", "first light")


@pytest.mark.servers
def test_what_the_champion_was_trained_on_comes_with_it(registry, new_workspace, pretrained, packed):
    tags = {"trained_on": "b" * 64, "trained_until": "2026-03-01T00:00:00Z"}
    record = RunRecord("c0ffee", {"seed": 1}, tags=tags)
    folder = packed[0] / packed[1].hash
    made = mlflow.register_encoder(registry.uri, packed[1].hash, folder, record, registry.model)
    by_hand(registry.uri, registry.model, "champion", made.version)
    at = new_workspace("a")
    other = pretrained.params.model_copy(update={"source": "another"})
    fetched = registry.fetch(at, Pretrained(other, pretrained.calibration_texts, pretrained.record))
    assert fetched.warning == ""  # a trained encoder comes from training, not from encoder.source
    found = TrainedOn.load(at.trained_on("champion"))
    assert found == made.trained and found.trained_on == "b" * 64 and found.trained_until.year == 2026


@pytest.mark.servers
def test_a_second_fetch_touches_nothing(registry, new_workspace, pretrained):
    at = new_workspace("a")
    registry.fetch(at, pretrained)
    before = at.encoder_reference("champion").stat()
    fetched = registry.fetch(at, pretrained)
    after = at.encoder_reference("champion").stat()
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
    assert fetched.reference == saved(at) == before
    assert "using the champion fetched last" in fetched.warning and NOBODY in fetched.warning


def test_mlflow_down_and_none_was_ever_fetched_is_an_error_with_a_remedy(new_workspace, pretrained):
    at = new_workspace("a")
    with pytest.raises(RegistryUnreachable, match="remedy: start MLflow"):
        fetch_champion(NOBODY, at, pretrained)
    assert not at.encoder_reference("champion").exists()


@pytest.mark.servers
def test_first_light_cut_short_before_the_alias_is_finished_by_the_next_run(
    registry, new_workspace, pretrained, packed
):
    at = new_workspace("a")
    registry.register(packed[1].hash, at.encoders / packed[1].hash, pretrained)
    fetched = registry.fetch(at, pretrained)
    assert fetched.reference.registry.version == "1" and len(registry.versions()) == 1


@pytest.mark.servers
def test_versions_without_a_champion_are_a_persons_decision(registry, new_workspace, pretrained, packed):
    at = new_workspace("a")
    registry.register("f" * 64, at.encoders / packed[1].hash, pretrained)
    with pytest.raises(RegistryError, match="versions 1 of .* exist, none is champion"):
        registry.fetch(at, pretrained)


@pytest.mark.servers
def test_a_version_whose_files_are_not_what_its_tag_says_is_refused(
    registry, new_workspace, pretrained, packed
):
    at = new_workspace("a")
    made = registry.register("f" * 64, at.encoders / packed[1].hash, pretrained)
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
    other = Pretrained(
        pretrained.params.model_copy(update={"precision": "int8"}),
        pretrained.calibration_texts,
        pretrained.record,
    )
    fetched = registry.fetch(at, other)
    assert "encoder.precision: int8" in fetched.warning and fetched.reference == saved(at)


@pytest.mark.servers
def test_an_alias_moved_by_hand_brings_the_other_version(
    registry, new_workspace, pretrained, params, tmp_path
):
    at = new_workspace("a")
    first = registry.fetch(at, pretrained).reference
    second = pack_encoder(params.model_copy(update={"max_tokens": 8}), tmp_path / "other", ())
    made = registry.register(second.hash, tmp_path / "other" / second.hash, pretrained)
    by_hand(registry.uri, registry.model, "champion", made.version)
    fetched = registry.fetch(at, pretrained)
    assert fetched.reference.hash == second.hash != first.hash
    assert fetched.reference.registry.version == "2" and "encoder.max_tokens: 16" in fetched.warning
