"""Workers that are forked from the process that opened the release."""

import os
import signal
import socket
import time
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


def _workers() -> list[psutil.Process]:
    """Processes of the service that this test started."""
    (service,) = psutil.Process().children()
    return service.children()
