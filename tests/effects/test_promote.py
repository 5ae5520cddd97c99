"""Register, promote and the ledger against a real MLflow server: repeated, killed between any two steps, cut off."""

import json

import pytest

from localplatform.servers import start_mlflow
from recsys.artifacts import Artifacts
from recsys.effects import promote as promoting
from recsys.effects.promote import promote
from recsys.effects.register import register
from recsys.errors import ArtifactMissing, EncoderError, GateClosed, RegistryError, RegistryUnreachable
from recsys.gate.decision import Decision
from recsys.registry import mlflow
from recsys.registry.fetch import fetch_verdict
from recsys.registry.ledger import entries
from recsys.registry.mlflow import champion
from recsys.registry.registering import register_folder
from recsys.registry.runs import connect
from recsys.training.trials import Trial
from tests.registry.judged import CHAMPION_HASH, HOLDOUT, by_hand, client_of

pytestmark = pytest.mark.servers


@pytest.fixture
def registry(mlflow_server, model, trained):
    """A registry whose first version is champion, and a workspace with a challenger that passed the gate."""
    return JudgedRegistry(mlflow_server, model, trained)


class JudgedRegistry:
    def __init__(self, uri, model, trained):
        self.uri, self.model, self.trained, self.at = uri, model, trained, trained.at
        folder = trained.at.root / "champion"
        folder.mkdir()
        (folder / "model.xml").write_text("<net/>")
        from recsys.registry.record import RunRecord

        self.first = register_folder(uri, CHAMPION_HASH, folder, RunRecord("c0ffee", {}), model)
        by_hand(uri, model, "champion", self.first.version)

    def register(self):
        return register(self.uri, self.at, "trainer", self.model)

    def promote(self, why=None):
        return promote(self.uri, self.at, "me", why, self.model)

    def champion(self):
        return champion(self.uri, self.model)

    def ledger(self):
        return [
            (one.alias, one.previous, one.version, one.how, one.state)
            for one in entries(self.uri, self.model)
        ]


FOUND = ("champion", None, "1", "by hand", "done")


def test_a_challenger_from_before_models_had_parts_is_registered_too(registry):
    model_hash = registry.trained.challenge()
    path = registry.at.model_reference("challenger")
    reference = json.loads(path.read_text())["encoder"]
    path.with_name("encoder.json").write_text(json.dumps(reference | {"registry": None}))
    path.unlink()
    made = registry.register().version
    assert (made.hash, made.folder) == (model_hash, "model")


def test_a_challenger_becomes_a_version_with_all_that_says_where_it_came_from(registry):
    (registry.at.root / "data.dvc").write_text("outs: []\n")
    model_hash = registry.trained.challenge()
    made = registry.register().version
    assert (made.version, made.hash) == ("2", model_hash)
    assert (
        made.trained.trained_on == HOLDOUT.trained_on and made.trained.trained_until == HOLDOUT.trained_until
    )
    client = client_of(registry.uri)
    folders = ("", "model", "model/encoder", "finetune", "gate", "evaluate")
    there = {found.path for folder in folders for found in client.list_artifacts(made.run_id, folder or None)}
    assert {
        "model/encoder/model.bin",
        "model/model.json",
        "finetune/summary.json",
        "finetune/history.csv",
    } <= there
    assert {"gate/decision.json", "gate.html", "evaluate/report.json", "data.dvc", "params.yaml"} <= there
    run = client.get_run(made.run_id)
    assert run.data.tags["code_commit"] and run.data.params["gate.floor_metric"] == "ndcg@20"
    assert mlflow.with_alias(registry.uri, "challenger", registry.model) == made
    assert registry.champion() == registry.first


def test_trials_of_the_training_become_child_runs_and_no_second_ones(registry):
    registry.trained.challenge()
    drawn = {"learning_rate": 0.001, "batch_items": 64}
    trials = (
        Trial(number=0, drawn=drawn, scores=(0.2, 0.3, 0.25), state="complete", key="a"),
        Trial(number=1, drawn=drawn | {"batch_items": 8}, scores=(0.2, None), state="pruned", key="b"),
    )
    path = registry.at.finetune / "summary.json"
    summary = json.loads(path.read_text()) | {"trials": [trial.model_dump() for trial in trials]}
    path.write_text(json.dumps(summary))
    made = registry.register().version
    registry.register()
    client = client_of(registry.uri)
    parent = client.get_run(made.run_id)
    runs = client.search_runs(
        [parent.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{made.run_id}'",
        order_by=["tags.trial ASC"],
    )
    assert [run.data.params["batch_items"] for run in runs] == ["64", "8"]
    assert [run.data.tags["trial_state"] for run in runs] == ["complete", "pruned"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    points = client.get_metric_history(runs[0].info.run_id, "score")
    assert [(point.step, point.value) for point in points] == [(0, 0.2), (1, 0.3), (2, 0.25)]
    assert len(mlflow.versions(registry.uri, registry.model)) == 2


def test_registering_again_makes_no_second_version_but_brings_the_newer_verdict(registry, tmp_path):
    model_hash = registry.trained.challenge(reasons=("too few users",))
    first = registry.register()
    assert first.entry.how == "registered" and "gate closed" in first.entry.why
    registry.trained.judge(model_hash)
    again = registry.register()
    assert again.entry is None and again.version == first.version
    assert len(mlflow.versions(registry.uri, registry.model)) == 2
    client = client_of(registry.uri)
    assert (
        "open"
        in (
            tmp_path / client.download_artifacts(again.version.run_id, "gate.html", str(tmp_path))
        ).read_text()
    )


def test_what_the_gate_has_not_judged_or_what_is_damaged_is_not_registered(registry):
    with pytest.raises(ArtifactMissing, match="nothing has been trained here"):
        registry.register()
    model_hash = registry.trained.challenge()
    registry.trained.judge("f" * 64)
    with pytest.raises(ArtifactMissing, match="not this challenger(.|\n)*dvc repro gate"):
        registry.register()
    registry.trained.judge(model_hash)
    (registry.at.encoders / model_hash / "model.bin").write_text("model.bin of f1rst")
    with pytest.raises(EncoderError, match="model.bin is damaged"):
        registry.register()
    assert len(mlflow.versions(registry.uri, registry.model)) == 1


def test_an_open_gate_promotes_once_and_the_ledger_says_who_when_and_why(registry):
    registry.trained.challenge()
    registry.register()
    assert registry.promote().entry.how == "gated"
    assert registry.champion().version == "2"
    assert registry.promote().entry is None
    assert registry.ledger() == [
        FOUND,
        ("challenger", None, "2", "registered", "done"),
        ("champion", "1", "2", "gated", "done"),
    ]
    last = entries(registry.uri, registry.model)[-1]
    assert (
        last.who == "me" and last.model_hash == registry.champion().hash and last.why.startswith("gate open")
    )
    assert [one.n for one in entries(registry.uri, registry.model)] == [1, 2, 3]


def test_the_gates_decision_about_the_champion_is_brought_into_a_workspace_that_publishes_it(
    registry, tmp_path
):
    at = Artifacts(tmp_path / "publishes")
    assert not fetch_verdict(registry.uri, at, registry.model)  # nobody judged the first one
    model_hash = registry.trained.challenge()
    registry.register()
    registry.promote()
    assert fetch_verdict(registry.uri, at, registry.model)
    assert Decision.load(at.decision).model_hash == model_hash
    by_hand(registry.uri, registry.model, "champion", "1")
    assert not fetch_verdict(registry.uri, at, registry.model) and not at.decision.exists()


def test_a_closed_gate_keeps_the_champion_and_forcing_it_is_on_record(registry):
    registry.trained.challenge(reasons=("worse on warm items", "too few users"))
    registry.register()
    with pytest.raises(GateClosed, match="worse on warm items\ntoo few users(.|\n)*--force --why"):
        registry.promote()
    assert registry.champion() == registry.first and len(registry.ledger()) == 2
    forced = registry.promote("the sale begins tonight").entry
    assert (forced.how, forced.who, forced.why) == ("forced", "me", "the sale begins tonight")
    assert registry.champion().version == "2" and registry.ledger()[-1] == (
        "champion",
        "1",
        "2",
        "forced",
        "done",
    )


def test_a_gate_that_judged_another_encoder_or_another_champion_is_closed(registry):
    model_hash = registry.trained.challenge()
    registry.register()
    registry.trained.judge("f" * 64)
    with pytest.raises(GateClosed, match="the gate judged challenger ffffffffff; version 2"):
        registry.promote()
    registry.trained.judge(model_hash, champion="9" * 64)
    with pytest.raises(GateClosed, match="compared with champion 9999999999; .* version 1, is aaaaaaaaaa"):
        registry.promote()
    registry.trained.judge(model_hash)
    assert registry.promote().entry.how == "gated"


def test_a_champion_that_changes_between_the_gates_look_and_the_move_stays(registry, monkeypatch):
    registry.trained.challenge()
    registry.register()
    looked_up = promoting.version_at

    def then_somebody_moves_it(uri, model, alias):
        found = looked_up(uri, model, alias)
        client_of(uri).delete_registered_model_alias(model, alias)
        return found

    monkeypatch.setattr(promoting, "version_at", then_somebody_moves_it)
    with pytest.raises(
        GateClosed, match="version None has become champion meanwhile; .* compared with version 1"
    ):
        registry.promote()
    assert registry.champion() is None
    assert registry.promote("nobody is champion").entry.how in ("gated", "forced")


def test_without_a_challenger_in_the_registry_promote_names_the_command(registry):
    with pytest.raises(RegistryError, match="is challenger(.|\n)*recsys register"):
        registry.promote()


def test_an_alias_moved_in_mlflow_by_a_person_shows_up_as_by_hand(registry):
    registry.trained.challenge()
    registry.register()
    registry.promote()
    by_hand(registry.uri, registry.model, "champion", "1")
    assert registry.ledger()[-1] == ("champion", "2", "1", "by hand", "done")
    client_of(registry.uri).delete_registered_model_alias(registry.model, "challenger")
    assert registry.ledger()[-1] == ("challenger", "2", None, "by hand", "done")
    assert len(registry.ledger()) == 5  # noticed once


def test_a_version_that_firstlight_did_not_register_is_an_error_with_a_way_out(registry):
    model_hash = registry.trained.challenge()
    registry.register()
    client = client_of(registry.uri)
    run = client.get_run(registry.first.run_id)
    foreign = client.create_model_version(
        registry.model, f"{run.info.artifact_uri}/encoder", registry.first.run_id
    )
    by_hand(registry.uri, registry.model, "challenger", foreign.version)
    with pytest.raises(RegistryError, match="version 3 of .* has no tag encoder_hash(.|\n)*give the alias"):
        registry.promote()
    assert registry.ledger()[-1] == ("challenger", "2", "3", "by hand", "done")
    by_hand(registry.uri, registry.model, "champion", foreign.version)
    registry.register()  # gives the alias back to the challenger of this workspace
    with pytest.raises(GateClosed, match="version 3, is not one of Firstlight's"):
        registry.promote()
    assert registry.promote("the foreign one must go").entry.how == "forced"
    assert registry.champion().hash == model_hash


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, nothing is tidied up."""


CHANGES = (
    "create_run",
    "set_terminated",
    "create_model_version",
    "set_registered_model_alias",
    "log_artifacts",
)


def killed_before(monkeypatch, n):
    """From now on the n-th call that changes something in MLflow kills; returns how many were let through."""
    from mlflow import MlflowClient

    calls = []
    for name in CHANGES:
        real = getattr(MlflowClient, name)

        def counted(self, *arguments, _real=real, **named):
            calls.append(_real.__name__)
            if len(calls) == n:
                raise Killed
            return _real(self, *arguments, **named)

        monkeypatch.setattr(MlflowClient, name, counted)
    return calls


def test_killed_between_any_two_steps_the_next_run_completes_it_once(registry, monkeypatch):
    """One challenger after the other is registered and promoted; every walk is killed one step later."""
    for n in range(1, 100):
        before = entries(registry.uri, registry.model)
        registry.trained.challenge(f"challenger {n}", champion=registry.champion().hash)
        with monkeypatch.context() as patched:
            calls = killed_before(patched, n)
            try:
                registry.register()
                registry.promote()
                is_killed = False
            except Killed:
                is_killed = True
        registry.register()
        registry.promote()
        assert registry.champion().hash == mlflow.with_alias(registry.uri, "challenger", registry.model).hash
        assert len(mlflow.versions(registry.uri, registry.model)) == n + 1
        added = entries(registry.uri, registry.model)[len(before) :]
        assert [(one.alias, one.how, one.state) for one in added] == [
            ("challenger", "registered", "done"),
            ("champion", "gated", "done"),
        ], f"killed before step {n}, {calls[-1]}"
        if not is_killed:
            break
    assert n > 10


def test_mlflow_down_in_the_middle_leaves_nothing_half_done(tmp_path, model, trained):
    """The real server goes down just before an alias moves, and comes back with what it had."""
    server = start_mlflow(tmp_path / "server")
    port = int(server.url.rpartition(":")[2])
    try:
        registry = JudgedRegistry(server.url, model, trained)
        trained.challenge()
        registry.register()
        with pytest.MonkeyPatch.context() as patched:
            from mlflow import MlflowClient

            real = MlflowClient.set_registered_model_alias

            def gone(self, *arguments):
                server.stop()
                return real(self, *arguments)

            patched.setattr(MlflowClient, "set_registered_model_alias", gone)
            with pytest.raises(RegistryUnreachable, match="remedy: start MLflow"):
                registry.promote()
            with pytest.raises(RegistryUnreachable):
                registry.promote()
        server = start_mlflow(tmp_path / "server", port=port)
        assert server.url == registry.uri and registry.champion() == registry.first
        assert registry.promote().entry.how == "gated"
        assert (
            registry.ledger()[-1] == ("champion", "1", "2", "gated", "done") and len(registry.ledger()) == 3
        )
    finally:
        server.stop()


def test_a_lost_workspace_loses_nothing_of_the_ledger(registry):
    registry.trained.challenge()
    registry.register()
    before = entries(registry.uri, registry.model)
    with connect(registry.uri) as client:  # written down as runs that anybody can read in MLflow's page
        experiment = client.get_experiment_by_name("ledger")
        runs = client.search_runs([experiment.experiment_id], f"tags.model = '{registry.model}'")
    assert {run.data.tags["mlflow.note.content"] for run in runs} == {one.why for one in before}
    assert {run.info.status for run in runs} == {"FINISHED"}
