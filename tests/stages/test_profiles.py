import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from recsys.cli import main
from recsys.encoders.transformer import open_encoder
from recsys.errors import ArtifactMissing
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments, load_profiles
from recsys.settings import Settings
from recsys.stages import features, profiles
from tests.encoders.models import save_model, texts
from tests.stages.catalogue_world import champion, contents, land

ROLE = "champion"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def house(workspace, source, encoders, monkeypatch):
    """A workspace with a champion; packed once for all, but with a vector cache of its own."""
    (workspace.cache).mkdir(parents=True)
    (workspace.cache / "encoders").symlink_to(encoders)
    champion(workspace, source)
    return workspace


def walk(at):
    """Features, then profiles; answers what the run says about itself."""
    settings = Settings.load(at.params)
    features.run(settings, at)
    profiles.run(settings, at, ROLE)
    return json.loads((at.var / "last_encode.json").read_text())


def loaded(at):
    found = load_profiles(list_segments(at.profiles(ROLE)))
    return dict(zip(found.ids, found.vectors, strict=True))


def test_every_live_item_gets_the_vector_of_its_newest_text(house):
    land(house, {"a": "aa ab", "b": "ba", "c": "ca"})
    land(house, {"a": "aa ac ad"}, deleted=["c"])
    walk(house)
    reference = ModelReference.load(house.model_reference(ROLE))
    expected = open_encoder(reference.encoder, house.encoders, 64).encode(["aa ac ad.\nx", "ba.\nx"])
    found = loaded(house)
    assert set(found) == {"a", "b"}
    np.testing.assert_array_equal([found["a"], found["b"]], expected)


def test_only_texts_that_nobody_knows_are_encoded(house):
    land(house, {f"i{n}": f"{text} {n}" for n, text in enumerate(texts(30))})
    first = walk(house)
    assert (first["encoded"], first["reused"], first["segments_made"]) == (30, 0, 1)
    land(house, {"n1": "za zb", "n2": "za zb", "i0": "zc", "i1": f"{texts(30)[1]} 1"}, deleted=["i2"])
    second = walk(house)
    # n1 and n2 share a text, i0 has a new one, i1's is known
    assert (second["encoded"], second["reused"], second["segments_made"]) == (2, 31, 1)
    assert walk(house)["encoded"] == 0


def test_unknown_texts_may_have_more_than_2_gib(house):
    """Picking rows joins chunks, and columns of other strings may not be larger."""
    land(house, {"a": "Heat", "b": "Alien"})
    settings = Settings.load(house.params)
    features.run(settings, house)
    unknown = profiles._survey(settings, house, ROLE).unknown
    assert len(unknown) == 2 and unknown.schema.types == [pa.large_string()] * 2


def test_the_result_is_the_same_without_its_history_and_without_the_cache(house, tmp_path_factory):
    land(house, {f"i{n}": text for n, text in enumerate(texts(40))})
    walk(house)
    land(house, {"i1": "za zb", "n": "zc"}, deleted=["i3"])
    walk(house)
    grown = contents(house.profiles(ROLE))
    for path in [*house.profiles(ROLE).iterdir(), *(p for d in house.vectors.iterdir() for p in d.iterdir())]:
        path.unlink()
    assert walk(house)["segments_made"] == 2
    assert contents(house.profiles(ROLE)) == grown


def test_strays_go_and_a_broken_segment_is_made_again_from_the_cache(house):
    land(house, {"a": "aa ab", "b": "ba"})
    walk(house)
    clean = contents(house.profiles(ROLE))
    segment = list_segments(house.profiles(ROLE))[0]
    os.truncate(segment.vectors_path, 200)
    (house.profiles(ROLE) / ".tmp-killed").write_bytes(b"half")
    (house.profiles(ROLE) / "000009-z-0000000000000000.rows.parquet").write_bytes(b"stray")
    record = walk(house)
    assert (record["encoded"], record["segments_made"]) == (0, 1)
    assert contents(house.profiles(ROLE)) == clean


def test_a_damaged_cache_costs_time_and_never_a_result(house, caplog):
    land(house, {"a": "aa ab", "b": "ba"})
    walk(house)
    clean = contents(house.profiles(ROLE))
    for path in house.profiles(ROLE).iterdir():
        path.unlink()
    for path in next(house.vectors.iterdir()).glob("*.vectors.npy"):
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
    walk(house)
    assert contents(house.profiles(ROLE)) == clean
    assert "dropped" in caplog.text


@pytest.mark.whole
def test_a_killed_first_encode_goes_on_where_it_was_and_ends_the_same(house):
    some = {f"i{n}": f"{text} {text}" for n, text in enumerate(texts(600, seed=5))}
    land(house, some)
    features.run(Settings.load(house.params), house)
    command = [sys.executable, "-m", "recsys", "run", f"profiles@{ROLE}"]
    environment = os.environ | {"RECSYS_WORKSPACE": str(house.root)}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while len(list(house.vectors.glob("*/*.keys.npy"))) < 5:
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert list_segments(house.profiles(ROLE)) == ()
    resumed = walk(house)
    n_texts = len(set(some.values()))
    assert 0 < resumed["encoded"] <= n_texts - 5 * 4
    after_kill = contents(house.profiles(ROLE))
    for path in [*house.profiles(ROLE).iterdir(), *(p for d in house.vectors.iterdir() for p in d.iterdir())]:
        path.unlink()
    assert walk(house)["encoded"] == n_texts
    assert contents(house.profiles(ROLE)) == after_kill


def test_the_plan_counts_texts_and_tokens_and_encodes_nothing_for_good(house):
    land(house, {"a": "aa ab", "b": "ba", "c": "ba"})
    features.run(Settings.load(house.params), house)
    environment = {"RECSYS_WORKSPACE": str(house.root)}
    done = CliRunner().invoke(main, ["plan", "--json"], env=environment, catch_exceptions=False)
    (plan,) = json.loads(done.stdout)
    # <s> aa ab . x </s> and <s> ba . x </s>
    assert (plan["role"], plan["segments"], plan["texts"], plan["tokens"]) == (ROLE, 1, 2, 11)
    assert 0 <= plan["minutes"] < 1
    assert list_segments(house.profiles(ROLE)) == () and not house.vectors.exists()
    walk(house)
    done = CliRunner().invoke(main, ["plan", "--json"], env=environment, catch_exceptions=False)
    assert json.loads(done.stdout)[0]["texts"] == 0


def test_a_missing_champion_or_missing_features_name_the_remedy(house):
    settings = Settings.load(house.params)
    with pytest.raises(ArtifactMissing, match="repro features"):
        profiles.run(settings, house, ROLE)
    with pytest.raises(ArtifactMissing, match="fetch-champion"):
        profiles.run(settings, house, "challenger")
