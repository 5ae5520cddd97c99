"""Workers that are forked from the process that opened the release."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.context import ForkProcess
from pathlib import Path

import httpx
import psutil
import pytest

from recsys.serving.service.workers import STARTUP_FAILURE, run_workers
from recsys.storage.protocol import Storage
from tests.publishing.shop import Shop
from tests.serving.service import served


@pytest.fixture
def store(real_shop: Shop, folder: Storage) -> Storage:
    real_shop.publish(folder)
    return folder


@pytest.mark.servers
def test_a_worker_that_is_killed_is_replaced_and_answers_again(store: Storage, tmp_path: Path) -> None:
    with served(store.url, tmp_path, "--workers", "2") as client:
        log = tmp_path / "serve.log"
        assert "release not opened" not in log.read_text()
        (parent,) = {one.parent() for one in _workers()}
        victim, survivor = sorted(one.pid for one in parent.children())
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + 60
        ready: set[int] = {survivor}
        while len(ready) < 2 or victim in ready:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
            with httpx.Client(base_url=client.base_url) as other:
                page = other.get("/metrics").text
            lines = [line for line in page.splitlines() if line.startswith("firstlight_release_sequence{")]
            ready = {int(line.split('pid="')[1].split('"')[0]) for line in lines}
        assert survivor in ready
        assert client.get("/v1/similar/alien").status_code == 200


def test_a_worker_that_cannot_start_ends_them_all(tmp_path: Path) -> None:
    def fail(_: socket.socket) -> None:
        raise SystemExit(STARTUP_FAILURE)

    with socket.socket() as listener:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            assert not run_workers(2, listener, fail)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def test_workers_end_with_the_first_process_even_if_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, socket, time\n"
        "from recsys.serving.service.workers import run_workers\n"
        "with socket.socket() as listener:\n"
        "    run_workers(2, listener, lambda _: os.write(1, b'%d\\n' % os.getpid()) and time.sleep(60))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        try:
            workers = [psutil.Process(int(first.stdout.readline())) for _ in range(2)]
        finally:
            first.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_where_one_cannot_be_forked_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = ForkProcess.start, list[ForkProcess]()

    def start_once(worker: ForkProcess) -> None:
        if started:
            raise OSError(errno.ENOMEM, "cannot allocate memory")
        started.append(worker)
        start(worker)

    monkeypatch.setattr(ForkProcess, "start", start_once)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with socket.socket() as listener, pytest.raises(OSError, match="allocate"):
            run_workers(2, listener, lambda _: time.sleep(60))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert started[0].exitcode == -signal.SIGTERM


def test_a_signal_while_the_release_is_opened_ends_the_service() -> None:
    code = (
        "import os, signal\n"
        "from recsys.serving.service import loading, main\n"
        "loading.opened = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "from recsys.settings import Settings, shipped_params\n"
        "chosen = Settings.load(shipped_params())\n"
        "config = main.Config.of('store', chosen.serve, chosen.feedback, None, None, None)\n"
        "main.run(config, '127.0.0.1', 0, 2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr  # a default action's would be -15


def _workers() -> list[psutil.Process]:
    """Processes of the service that this test started; servers of other tests run beside it."""
    (service,) = (one for one in psutil.Process().children() if "serve" in one.cmdline())
    return service.children()
