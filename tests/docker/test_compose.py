"""compose.yaml: what it promises, checked on its parsed form (no Docker engine is at hand)."""

import re
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from recsys.cli.serve import serve
from recsys.dvc import places

DOCKER = Path(__file__).resolve().parents[2] / "docker"
ONE_SHOT = {"buckets", "airflow-migrate", "webhook"}
AIRFLOW = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
WORKERS = {"airflow-worker", "airflow-worker-gpu"}
# What the Compose specification allows in a service, as far as this file needs it.
KEYS = {
    "build", "command", "configs", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image",
    "networks", "ports", "profiles", "restart", "secrets", "user", "volumes",
}  # fmt: skip
BASE = {
    "database": {"POSTGRES_PASSWORD", "AIRFLOW_FERNET_KEY"},
    "queue": {"POSTGRES_PASSWORD", "REDIS_PASSWORD"},
}
WORKER = BASE["database"] | BASE["queue"] | {
    "AIRFLOW_SECRET_KEY", "RECSYS_ALERT_KEY", "RECSYS_PSEUDONYM_KEY", "MLFLOW_PASSWORD",
    "WORKER_ACCESS_KEY_ID", "WORKER_SECRET_ACCESS_KEY", "RECSYS_SIGNING_KEY", "RECSYS_VERIFY_KEY",
}  # fmt: skip
# Every secret that a service may hold; a new one is written down here with its reason in compose.yaml.
HOLDS = {
    "postgres": {"POSTGRES_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "FEEDBACK_DATABASE_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "seaweedfs": {"s3_identities"},
    "buckets": {"ADMIN_ACCESS_KEY_ID", "ADMIN_SECRET_ACCESS_KEY"},
    "mlflow": {
        "MLFLOW_DATABASE_PASSWORD", "MLFLOW_PASSWORD", "MLFLOW_SERVER_KEY", "MLFLOW_WEBHOOK_KEY",
        "MLFLOW_ACCESS_KEY_ID", "MLFLOW_SECRET_ACCESS_KEY",
    },
    "airflow-migrate": BASE["database"],
    "airflow-api-server": BASE["database"] | {
        "AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET", "RECSYS_WEBHOOK_SECRET", "airflow_passwords",
    },
    "webhook": {"MLFLOW_PASSWORD", "RECSYS_WEBHOOK_SECRET"},
    "airflow-scheduler": BASE["database"] | BASE["queue"] | {"AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET"},
    "airflow-dag-processor": BASE["database"] | {"RECSYS_ALERT_KEY"},
    "airflow-triggerer": BASE["database"] | {
        "AIRFLOW_SECRET_KEY", "WATCHER_ACCESS_KEY_ID", "WATCHER_SECRET_ACCESS_KEY",
    },
    "airflow-worker": WORKER,
    "airflow-worker-gpu": WORKER,
    "serve": {
        "SERVE_ACCESS_KEY_ID", "SERVE_SECRET_ACCESS_KEY", "RECSYS_PSEUDONYM_KEY", "RECSYS_VERIFY_KEY",
        "FEEDBACK_DATABASE_PASSWORD", "api_keys",
    },
}  # fmt: skip
SECRET = re.compile(r"PASSWORD|SECRET|KEY")


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def test_everything_that_the_platform_needs_is_there(services):
    assert (
        set(services) == {"postgres", "redis", "seaweedfs", "mlflow", "serve"} | ONE_SHOT | AIRFLOW | WORKERS
    )


def test_services_use_only_keys_of_the_compose_specification(services):
    for name, service in services.items():
        assert set(service) <= KEYS, name


def test_every_lasting_service_has_a_health_check_and_comes_back(services):
    for name in set(services) - ONE_SHOT:
        assert services[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert services[name]["restart"] == "unless-stopped", name


def test_dependencies_name_services_and_conditions_that_can_come_true(services):
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            required = condition["condition"]
            assert other in services and other != name
            assert required == ("service_completed_successfully" if other in ONE_SHOT else "service_healthy")


def test_nobody_waits_for_somebody_who_waits_for_them(services):
    after = {name: set(service.get("depends_on", {})) for name, service in services.items()}
    ready: set[str] = set()
    while len(ready) < len(after):
        able = {name for name, needs in after.items() if needs <= ready} - ready
        assert able, f"a ring among {set(after) - ready}"
        ready |= able


def test_celery_workers_serve_a_queue_each_and_the_gpu_one_is_asked_for(services):
    queues = {name: services[name]["command"][-1] for name in WORKERS}
    assert queues == {"airflow-worker": "default", "airflow-worker-gpu": "gpu"}
    assert services["airflow-worker-gpu"]["profiles"] == ["gpu"]
    (device,) = services["airflow-worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    for name in WORKERS | AIRFLOW:
        assert services[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"


def test_images_from_elsewhere_are_pinned_and_ours_are_built_from_our_dockerfiles(services):
    for name, service in services.items():
        if "build" in service:
            assert (DOCKER.parent / service["build"]["dockerfile"]).exists(), name
        else:
            assert re.fullmatch(
                r"\$\{[A-Z]+_IMAGE:-\S+:\d+\.\d+(\.\d+)?(-\w+)?@sha256:[0-9a-f]{64}\}", service["image"]
            ), name


def test_compose_and_the_dockerfiles_name_the_same_base_images():
    named: dict[str, set[str]] = {}
    for path in [DOCKER / "compose.yaml", *sorted(DOCKER.glob("*.Dockerfile"))]:
        text = path.read_text("utf-8")
        for name, image in re.findall(r"(\w+_IMAGE)(?:: \$\{\w+:-|=)(\S+?@sha256:\w+)", text):
            named.setdefault(name, set()).add(image)
    assert named.keys() == {"PYTHON_IMAGE", "UV_IMAGE", "CUDA_IMAGE"}
    assert all(len(images) == 1 for images in named.values()), named


def test_each_service_holds_the_secrets_that_it_uses_and_no_other(services):
    for name, service in services.items():
        used = set(re.findall(r"\$\{(\w+):", str(service.get("environment", {}))))
        held = {variable for variable in used if SECRET.search(variable)} | set(service.get("secrets", []))
        assert held == HOLDS[name], name


def test_no_secret_stands_on_a_command_line(services):
    for name, service in services.items():
        line = f"{service.get('command')} {service.get('entrypoint')} {service.get('healthcheck', {}).get('test')}"
        assert not [one for one in re.findall(r"\$\{(\w+)", line) if SECRET.search(one)], name
    # Redis reads its password from standard input; the shell that writes it has none among its own arguments.
    assert services["redis"]["command"][:2] == ["sh", "-euc"]
    assert services["redis"]["command"][2].startswith(
        "exec redis-server - <<END\nrequirepass $$REDISCLI_AUTH"
    )


def test_networks_are_apart_and_only_doors_and_alerts_lead_out(compose, services):
    assert {name for name, made in compose["networks"].items() if not (made or {}).get("internal")} == {
        "control"
    }
    members = {
        network: {name for name, service in services.items() if network in service.get("networks", [])}
        for network in compose["networks"]
    }
    workers = WORKERS
    assert members["database"] == AIRFLOW | workers | {"postgres", "mlflow", "airflow-migrate", "serve"}
    assert members["queue"] == workers | {"redis", "airflow-scheduler"}
    assert members["objects"] == workers | {"seaweedfs", "buckets", "mlflow", "airflow-triggerer", "serve"}
    assert not members["control"] & {"postgres", "redis", "seaweedfs"}
    for name, service in services.items():
        assert service.get("network_mode") == "none" or service["networks"], name
        for other in service.get("depends_on", {}):
            lasting = other not in ONE_SHOT
            assert not lasting or set(service["networks"]) & set(services[other]["networks"]), (name, other)


def test_mlflow_asks_who_is_there_and_its_users_outlive_it(services):
    mlflow = services["mlflow"]
    assert "--app-name=basic-auth" in mlflow["command"]
    settings = (DOCKER / "mlflow-auth.ini").read_text("utf-8")
    (database,) = re.findall(r"^database_uri = sqlite:///(/\S+)$", settings, re.MULTILINE)
    assert f"mlflow:{Path(database).parent}" in mlflow["volumes"]
    assert "password" not in re.sub(r"#.*", "", settings).lower()


def test_no_secret_stands_in_the_file_and_every_needed_variable_is_in_the_example(compose):
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text)) - {"CODE_COMMIT"}
    example = (DOCKER / "example.env").read_text("utf-8")
    empty = set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert required <= empty
    assert optional <= set(re.findall(r"^#?(\w+)=", example, re.MULTILINE))
    for key, value in re.findall(r"^\s+(\w*(?:PASSWORD|SECRET|KEY)\w*): (\S+)", text, re.MULTILINE):
        assert value.startswith(("${", "/run/secrets/")), key


def test_secrets_stay_out_of_git_and_volumes_are_declared(compose, services):
    ignored = (DOCKER / ".gitignore").read_text("utf-8").splitlines()
    assert {"/.env", "/secrets/"} <= set(ignored)
    assert all(secret["file"].startswith("./secrets/") for secret in compose["secrets"].values())
    for service in services.values():
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DOCKER / source).exists() if source.startswith(".") else source in compose["volumes"]


def test_the_service_is_started_as_it_can_be_and_answers_holders_of_keys_alone(services):
    command = services["serve"]["command"]
    assert command[0] == "serve"
    parsed = serve.make_context("serve", list(command[1:])).params
    assert parsed["host"] == "0.0.0.0" and str(parsed["keys"]) == "/run/secrets/api_keys"
    assert f"127.0.0.1:{parsed['port']}:{parsed['port']}" in services["serve"]["ports"]
    assert services["serve"]["profiles"] == ["serve"] and "api_keys" in services["serve"]["secrets"]
    database = services["serve"]["environment"]["RECSYS_FEEDBACK"]
    assert sa.make_url(re.sub(r"\$\{.*\}", "x", database)).get_backend_name() == "postgresql"
    made = (DOCKER / "postgres-init.sql").read_text("utf-8")
    assert "CREATE DATABASE feedback OWNER feedback" in made


def test_doors_open_to_this_machine_only(services):
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_no_two_services_share_a_disk_and_all_have_the_same_numbers(compose, services):
    assert set(compose["volumes"]) == {"postgres", "objects", "mlflow", "serve"}
    named = [one.partition(":")[0] for service in services.values() for one in service.get("volumes", [])]
    assert len([one for one in named if not one.startswith(".")]) == len(compose["volumes"])
    assert compose["configs"] == {"params": {"file": "../params.yaml"}}
    for name in AIRFLOW | WORKERS:
        assert services[name]["configs"] == [{"source": "params", "target": "/opt/firstlight/params.yaml"}]
        assert services[name]["environment"]["RECSYS_STATE"] == "${RECSYS_STATE:-s3://state}"


def test_a_task_may_take_as_long_as_params_yaml_allows_before_the_queue_delivers_it_again(services):
    limits = yaml.safe_load((DOCKER.parent / "params.yaml").read_text("utf-8"))["tasks"]
    longest_s = 60 * max(limits["limits_min"].values())
    for name in WORKERS | {"airflow-scheduler"}:
        seen = services[name]["environment"]["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]
        assert int(seen) > longest_s


def test_a_container_gets_the_images_code_whole_and_keeps_what_it_has_worked_on(tmp_path):
    """The entry point itself, with /opt and /workspace below a folder, and `airflow` a program that shows its words."""
    image, workspace = tmp_path / "opt/firstlight", tmp_path / "workspace"
    (image / "recsys").mkdir(parents=True)
    (workspace / "recsys").mkdir(parents=True)
    (workspace / "recsys/gone.py").write_text("")  # of an earlier image
    (workspace / "data.dvc").write_text("kept")
    for name in ("recsys/cli.py", "dvc.yaml", ".dvcignore", "params.yaml"):
        (image / name).write_text("new")
        (workspace / name).write_text("old and touched since")
    program = tmp_path / "bin/airflow"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "airflow $*"\n')
    program.chmod(0o755)
    script = (DOCKER / "enter.sh").read_text("utf-8")
    moved = re.sub(r"(?<![\w.])/(opt|workspace)\b", rf"{tmp_path}/\1", script)
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    for _ in range(2):
        command = ["bash", "-c", moved, "enter.sh", "celery", "worker"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "airflow celery worker\n"
    command = ["bash", "-c", moved, "enter.sh", "bash", "-c", "echo of a pod"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "of a pod\n"
    assert not (workspace / "recsys/gone.py").exists() and (workspace / "data.dvc").read_text() == "kept"
    for name in ("recsys/cli.py", "dvc.yaml", ".dvcignore", "params.yaml"):
        assert (workspace / name).read_text() == "new"
    assert places(workspace).remote == "s3://dvc/cache"


def test_a_pod_of_kubernetes_executor_has_no_volume_but_its_own():
    pod = yaml.safe_load((DOCKER / "kubernetes/worker.yaml").read_text("utf-8"))
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "base"  # the one that Airflow runs the task in
    kinds = {volume["name"]: set(volume) - {"name"} for volume in pod["spec"]["volumes"]}
    assert kinds == {"workspace": {"emptyDir"}, "logs": {"emptyDir"}, "params": {"configMap"}}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(kinds)
    assert pod["spec"]["securityContext"]["runAsUser"] == 50000
    named = {one["name"] for one in container["env"]}
    assert "RECSYS_STATE" in named and not [one for one in named if SECRET.search(one)]
