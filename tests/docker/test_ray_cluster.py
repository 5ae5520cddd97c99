from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_every_node_of_the_cluster_has_one_image_the_locked_ray_and_a_token():
    cluster = yaml.safe_load((ROOT / "docker/kubernetes/ray.yaml").read_text())["spec"]
    assert cluster["rayVersion"] == version("ray")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [one for group in groups for one in group["template"]["spec"]["containers"]]
    assert {one["image"] for one in containers} == {"firstlight/train"}
    for one in containers:
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in one["env"]
        # By name: KubeRay copies `env`, and no `envFrom`, to the container that waits for the head.
        secret = {"secretKeyRef": {"name": "firstlight-ray", "key": "RAY_AUTH_TOKEN"}}
        assert {"name": "RAY_AUTH_TOKEN", "valueFrom": secret} in one["env"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"  # it gets no actor


def test_probes_ask_what_runs_here_and_not_the_dashboard_that_kuberay_would_ask():
    cluster = yaml.safe_load((ROOT / "docker/kubernetes/ray.yaml").read_text())["spec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    for group, port in ((head, 6379), (workers, int(workers["rayStartParams"]["node-manager-port"]))):
        (container,) = group["template"]["spec"]["containers"]
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["tcpSocket"] == {"port": port}
