"""Workers that are forked from the process that opened the release."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path

import httpx
import psutil
import pytest

from recsys.publishing.store import ReleaseStore, object_key
from recsys.serving.service.pulse import Pulse, Silence
from recsys.serving.service.workers import STARTUP_FAILURE, run_workers
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FilmWorkspace
from tests.serving.service import served

pytestmark = pytest.mark.whole


@pytest.fixture
def store(encoded_workspace: FilmWorkspace, folder: Storage) -> Storage:
    encoded_workspace.publish(folder)
    return folder


@pytest.mark.servers
def test_a_worker_that_is_killed_or_hangs_is_replaced_and_answers_again(
    store: Storage, tmp_path: Path
) -> None:
    with served(store.url, tmp_path, "--workers", "2", params={"silent_s": 3}) as client:
        log = tmp_path / "serve.log"
        assert "no release before" not in log.read_text()
        (leader,) = service_of_this_test().children()
        for signal_number, why in ((signal.SIGKILL, "ended"), (signal.SIGSTOP, "silent")):
            victim, survivor = sorted(one.pid for one in leader.children())
            counted = f'firstlight_workers_replaced_total{{why="{why}"}}'
            assert figures(client)[counted] == 0
            os.kill(victim, signal_number)
            wait_for(lambda counted=counted: figures(client)[counted] == 1)
            wait_for(lambda: len(answering(client)) == 2)
            assert survivor in answering(client) and victim not in answering(client)
            lines = [line for line in figures(client) if line.startswith("firstlight_release_sequence{")]
            assert len(lines) == 2
        assert "silent for" in log.read_text()


@pytest.mark.servers
def test_a_new_release_gets_new_workers_that_share_it_and_the_old_ones_end(
    encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    encoded_workspace.publish(folder)
    with served(folder.url, tmp_path, "--workers", "2", params={"poll_s": 0.1}) as client:
        service = service_of_this_test()
        (old,) = service.children()
        first = client.get("/readyz").json()["release"]
        counted = 'firstlight_request_seconds_count{route="/v1/similar/{item:path}",status="200"}'
        for _ in range(20):
            assert client.get("/v1/similar/alien").status_code == 200
        encoded_workspace.items({"up": "A balloon carries a house and an old man to the jungle"}, day=1)
        second = encoded_workspace.build().publish(folder).release
        assert second != first
        wait_for(lambda: release_of(client) == second)
        wait_for(lambda: old not in service.children())
        (new,) = service.children()
        assert new.pid != old.pid and {one.ppid() for one in service.children(True)} == {service.pid, new.pid}
        with new_client(client) as other:
            assert other.get("/v1/similar/up").json()["release"] == second
        found = figures(client)
        assert (
            found[counted] == 21 and found["firstlight_release_swaps"] == 2 and found["firstlight_ready"] == 1
        )
        shared = [one.memory_full_info() for one in new.children()]
        assert all(one.uss < one.rss / 2 for one in shared)  # most of a worker is the leader's


@pytest.mark.servers
def test_a_generation_that_is_killed_is_replaced(store: Storage, tmp_path: Path) -> None:
    with served(store.url, tmp_path, "--workers", "2") as client:
        (leader,) = service_of_this_test().children()
        workers = leader.children()
        leader.kill()
        wait_for(lambda: [one for one in service_of_this_test().children() if one != leader and leads(one)])
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive
        wait_for(lambda: len(answering(client)) == 2)
        counted = figures(client)
        assert counted['firstlight_workers_replaced_total{why="ended"}'] == 2
        assert counted['firstlight_workers_replaced_total{why="silent"}'] == 0


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells which process a worker comes to")
def test_a_stopped_worker_of_a_killed_leader_is_killed_after_a_while_and_what_is_left_at_the_end() -> None:
    code = (
        "import os, signal, subprocess, sys, time\n"
        "from recsys.serving.service.orphans import Orphans\n"
        "foreign = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)\n"
        "orphans = Orphans(0.5)\n"
        "def stopped(n):\n"
        "    leader = os.fork()\n"
        "    if leader == 0:\n"
        "        if os.fork() == 0:\n"
        "            os.write(1, b'%d\\n' % os.getpid())\n"
        "            os.kill(os.getpid(), signal.SIGSTOP)\n"
        "        time.sleep(60)\n"
        "    return leader\n"
        "first = stopped(1)\n"
        "sys.stdin.readline()\n"
        "os.kill(first, signal.SIGKILL)\n"
        "os.waitpid(first, 0)\n"
        "second = stopped(2)\n"
        "until = time.monotonic() + 1.5\n"
        "while time.monotonic() < until:\n"
        "    orphans.look([second])\n"
        "    time.sleep(0.1)\n"
        "print('looked', flush=True)\n"
        "sys.stdin.readline()\n"
        "os.kill(second, signal.SIGKILL)\n"
        "os.waitpid(second, 0)\n"
        "orphans.end()\n"
        "print(foreign.poll(), flush=True)\n"
        "foreign.kill()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None and first.stdout is not None
        worker = psutil.Process(int(first.stdout.readline()))
        wait_for(lambda: worker.status() == psutil.STATUS_STOPPED)
        print(file=first.stdin, flush=True)
        lines = sorted(first.stdout.readline().strip() for _ in range(2))
        assert not worker.is_running() and lines[1] == "looked"
        left = psutil.Process(int(lines[0]))
        print(file=first.stdin, flush=True)
        assert first.stdout.readline() == "None\n"  # what the service did not fork goes on
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE


@pytest.mark.servers
def test_a_request_on_an_open_connection_is_answered_while_workers_hand_over(
    encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    encoded_workspace.publish(folder)
    options = ("--workers", "2")
    with (
        served(folder.url, tmp_path, *options, params={"poll_s": 0.1, "silent_s": 3}) as client,
        contextlib.ExitStack() as stack,
    ):
        others = [stack.enter_context(new_client(client)) for _ in range(6)]
        idle = stack.enter_context(new_client(client))
        assert idle.get("/healthz").status_code == 200
        first = {other.get("/readyz").json()["release"] for other in others}
        encoded_workspace.items({"up": "A balloon carries a house and an old man to the jungle"}, day=1)
        second = encoded_workspace.build().publish(folder).release
        wait_for(lambda: release_of(client) == second)
        until, answered = time.monotonic() + 8, set()
        while time.monotonic() < until:
            for other in others:
                answer = other.get("/v1/similar/alien")
                assert answer.status_code == 200
                answered.add(answer.json()["release"])
        assert answered - first == {second}
        assert {other.get("/readyz").json()["release"] for other in others} == {second}
        assert idle.get("/readyz").json()["release"] == second
        assert "hangs" not in (tmp_path / "serve.log").read_text()


@pytest.mark.servers
def test_a_damaged_release_is_refused_by_all_workers_and_follow_tells(
    encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    encoded_workspace.publish(folder)
    store = ReleaseStore(folder)
    only_follow_looks = {"poll_s": 600}
    with served(folder.url, tmp_path, "--workers", "2", params=only_follow_looks) as client:
        first = client.get("/readyz").json()["release"]
        before = store.current()
        encoded_workspace.items({"up": "A balloon carries a house and an old man to the jungle"}, day=1)
        elsewhere = open_storage(str(tmp_path / "elsewhere"))
        manifest = ReleaseStore(elsewhere).manifest(encoded_workspace.build().publish(elsewhere).release)
        for file in manifest.files():
            folder.write(object_key(file), b"damaged")
        store.write_manifest(manifest)
        store.swap(before, manifest.id, None, "test")
        state = client.post("/v1/admin/follow").json()
        assert state["release"] == first and state["problem"] and state["next_release"] is None
        page = figures(client)
        assert page["firstlight_release_problem"] == 1 and page["firstlight_release_refusals"] == 1
        for file in manifest.files():
            folder.write(object_key(file), elsewhere.read(object_key(file)))
        store.swap(store.current(), before.current.release, None, "test")
        store.swap(store.current(), manifest.id, None, "test")
        state = client.post("/v1/admin/follow").json()
        assert (state["release"], state["next_release"], state["problem"]) == (first, manifest.id, "")
        wait_for(lambda: release_of(client) == manifest.id)


@pytest.mark.servers
def test_workers_that_found_no_release_are_replaced_once_there_is_one(
    encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"

    def publish() -> None:
        wait_for(lambda: log.exists() and log.read_text().count("Application startup complete") == 2)
        encoded_workspace.publish(folder)

    publisher = threading.Thread(target=publish)
    publisher.start()
    with served(folder.url, tmp_path, "--workers", "2", params={"poll_s": 0.1}) as client:
        publisher.join()
        assert "no release before workers start" in log.read_text()
        wait_for(lambda: len(service_of_this_test().children()) == 1)
        assert len(answering(client)) == 2


@pytest.mark.whole
def test_a_worker_that_computes_is_not_taken_to_hang_and_one_that_does_nothing_is(tmp_path: Path) -> None:
    code = (
        "import hashlib, os, socket, sys, time\n"
        "from recsys.serving.service.workers import run_workers\n"
        "def work(_, pulse, place):\n"
        "    pulse.beat()\n"
        "    os.write(1, b'%d %d\\n' % (place, os.getpid()))\n"
        "    if place == 0:\n"
        "        sum(range(10**12))  # one call in C, which holds the lock of the interpreter\n"
        "    time.sleep(60)\n"
        "with socket.socket() as listener:\n"
        "    run_workers(range(2), listener, work, 1.0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        try:
            started = [tuple(map(int, first.stdout.readline().split())) for _ in range(5)]
            assert sorted(place for place, _ in started) == [0, 1, 1, 1, 1]  # 4 s and more
        finally:
            first.kill()


def test_a_worker_that_computes_for_ever_is_replaced_in_the_end() -> None:
    pulse = Pulse()
    silence = Silence(os.getpid(), pulse, 0.01)
    pulse.beat()
    assert not silence.look(1.0)
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert not silence.look(0.09)
    assert "computed for 0." in silence.look(0.09)


def test_a_worker_that_cannot_start_ends_them_all(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise SystemExit(STARTUP_FAILURE)

    with socket.socket() as listener, signals_as_before():
        assert not run_workers(range(2), listener, fail, 5.0)


def test_workers_end_with_the_first_process_even_if_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, socket, time\n"
        "from recsys.serving.service.workers import run_workers\n"
        "with socket.socket() as listener:\n"
        "    run_workers(range(2), listener, lambda *_: os.write(1, b'%d\\n' % os.getpid()) and time.sleep(60), 5.0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        try:
            workers = [psutil.Process(int(first.stdout.readline())) for _ in range(2)]
        finally:
            first.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_worker_that_does_not_end_when_it_is_told_is_killed() -> None:
    code = (
        "import os, signal, socket, time\n"
        "from recsys.serving.service import workers\n"
        "workers.LONGEST_END_S = 1\n"
        "def work(*_):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    os.write(1, b'%d\\n' % os.getpid())\n"
        "    time.sleep(60)\n"
        "with socket.socket() as listener:\n"
        "    workers.run_workers(range(1), listener, work, 5.0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        worker = psutil.Process(int(first.stdout.readline()))
        first.terminate()
        assert first.wait(20) == 0
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_where_one_cannot_be_forked_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = ForkProcess.start, list[ForkProcess]()

    def start_once(worker: ForkProcess) -> None:
        if started:
            raise OSError(errno.ENOMEM, "cannot allocate memory")
        started.append(worker)
        start(worker)

    monkeypatch.setattr(ForkProcess, "start", start_once)
    with signals_as_before(), socket.socket() as listener, pytest.raises(OSError, match="allocate"):
        run_workers(range(2), listener, lambda *_: time.sleep(60), 5.0)
    assert started[0].exitcode == -signal.SIGTERM


def test_a_signal_while_the_release_is_opened_ends_the_service() -> None:
    code = (
        "import os, signal, time\n"
        "from recsys.serving.service import leading, main\n"
        "leading.opened = lambda *_: os.kill(os.getppid(), signal.SIGTERM) or time.sleep(60)\n"
        "from recsys.settings import Settings, shipped_params\n"
        "chosen = Settings.load(shipped_params())\n"
        "config = main.Config.of('store', chosen.serve, chosen.feedback, None, None, None)\n"
        "main.run(config, '127.0.0.1', 0, 2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr  # a default action's would be -15


def service_of_this_test() -> psutil.Process:
    """The first process of the service that this test started; servers of other tests run beside it."""
    (service,) = (one for one in psutil.Process().children() if "serve" in one.cmdline())
    return service


def leads(process: psutil.Process) -> bool:
    """Whether it has workers; False for one that has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.children())
    return False


def new_client(client: httpx.Client) -> httpx.Client:
    """A client with connections of its own, which any worker may accept."""
    return httpx.Client(base_url=client.base_url, timeout=60)


def release_of(client: httpx.Client) -> str:
    """That of a worker that accepts connections."""
    with new_client(client) as other:
        return str(other.get("/readyz").json()["release"])


def figures(client: httpx.Client) -> dict[str, float]:
    """What /metrics says, by name and labels."""
    with new_client(client) as other:
        answer = other.get("/metrics").raise_for_status()
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def answering(client: httpx.Client) -> set[int]:
    """Process ids of workers that answer, of connections that are open at the same time: they share those."""
    with contextlib.ExitStack() as stack:
        states = [stack.enter_context(new_client(client)).get("/v1/admin/state").json() for _ in range(12)]
    assert all(state["release"] for state in states)
    return {state["worker"] for state in states}


def wait_for(is_so: Callable[[], object], longest_s: float = 60) -> None:
    until = time.monotonic() + longest_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


@contextlib.contextmanager
def signals_as_before() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
