"""Servers start, answer, and leave no process behind, however their owner ends."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from localplatform.processes import StartFailed, free_ports, start, wait_until
from localplatform.servers import start_seaweed

# Starts a grandchild that leaves the session and the group, as Airflow's scheduler does.
RUNAWAY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], start_new_session=True)
time.sleep(600)
"""

OWNER = """
import sys, time
from pathlib import Path
from localplatform.processes import start
start("runaway", [sys.executable, "-c", sys.argv[1], sys.argv[2]], Path(sys.argv[2]))
print("started", flush=True)
time.sleep(600)
"""


def processes_with(word: str) -> list[int]:
    """Living processes that name `word` on their command line, this one apart."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = process.info["cmdline"] or []
        if word in line and process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(process.pid)
    return found


def soon(condition) -> bool:
    deadline = time.monotonic() + 15
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.whole
def test_stopping_ends_descendants_that_left_the_process_group(tmp_path: Path):
    word = str(tmp_path / "log")
    process = start("runaway", [sys.executable, "-c", RUNAWAY, word], Path(word))
    assert soon(lambda: len(processes_with(word)) == 3)  # guard, command, grandchild
    process.stop()
    assert processes_with(word) == []
    process.stop()  # twice is harmless


def test_nothing_survives_an_owner_that_is_killed_at_once(tmp_path: Path):
    word = str(tmp_path / "log")
    command = [sys.executable, "-c", OWNER, RUNAWAY, word]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"started\n"
        assert soon(lambda: len(processes_with(word)) == 4)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert soon(lambda: processes_with(word) == [])


def test_a_command_that_ends_on_its_own_fails_the_start_and_shows_its_log(tmp_path: Path):
    log = tmp_path / "log"
    process = start("brief", [sys.executable, "-c", "print('the disk is full'); raise SystemExit(3)"], log)
    with pytest.raises(StartFailed, match="brief ended on its own(.|\n)*the disk is full"):
        wait_until(lambda: False, [process], quiet_s=30)
    assert process.guard.returncode == 3


def test_a_server_that_never_answers_is_stopped_and_explained(tmp_path: Path):
    word = str(tmp_path / "log")
    process = start("deaf", [sys.executable, "-c", "import time; time.sleep(600)", word], Path(word))
    with pytest.raises(StartFailed, match="deaf does not answer, nothing has moved for"):
        wait_until(lambda: False, [process], quiet_s=0.3)
    assert processes_with(word) == []


def test_a_command_waits_for_the_address_that_it_needs_and_can_be_stopped_meanwhile(tmp_path: Path):
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}/", tmp_path / "log"
    process = start("late", [sys.executable, "-c", "print('began')"], log, after=url)
    time.sleep(0.5)
    assert process.running and log.read_text() == ""
    with socket.create_server(("127.0.0.1", port)) as server:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert process.guard.wait(15) == 0 and log.read_text() == "began\n"
    process.stop()
    (never,) = free_ports(1)
    waiting = start("never", [sys.executable, "-c", ""], log, after=f"http://127.0.0.1:{never}/")
    waiting.stop()
    assert not waiting.running


def test_ports_are_free_different_and_the_preferred_one_comes_first():
    first, second = free_ports(2)
    assert free_ports(3, (first,))[0] == first and first != second
    with socket.create_server(("127.0.0.1", first)):
        assert first not in free_ports(3, (first,))


def client(server):
    """A client of S3 with the server's own keys."""
    import boto3

    environment = server.environment
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


@pytest.mark.servers
def test_seaweed_keeps_its_data_and_keys_over_a_restart_and_leaves_nothing_behind(tmp_path: Path):
    with start_seaweed(tmp_path / "s3") as server:
        client(server).create_bucket(Bucket="kept")
        client(server).put_object(Bucket="kept", Key="a/b", Body=b"text")
        keys = server.environment["AWS_ACCESS_KEY_ID"]
    assert not server.processes[0].running
    assert not [path for path in server.leftovers if path.exists()]
    with pytest.raises(OSError):
        urllib.request.urlopen(server.url, timeout=1)
    with start_seaweed(tmp_path / "s3") as again:
        assert again.environment["AWS_ACCESS_KEY_ID"] == keys
        assert client(again).get_object(Bucket="kept", Key="a/b")["Body"].read() == b"text"


@pytest.mark.servers
def test_the_number_of_buckets_does_not_depend_on_the_free_disk(tmp_path: Path):
    with start_seaweed(tmp_path / "s3") as server:
        s3 = client(server)
        for name in ("first", "second", "third"):
            s3.create_bucket(Bucket=name)
            s3.put_object(Bucket=name, Key="a", Body=b"text")
    volumes = {path.stem for path in (tmp_path / "s3" / "data").glob("*.dat")}
    assert sorted(name.split("_")[0] for name in volumes if "_" in name) == ["first", "second", "third"]


@pytest.mark.servers
def test_fixtures_give_a_bucket_and_a_registry(bucket: str, mlflow_server: str):
    import boto3

    boto3.session.Session().client("s3").head_bucket(Bucket=bucket)
    with urllib.request.urlopen(f"{mlflow_server}/health", timeout=5) as reply:
        assert reply.status == 200
