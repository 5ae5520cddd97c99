"""`recsys due` and `workspace make --when-due` as Airflow runs them, against a real MLflow server."""

import json
from uuid import uuid4

import pytest
import yaml
from click.testing import CliRunner

from recsys.artifacts import Artifacts
from recsys.catalogue.tracking import track
from recsys.cli import main
from recsys.effects.workspace_finish import workspace_finish
from recsys.effects.workspaces import BEGUN
from tests.dvc_folder import begin_dvc
from tests.publishing.film_workspace import ROOT, FilmWorkspace, tiny_model
from tests.registry.judged import Trained


@pytest.fixture
def at(tmp_path, monkeypatch):
    """A workspace with DVC in which five new interactions start a training."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECSYS_WORKSPACES", raising=False)
    film_workspace = FilmWorkspace(tmp_path / "workspace", tiny_model(tmp_path / "cache/encoders"))
    set_threshold(film_workspace.at, 5)
    (film_workspace.at.root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    begin_dvc(film_workspace.at.root)
    monkeypatch.setenv("RECSYS_WORKSPACE", str(film_workspace.at.root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return film_workspace.at


def set_threshold(at, after):
    values = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    values["slow_loop"]["train_after_interactions"] = after
    at.params.write_text(yaml.safe_dump(values), "utf-8")


def accept(at, n, *, tracked=True):
    hand = object.__new__(FilmWorkspace)
    hand.at = at
    hand.ratings([(f"u{i}", "up") for i in range(n)], day=len([*at.data.glob("interactions/*")]))
    if tracked:
        track(at)


def recsys(*words):
    return CliRunner().invoke(main, list(words))


def make(folder):
    return recsys("workspace", "make", "--train", "--when-due", str(folder))


def test_a_registry_that_is_down_is_an_error_with_a_remedy_and_starts_nothing(at):
    accept(at, 9)
    for done in (recsys("due"), make(at.workspaces / "train_challenger.1")):
        assert done.exit_code == 1 and "RegistryUnreachable: MLflow at http://127.0.0.1:9" in done.stderr
        assert "remedy:" in done.stderr
    assert not at.workspaces.exists()


@pytest.mark.servers
def test_from_the_first_interactions_to_a_failed_training_and_one_that_was_registered(
    at, mlflow_server, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    pre = json.loads(recsys("due", "--json").stdout)[
        "trained"
    ]  # the server is shared: other tests train there
    accept(at, pre + 4)
    early = recsys("due", "--json")
    assert early.exit_code == 99 and "4 are new, not enough" in early.stderr
    figures = {
        "after": 5,
        "accepted": pre + 4,
        "trained": pre,
        "begun": 0,
        "is_tracked": True,
        "new": 4,
        "due": False,
    }
    assert json.loads(early.stdout) == figures
    accept(at, 1, tracked=False)  # an intake that has not told DVC yet: a training would be pinned to less
    during = recsys("due")
    assert during.exit_code == 99 and "an intake is under way" in during.stderr
    track(at)
    assert recsys("due").exit_code == 0
    # Woken, a run begins; woken twice, the second one finds the first.
    first = Artifacts(at.workspaces / "train_challenger.1")
    assert make(first.root).exit_code == 0 and (first.root / BEGUN).read_text() == str(pre + 5)
    assert "is under way, or it failed" in recsys("due").stderr and recsys("due").exit_code == 99
    second = at.workspaces / "train_challenger.2"
    assert make(second).exit_code == 99 and not second.exists()
    assert make(first.root).exit_code == 0  # tried again or cleared, the first one goes on
    # It fails for good: not again for the same interactions, but for five more.
    accept(at, 4)
    assert make(second).exit_code == 99
    accept(at, 1)
    assert make(second).exit_code == 0
    # That one is registered, its gate is closed, and it ends.
    own = Artifacts(second)
    Trained(own).challenge(f"due {uuid4()}", reasons=("worse",))
    monkeypatch.setenv("RECSYS_WORKSPACE", str(own.root))
    assert recsys("register").exit_code == 0
    workspace_finish(own, keep=1)
    monkeypatch.setenv("RECSYS_WORKSPACE", str(at.root))
    done = json.loads(recsys("due", "--json").stdout)
    assert done == figures | {"accepted": pre + 10, "trained": pre + 10, "begun": pre + 5, "new": 0}


@pytest.mark.servers
def test_switched_off_nothing_is_ever_due(at, mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    set_threshold(at, 0)
    accept(at, 1000)
    done = recsys("due")
    assert done.exit_code == 99 and "slow_loop.train_after_interactions = 0, never" in done.stderr
    assert make(at.workspaces / "train_challenger.1").exit_code == 99
    assert recsys("workspace", "make", "--train", str(at.workspaces / "train_challenger.2")).exit_code == 0


def test_a_workspace_of_a_release_is_never_made_when_due(at):
    done = recsys("workspace", "make", "--published", "--when-due", str(at.workspaces / "publish.1"))
    assert done.exit_code == 2 and "--when-due" in done.stderr
