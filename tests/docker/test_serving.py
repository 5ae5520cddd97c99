"""What watches and runs the service: alert rules, dashboard and manifests name what the service really has."""

import json
import re
from pathlib import Path

import yaml

from recsys.cli.serve import serve
from recsys.serving.service.following import Follower
from recsys.serving.service.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "docker/monitoring"


def exported(tmp_path: Path) -> set[str]:
    """Names of the figures at /metrics, also of those that nothing has been counted in yet."""
    metrics = Metrics(Follower.__new__(Follower))
    return set(metrics.names)


def named(text: str) -> set[str]:
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"firstlight_[a-z_]+", text)}


def test_alerts_and_dashboard_ask_for_figures_that_there_are(tmp_path: Path) -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    expressions = [rule["expr"] for rule in rules] + [
        one["expr"] for panel in panels for one in panel["targets"]
    ]
    assert len(rules) >= 5 and len(panels) >= 5
    assert named(" ".join(expressions)) <= exported(tmp_path)
    assert [rule["alert"] for rule in rules if rule["expr"].startswith("up{")] == ["FirstlightDown"]


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    page = (ROOT / "docs/serving.md").read_text()
    assert not [rule["alert"] for rule in rules if rule["alert"] not in page]


def test_the_manifests_start_the_service_as_it_can_be_started() -> None:
    documents = list(yaml.safe_load_all((ROOT / "docker/kubernetes/serve.yaml").read_text()))
    assert {one["kind"] for one in documents} == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    }  # fmt: skip
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == "serve"
    parsed = serve.make_context("serve", list(container["args"][1:]))
    assert parsed.params["host"] == "0.0.0.0" and str(parsed.params["keys"]) == "/keys/keys.json"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for one in documents:
        selector = one["spec"].get("selector", {})
        assert selector.get("matchLabels", selector) in ({}, labels)
    paths = {
        container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {"/readyz", "/healthz"}
