"""What tasks of the slow loop have beside a command: the form, the pod, the verdict that a person sees."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml


@pytest.fixture
def slow(plugin, monkeypatch, tmp_path):
    """The plugin on a workspace whose params.yaml a test may change."""
    module, tasks = plugin("slow_loop"), plugin("recsys_tasks")
    monkeypatch.setattr(tasks, "WORKSPACE", tmp_path)
    root = tasks.Path(__file__).resolve().parents[2]
    values = yaml.safe_load((root / "params.yaml").read_text("utf-8"))

    def set_params(section, **changes):
        values[section] |= changes
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))

    set_params("gate")
    module.set_params = set_params
    return module


def test_the_form_shows_what_params_yaml_says_with_the_bounds_of_the_code(slow):
    slow.set_params("finetune", epochs=4, layers="lora")
    form = slow.form()
    assert form["epochs"].value == 4 and form["layers"].value == "lora"
    assert form["epochs"].schema["minimum"] == 1 and form["epochs"].description
    assert "roles" not in form
    assert [*form][:2] == ["objective", "layers"]
    with pytest.raises(Exception, match="0 is less than the minimum"):
        form["epochs"].resolve(0)
    with pytest.raises(Exception, match="is not one of"):
        form["objective"].resolve("magic")


def test_a_parameter_under_its_older_name_stays_in_the_form(slow, tmp_path):
    values = yaml.safe_load((tmp_path / "params.yaml").read_text())
    del values["finetune"]["co_occurrence_weight"]
    values["finetune"]["together_weight"] = 0.25
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert slow.form()["co_occurrence_weight"].value == 0.25


def test_trainings_start_by_hand_by_the_clock_on_enough_interactions_or_both(slow):
    assert slow.training_schedule() is None and slow.look_schedule() is None  # as params.yaml comes
    slow.set_params("slow_loop", train_cron="0 3 * * 0")
    assert slow.training_schedule() == "0 3 * * 0" and slow.look_schedule() is None
    slow.set_params("slow_loop", train_after_interactions=5000)
    both = slow.training_schedule()
    assert both.asset_condition == slow.DUE and both.timetable.expression == "0 3 * * 0"
    slow.set_params("slow_loop", train_cron="")
    assert slow.training_schedule() is slow.DUE
    slow.set_params("arrivals", sweep_s=7)
    assert slow.look_schedule().delta.total_seconds() == 7


def test_nobody_looks_while_a_training_is_under_way_waits_or_is_queued(slow):
    """`due` itself knows what trainings hold; only Airflow knows those that have not begun."""

    class Runs:
        def __init__(self, n):
            self.n = n

        def get_dr_count(self, dag_id, states):
            assert dag_id == "train_challenger" and states == ["queued", "running"]
            return self.n

    (look,) = [slow.due()._pre_execute_hook]
    with pytest.raises(Exception, match=r"1 run\(s\) of train_challenger under way or queued") as skipped:
        look({"ti": Runs(1)})
    assert type(skipped.value).__name__ == "AirflowSkipException"
    assert look({"ti": Runs(0)}) is None


def test_with_approval_a_person_is_asked_between_an_open_gate_and_the_alias(slow):
    assert [task.task_id for task in slow.promotion()] == ["promote"]
    slow.set_params("gate", needs_approval=True)
    slow.set_params("slow_loop", approval_hours=2)
    gate, ask, promote = slow.promotion()
    assert gate.bash_command == "exec python -m recsys promote --dry-run" and gate.task_id == "open-gate"
    assert ask.response_timeout.total_seconds() == 7200 and ask.execution_timeout != ask.response_timeout
    assert "approved by" in promote.env["RECSYS_WHO"] and not ask.fail_on_reject


def test_a_gpu_task_has_pool_and_queue_and_no_pod_where_kubernetes_is_not_installed(slow):
    slow.set_params("slow_loop", pool="big", queue="fast")
    assert slow.gpu() == {"pool": "big", "queue": "fast", "executor_config": {}}


def test_a_task_that_encodes_wants_a_gpu_only_where_it_must_have_one(slow):
    for device in ("cpu", "auto"):
        slow.set_params("profiles", device=device)
        assert slow.gpu_to_encode() == slow.gpu_to_encode(pictures=True) == {}
    slow.set_params("profiles", device="cuda")
    assert slow.gpu_to_encode() == slow.gpu() and slow.gpu_to_encode(pictures=True) == {}
    slow.set_params("images", encoder="clip")
    assert slow.gpu_to_encode(pictures=True) == slow.gpu()


def test_under_kubernetes_the_pod_asks_for_gpus_and_image(slow, monkeypatch):
    """The client is no dependency of Firstlight; its models only carry what they are given."""

    class Model(SimpleNamespace):
        def __init__(self, **given):
            super().__init__(**given)

    names = ("V1Pod", "V1PodSpec", "V1Container", "V1ResourceRequirements")
    models = ModuleType("kubernetes.client.models")
    for name in names:
        setattr(models, name, type(name, (Model,), {}))
    client = ModuleType("kubernetes.client")
    client.models = models
    for name, module in (("kubernetes", ModuleType("kubernetes")), ("kubernetes.client", client)):
        module.__spec__ = SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "kubernetes.client.models", models)
    slow.set_params("slow_loop", gpus=2, image="shop/train:1")
    pod = slow.gpu()["executor_config"]["pod_override"]
    (container,) = pod.spec.containers
    assert (container.name, container.image) == ("base", "shop/train:1")
    assert container.resources.limits == {"nvidia.com/gpu": "2"}
    slow.set_params("slow_loop", gpus=0, image="")
    assert slow.gpu()["executor_config"] == {}


def test_the_verdict_shows_figures_of_both_and_the_result_of_every_rule(slow, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000/")
    decision = {
        "open": False,
        "reasons": ["it is not, by 0.1"],
        "model_hash": "b" * 64,
        "champion_hash": "a" * 64,
        "checks": [
            {
                "rule": "enough_users",
                "requirement": "Enough test users interacted with a cold item.",
                "reason": None,
            },
            {
                "rule": "beats_champion",
                "requirement": "On cold items the champion is beaten.",
                "reason": "it is not, by 0.1",
            },
        ],
    }
    metrics = {"cold/ndcg@20": 0.25, "challenger/cold/ndcg@20": 0.5, "floors/random/cold/ndcg@20": 0.1}
    metrics |= {
        "warm/ndcg@20": 0.2,
        "challenger/warm/ndcg@20": None,
        "cold/gini@20": 0.3,
        "challenger/cold/gini@20": 0.4,
    }
    for name, content in (("gate/decision.json", decision), ("evaluate/metrics.json", metrics)):
        path = tmp_path / "artifacts" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    text = slow.verdict(tmp_path)
    assert "The gate is **closed** for challenger `bbbbbbbbbb` against champion `aaaaaaaaaa`" in text
    assert "| items | ndcg@20 | gini@20 |\n|---|---|---|\n" in text and "random" not in text
    assert "| cold | 0.250 → 0.500 | 0.300 → 0.400 |\n| warm |  |  |" in text
    assert (
        "- Enough test users interacted with a cold item. Yes." in text
        and "beaten. it is not, by 0.1" in text
    )
    assert "http://mlflow:5000/#/models/item-encoder" in text


def test_the_plugins_and_the_commands_mean_the_same_dag_and_the_same_workspaces(
    slow, plugin, monkeypatch, tmp_path
):
    from recsys.artifacts import Artifacts
    from recsys.effects import workspaces

    tasks = plugin("recsys_tasks")
    assert slow.TRAINING == workspaces.TRAINING
    monkeypatch.setenv("RECSYS_WORKSPACES", str(tmp_path / "elsewhere"))
    assert Artifacts(tmp_path).workspaces == tmp_path / "elsewhere"
    monkeypatch.delenv("RECSYS_WORKSPACES")
    assert tasks.WORKSPACES.parts[-2:] == Artifacts(tmp_path).workspaces.parts[-2:]
