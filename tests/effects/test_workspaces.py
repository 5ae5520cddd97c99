"""Workspaces of their own, with a real DVC: pinned to one data version, made once, removed when they have done."""

import subprocess

import pytest
import yaml

from recsys.dvc import track_data
from recsys.effects.workspace_finish import workspace_finish
from recsys.effects.workspace_make import make_release_workspace, workspace_make
from recsys.effects.workspaces import begun
from recsys.errors import ArtifactMissing, ConfigError, ReleaseError, StorageError
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from tests.dvc_folder import begin_dvc
from tests.publishing.film_workspace import ROOT, UP, FilmWorkspace, tiny_model

pytestmark = pytest.mark.whole


@pytest.fixture
def film_workspace(tmp_path, monkeypatch):
    """A workspace under DVC, with the code that its stages depend on."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    made = FilmWorkspace(tmp_path / "workspace", tiny_model(tmp_path / "cache/encoders"))
    for name in ("dvc.yaml", ".dvcignore"):
        (made.at.root / name).write_bytes((ROOT / name).read_bytes())
    (made.at.root / "recsys").mkdir()
    (made.at.root / "recsys/errors.py").write_bytes((ROOT / "recsys/errors.py").read_bytes())
    begin_dvc(made.at.root)
    made.items(UP)
    return made


def parts(at):
    return sorted(path.name for path in (at.data / "catalogue").iterdir())


@pytest.mark.whole
def test_it_holds_the_data_of_now_whatever_lands_later_and_its_own_settings(film_workspace, tmp_path):
    track_data(film_workspace.at.root)
    into = tmp_path / "own" / "train.1"
    made = workspace_make(film_workspace.at, into, {"finetune": {"epochs": 3, "roles": ["challenger"]}})
    assert parts(made) == parts(film_workspace.at) and made.root == into
    assert (made.root / "recsys/errors.py").exists() and (made.root / ".code_commit").read_text().strip()
    assert str(film_workspace.at.root / ".dvc/cache") in (into / ".dvc/config").read_text()
    ours, theirs = Settings.load(made.params), Settings.load(film_workspace.at.params)
    assert (ours.finetune.epochs, ours.finetune.roles) == (3, ("challenger",))
    assert ours.finetune.model_copy(update={"epochs": theirs.finetune.epochs, "roles": ()}) == theirs.finetune
    film_workspace.items({"late": "A late one"}, day=1)
    track_data(film_workspace.at.root)
    again = workspace_make(film_workspace.at, into, {"finetune": {"epochs": 7}})  # a retried task
    assert again == made and len(parts(made)) == 1 and len(parts(film_workspace.at)) == 2
    assert Settings.load(made.params).finetune.epochs == 3
    # Killed after the folder was made and before the data was laid out:
    subprocess.run(["rm", "-rf", str(made.data)], check=True)
    assert len(parts(workspace_make(film_workspace.at, into, {}))) == 1


def test_judged_queries_come_along_and_a_missing_file_is_named(film_workspace, tmp_path):
    track_data(film_workspace.at.root)
    into, changes = tmp_path / "own/train.1", {"search": {"queries": "queries/first.jsonl"}}
    with pytest.raises(ConfigError, match=r"search\.queries: .*first\.jsonl does not exist"):
        workspace_make(film_workspace.at, into, changes)
    assert not into.exists()
    own = film_workspace.at.root / "queries/first.jsonl"
    own.parent.mkdir()
    own.write_text('{"query": "a house that flies", "item_id": "up"}\n')
    made = workspace_make(film_workspace.at, into, changes)
    assert (made.root / "queries/first.jsonl").read_text() == own.read_text()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"finetune": {"epochs": 0}}, r"finetune\.epochs"),
        ({"finetune": {"epoks": 3}}, r"finetune\.epoks"),
        ({"fine": {"epochs": 3}}, "no section fine"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_key_before_anything_is_made(
    film_workspace, tmp_path, changes, problem
):
    film_workspace.at.data_dvc.write_text("outs: []\n")
    with pytest.raises(ConfigError, match=problem):
        workspace_make(film_workspace.at, tmp_path / "own/train.1", changes)
    assert list((tmp_path / "own").iterdir()) == []


def test_with_nothing_accepted_or_nothing_published_there_is_nothing_to_pin(film_workspace, tmp_path):
    with pytest.raises(ArtifactMissing, match="nothing has been accepted"):
        workspace_make(film_workspace.at, tmp_path / "own/train.1", {})
    storage = open_storage(str(tmp_path / "store"))
    with pytest.raises(ReleaseError, match="holds no release"):
        make_release_workspace(storage, film_workspace.at, tmp_path / "own/publish.1")
    film_workspace.build().publish(storage)  # without data.dvc
    with pytest.raises(ReleaseError, match=r"without data\.dvc"):
        make_release_workspace(storage, film_workspace.at, tmp_path / "own/publish.1")


def test_data_that_no_cache_has_is_an_error_and_the_next_try_finds_it(film_workspace, tmp_path):
    track_data(film_workspace.at.root)
    cache, gone = film_workspace.at.root / ".dvc/cache", tmp_path / "gone"
    cache.rename(gone)
    with pytest.raises(StorageError, match=r"data\.dvc"):
        workspace_make(film_workspace.at, tmp_path / "own/train.1", {})
    gone.rename(cache)
    assert parts(workspace_make(film_workspace.at, tmp_path / "own/train.1", {})) == parts(film_workspace.at)


def test_one_of_a_release_holds_the_releases_data_not_that_of_now(film_workspace, tmp_path):
    track_data(film_workspace.at.root)
    storage = open_storage(str(tmp_path / "store"))
    film_workspace.build().publish(storage)
    film_workspace.items({"late": "A late one"}, day=1)
    track_data(film_workspace.at.root)
    (tmp_path / "own/publish.0").mkdir(parents=True)  # failed; only one at a time publishes a new encoder
    made = make_release_workspace(storage, film_workspace.at, tmp_path / "own/publish.1")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["publish.1"]
    assert len(parts(made)) == 1 and len(parts(film_workspace.at)) == 2
    assert yaml.safe_load(made.params.read_text()) == yaml.safe_load(film_workspace.at.params.read_text())
    assert not made.model_reference("champion").exists()  # fetch-champion brings the one to publish
    assert ModelReference.load(film_workspace.at.model_reference("champion")) == film_workspace.model


@pytest.mark.whole
def test_trainings_that_have_not_ended_well_say_how_many_interactions_they_began_with(
    film_workspace, tmp_path
):
    own = tmp_path / "own"
    assert begun(own) == 0
    film_workspace.ratings([("a", "up"), ("b", "up")])
    track_data(film_workspace.at.root)
    workspace_make(film_workspace.at, own / "train_challenger.1", {})
    assert begun(own) == 2
    film_workspace.ratings([("a", "up")], day=1)
    track_data(film_workspace.at.root)
    (film_workspace.at.root / ".dvc/cache").rename(tmp_path / "gone")  # it fails before its data is laid out
    with pytest.raises(StorageError):
        workspace_make(film_workspace.at, own / "train_challenger.2", {})
    assert begun(own) == 3
    (tmp_path / "gone").rename(film_workspace.at.root / ".dvc/cache")
    workspace_finish(workspace_make(film_workspace.at, own / "train_challenger.2", {}), keep=1)
    assert begun(own) == 2  # what was registered, the registry knows
    (own / ".tmp-train_challenger.3/var").mkdir(parents=True)  # killed while it was made
    (own / "train_challenger.0").mkdir()  # of a version that did not count
    workspace_make(film_workspace.at, own / "publish_champion.1", {})
    assert begun(own) == 2


def test_those_that_succeeded_go_but_for_the_newest_and_those_that_failed_stay(tmp_path):
    from recsys.artifacts import Artifacts

    own = tmp_path / "own"
    runs = {name: Artifacts(own / name) for name in ("train.1", "train.2", "train.3", "publish.1")}
    for at in runs.values():
        at.root.mkdir(parents=True)
    workspace_finish(runs["train.1"], keep=1)
    assert workspace_finish(runs["train.3"], keep=1) == (runs["train.1"].root,)
    assert sorted(path.name for path in own.iterdir()) == ["publish.1", "train.2", "train.3"]  # 2 has failed
    assert workspace_finish(runs["train.3"], keep=0) == (runs["train.3"].root,)
    assert workspace_finish(runs["train.3"], keep=0) == ()  # a retried task finds itself gone
    (own / ".gone-train.9").mkdir()  # killed while it removed one
    assert workspace_finish(runs["train.2"], keep=0) == (runs["train.2"].root,)
    assert [path.name for path in own.iterdir()] == ["publish.1"]
