import signal
import subprocess
import sys
import time

from localplatform.patience import Patience, seconds_of_commands, seconds_of_trees

BUSY = "import time\nend = time.time() + {}\nwhile time.time() < end: pass"


def test_patience_ends_only_when_nothing_moves():
    patience = Patience(0.1)
    for step in range(4):
        time.sleep(0.06)
        assert not patience.is_over(step)
    time.sleep(0.15)
    assert patience.is_over(3)
    assert not patience.is_over(4)


def test_patience_has_an_end_for_what_only_looks_like_work():
    patience = Patience(60, most_s=0.1)
    time.sleep(0.15)
    assert patience.is_over("new")


def test_cpu_time_of_a_process_and_its_children_is_measured(tmp_path):
    command = [
        sys.executable,
        "-c",
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY.format(30)!r}])",
    ]
    with subprocess.Popen(command) as process:
        before, end = seconds_of_trees([process.pid]), time.monotonic() + 60
        while seconds_of_trees([process.pid]) <= before and time.monotonic() < end:
            time.sleep(0.1)
        assert seconds_of_trees([process.pid]) > before
        import psutil

        for child in psutil.Process(process.pid).children():
            child.kill()
    assert seconds_of_trees([process.pid]) == 0


def test_only_commands_that_work_in_the_workspace_count(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        (folder / "recsys").mkdir(parents=True)
        (folder / "recsys/__main__.py").write_text(BUSY.format(30))
    running = [
        subprocess.Popen([sys.executable, "-m", "recsys"], cwd=outside),
        subprocess.Popen([sys.executable, "-c", BUSY.format(30)], cwd=inside),
    ]
    try:
        end = time.monotonic() + 60
        while min(seconds_of_trees([one.pid]) for one in running) < 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert seconds_of_commands(inside) == 0
        for process in running:  # they have computed enough
            process.send_signal(signal.SIGSTOP)
        running.append(subprocess.Popen([sys.executable, "-m", "recsys"], cwd=inside))
        while seconds_of_commands(inside) < 1 and time.monotonic() < end:
            time.sleep(0.1)
        assert seconds_of_commands(inside) >= 1
    finally:
        for process in running:
            process.kill()
            process.wait()
