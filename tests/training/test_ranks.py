"""Several real processes that train together, by Gloo on this machine's processors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.training.launching import _first
from tests.training.train_in_ranks import CASES

pytestmark = pytest.mark.whole
ROOT = Path(__file__).resolve().parents[2]
LAUNCH = "import sys; from recsys.training.launching import launch; launch({n}, sys.argv[1:], {{}})"


def launch(n, *arguments):
    return subprocess.run(
        [sys.executable, "-c", LAUNCH.format(n=n), *map(str, arguments)],
        cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def curves(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    done = launch(2, "-m", "tests.training.train_in_ranks", tiny_encoder, folder)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "curves.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_loss_curve_of_one(curves, case):
    (losses, epochs), (alone, alone_epochs) = curves[case]["together"], curves[case]["alone"]
    assert losses[0] == pytest.approx(alone[0], rel=1e-6)
    assert losses == pytest.approx(alone, rel=1e-4) and len(losses) > 4
    assert [one["ndcg"] for one in epochs] == pytest.approx([one["ndcg"] for one in alone_epochs], abs=0.02)
    assert curves[case]["weights_apart"] < 1e-3


def test_where_one_process_has_too_little_memory_all_take_smaller_packs(curves):
    said = [one for one in curves["memory gone in the last rank"]["said"] if "out of memory" in one]
    assert len(said) == 2 and "from here on 64 tokens" in said[1]
    said = [
        one for one in curves["memory gone for the loss in the last rank"]["said"] if "out of memory" in one
    ]
    assert len(said) == 1 and "from here on 128 tokens" in said[0]


def test_a_process_that_is_killed_ends_the_others_and_is_named(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\n"
        "from recsys.training.ranks import join\n"
        "ranks = join()\n"
        "if ranks.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ranks.wait()\n"
    )
    done = launch(2, script)
    assert done.returncode == 1 and "TrainingError: process 1 of 2 was ended by SIGKILL" in done.stderr
    assert "the others were ended" in done.stderr and "last checkpoint" in done.stderr


def test_of_processes_that_broke_off_in_one_second_the_killed_one_is_named():
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    def failure(rank, exitcode, timestamp):
        made = ProcessFailure(local_rank=rank, pid=1, exitcode=exitcode, error_file="nowhere")
        made.timestamp = timestamp
        return made

    lost, killed, ended = failure(0, 1, 5), failure(1, -9, 5), failure(2, -15, 5)
    assert _first({0: lost, 1: killed, 2: ended}) == (1, killed)
    assert _first({0: lost, 2: ended, 1: failure(1, -9, 35)}) == (0, lost)
