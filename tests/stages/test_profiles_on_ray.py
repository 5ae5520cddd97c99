"""Stage `profiles` on a real Ray cluster of this machine: a head without processors, and nodes that come and go."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from localplatform.processes import StartFailed, free_ports, start, wait_until, which
from recsys.artifacts import Artifacts
from recsys.heads.first_light import pack_first_light
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.stages import features, profiles
from tests.encoders.models import save_model, texts
from tests.stages.catalogue_world import champion, contents, land

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # minutes; tests/models/test_engines.py is quick
ROLE = "champion"
SECRET = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""What nodes and drivers of a cluster know each other by."""
ATTEMPTS = 3
QUIET_S = 120
"""A node that does nothing for so long will not start."""


@dataclass
class Cluster:
    """Nodes of a cluster, each a `ray start` of its own."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    nodes: list = field(default_factory=list)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, *options, environment=None):
        """Start a node; answers its process once it has joined."""
        command = [
            which("ray"),
            "start",
            "--block",
            "--disable-usage-stats",
            "--object-store-memory=100000000",
        ]
        log = self.folder / f"{len(self.nodes)}.log"
        environment = SECRET | (environment or {})
        for attempt in range(ATTEMPTS):
            node = start("node", [*command, *options], log, environment)
            try:
                wait_until(lambda: "Ray runtime started" in log.read_text(), [node], QUIET_S)
            except StartFailed:  # Ray gives a node 30 s to start, which a busy machine exceeds
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                break
        self.nodes.append(node)
        return node

    def start_head(self):
        ports = f"--port={self.port}", f"--ray-client-server-port={free_ports(1)[0]}"
        folder = f"--temp-dir={self.folder}"
        return self.start("--head", "--num-cpus=0", "--include-dashboard=false", folder, *ports)

    def join(self, **environment):
        """A node of one processor."""
        return self.start(f"--address={self.address}", "--num-cpus=1", environment=environment)

    def actors(self):
        """Processes of actors that compute."""
        guards = [psutil.Process(node.guard.pid) for node in self.nodes if node.running]
        processes = [one for guard in guards for one in guard.children(recursive=True)]
        return [one for one in processes if "MapWorker" in " ".join(one.cmdline())]


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets lie there: a path must be short
    found = Cluster(folder)
    try:
        found.start_head()
        found.join()
        found.join()
        yield found
    finally:
        for node in reversed(found.nodes):
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def house(workspace, source):
    """A workspace of 600 items in two parts, whose champion has a head; what engine local makes lies in `local/`."""
    settings = champion(workspace, source)
    some = {f"i{n}": f"{text} {text} {n}" for n, text in enumerate(texts(600, seed=5))}
    base = ModelReference.load(workspace.model_reference(ROLE)).encoder
    lights = settings.first_light.model_copy(update={"width": 16, "max_landmarks": 60})
    head = pack_first_light(base, list(some.values()), workspace.cache, lights, 256)
    ModelReference.of(base, head).save(workspace.model_reference(ROLE))
    land(workspace, dict(list(some.items())[:450]))
    land(workspace, dict(list(some.items())[450:]))
    features.run(settings, workspace)
    profiles.run(settings, workspace, ROLE)
    return workspace


def forget(at):
    """Let there be neither vectors nor profiles; answers what was there."""
    before = contents(at.profiles(ROLE)), {one.name: one.read_bytes() for one in at.vectors.rglob("*.npy")}
    shutil.rmtree(at.profiles(ROLE))
    shutil.rmtree(at.vectors)
    return before


def on_ray(at, address):
    """Start the stage with engine ray."""
    values = yaml.safe_load(at.params.read_text())
    values["profiles"] |= {"engine": "ray", "actor_cpus": 1}
    at.params.write_text(yaml.safe_dump(values))
    return subprocess.Popen(
        [sys.executable, "-m", "recsys", "run", f"profiles@{ROLE}"],
        env=os.environ | SECRET | {"RECSYS_WORKSPACE": str(at.root), "RAY_ADDRESS": address},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def n_cached(at):
    return len(list(at.vectors.glob("*/*.keys.npy")))


def wait_for_vectors(at, running, n):
    while n_cached(at) < n:
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.005)


def record(at):
    return json.loads((at.var / "last_encode.json").read_text())


def test_actors_make_the_same_bytes_and_one_that_is_killed_costs_a_retry(house, cluster):
    expected = forget(house)
    running = on_ray(house, cluster.address)
    wait_for_vectors(house, running, 5)
    killed = cluster.actors()[0]
    killed.send_signal(signal.SIGKILL)
    said = running.communicate()[1]
    assert running.returncode == 0, said
    assert (record(house)["encoded"], record(house)["projected"]) == (600, 600)
    assert forget(house) == expected


def test_a_node_with_another_library_is_refused_by_name(house, cluster, tmp_path):
    other = tmp_path / "openvino-1999.9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: openvino\nVersion: 1999.9.9\n")
    forget(house)
    node = cluster.join(PYTHONPATH=str(tmp_path))
    running = on_ray(house, cluster.address)
    said = running.communicate()[1]
    node.stop()
    assert running.returncode == 1
    assert "may compute other vectors" in said and "has openvino 1999.9.9 and lacks openvino" in said
    assert socket.gethostname() in said
    assert not house.vectors.exists()


def test_without_its_head_the_run_says_so_and_goes_on_later_with_what_came_back(house, cluster):
    expected = forget(house)
    running = on_ray(house, cluster.address)
    wait_for_vectors(house, running, 5)
    cluster.nodes[0].stop()
    said = running.communicate()[1]
    assert running.returncode == 1, said
    assert "the head of the Ray cluster" in said and f":{cluster.port}, is gone" in said
    n_there = n_cached(house)
    values = yaml.safe_load(house.params.read_text())
    values["profiles"]["engine"] = "local"
    house.params.write_text(yaml.safe_dump(values))
    profiles.run(Settings.load(house.params), house, ROLE)
    assert record(house)["encoded"] <= 600 - 4 * n_there < 600
    assert contents(house.profiles(ROLE)) == expected[0]


def test_without_an_address_a_cluster_of_this_machine_does_it(house: Artifacts):
    expected = forget(house)
    running = on_ray(house, "")
    said = running.communicate()[1]
    assert running.returncode == 0, said
    assert forget(house) == expected
