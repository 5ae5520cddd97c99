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
        assert one["envFrom"] == [{"secretRef": {"name": "firstlight-ray"}}]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"  # it gets no actor
