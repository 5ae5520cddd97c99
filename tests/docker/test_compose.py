"""compose.yaml: what it promises, checked on its parsed form (no Docker engine is at hand)."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

DOCKER = Path(__file__).resolve().parents[2] / "docker"
ONE_SHOT = {"buckets", "workspace", "airflow-migrate", "webhook"}
AIRFLOW = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
WORKERS = {"airflow-worker", "airflow-worker-gpu"}
# What the Compose specification allows in a service, as far as this file needs it.
KEYS = {
    "build", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image", "ports",
    "profiles", "restart", "secrets", "volumes",
}  # fmt: skip


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def test_everything_that_the_platform_needs_is_there(services):
    assert set(services) == {"postgres", "redis", "seaweedfs", "mlflow"} | ONE_SHOT | AIRFLOW | WORKERS


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
            asked = condition["condition"]
            assert other in services and other != name
            assert asked == ("service_completed_successfully" if other in ONE_SHOT else "service_healthy")


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
            assert re.fullmatch(r"\S+:\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), name


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


def test_doors_open_to_this_machine_only(services):
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_workspace_gets_the_images_code_whole_and_keeps_a_persons_numbers(services, tmp_path):
    """The script itself, with /opt and /workspace below a folder and DVC's part left out."""
    image, workspace = tmp_path / "opt/firstlight", tmp_path / "workspace"
    (image / "recsys").mkdir(parents=True)
    (workspace / "recsys").mkdir(parents=True)
    (workspace / ".dvc").mkdir()
    (workspace / "recsys/gone.py").write_text("")  # of an earlier image
    for name, text in {
        "recsys/cli.py": "new",
        "dvc.yaml": "new",
        ".dvcignore": "new",
        "params.yaml": "new",
    }.items():
        (image / name).write_text(text)
        (workspace / name).write_text("old and touched since")
    (script,) = services["workspace"]["command"]
    moved = re.sub(r"(?<![\w.])/(opt|workspace)\b", rf"{tmp_path}/\1", script)
    for _ in range(2):
        subprocess.run(["bash", "-euc", moved], check=True)
    told = {
        name: (workspace / name).read_text()
        for name in ("recsys/cli.py", "dvc.yaml", ".dvcignore", "params.yaml")
    }
    assert told == {
        "recsys/cli.py": "new",
        "dvc.yaml": "new",
        ".dvcignore": "new",
        "params.yaml": "old and touched since",
    }
    assert not (workspace / "recsys/gone.py").exists()
