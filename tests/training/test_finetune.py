import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.errors import TrainingError
from recsys.training.checkpoint import Checkpoints
from recsys.training.data import make_training_set
from recsys.training.finetune import finetune
from recsys.training.inputs import TokenInputs, freeze
from recsys.training.texts import tokenise
from recsys.training.tower import open_tower
from tests.training.tastes import Watch, make_split, make_tastes, params, taste_texts

pytestmark = pytest.mark.whole
ROOT = Path(__file__).resolve().parents[2]


def train(source, folder, watch=None, training_set=None, **changes):
    """Weights after training, by name, and how it went."""
    training_set, chosen = training_set or make_tastes(), params(**changes)
    tower = open_tower(source, "mean", chosen.layers, chosen.top_layers, chosen.lora_rank, chosen.dropout)
    tokens = tokenise(training_set.texts, source, 32)
    if chosen.layers == "top":
        inputs = freeze(tower, tokens, folder / "frozen", "k", "cpu")
    else:
        inputs = TokenInputs(tokens, "cpu")
    trained = finetune(training_set, tower, inputs, chosen, 1.0, folder / "run", watch or Watch())
    return {name: value.detach().clone() for name, value in tower.trained()}, trained


def identical(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("objective", ["mean", "pairs"])
@pytest.mark.parametrize("layers", ["top", "all", "lora"])
def test_training_finds_what_the_pretrained_weights_do_not_know(tiny_encoder, tmp_path, objective, layers):
    watch = Watch()
    _, trained = train(tiny_encoder, tmp_path, watch, objective=objective, layers=layers, epochs=4)
    assert trained.best.ndcg > trained.epochs[0].ndcg
    assert trained.epochs[-1].loss < trained.epochs[1].loss
    assert [epoch.epoch for epoch in watch.epochs] == list(range(5)) and watch.start == (0, trained.n_steps)


def test_it_overfits_four_pairs(tiny_encoder, tmp_path):
    watch = Watch()
    pairs = [(f"u{n % 4}", f"i{item:03d}") for n in range(4) for item in (2 * n, 2 * n + 1)]
    split, versions = make_split(pairs, taste_texts(8))
    training_set = make_training_set(split, versions, 1e-9, 1)
    changes = {"objective": "pairs", "batch_items": 8, "dropout": 0.0, "temperature": 0.1}
    train(tiny_encoder, tmp_path, watch, training_set, layers="all", epochs=40, **changes)
    assert np.mean(watch.losses[-5:]) < 0.2 * np.mean(watch.losses[:5])


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tiny_encoder, tmp_path):
    one, _ = train(tiny_encoder, tmp_path / "one")
    again, _ = train(tiny_encoder, tmp_path / "again")
    other, _ = train(tiny_encoder, tmp_path / "other", seed=7)
    assert identical(one, again) and not identical(one, other)


def test_everything_switched_on_trains_too(tiny_encoder, tmp_path):
    _, trained = train(
        tiny_encoder, tmp_path, layers="top", co_occurrence_weight=0.5, hard_share=0.25, hard_quantile=0.9,
        word_dropout=0.2, adversarial_epsilon=0.05, accumulate=2, grad_cache=True, popularity_power=0.5, logq=1.0,
        precision="bfloat16",
    )  # fmt: skip
    assert all(np.isfinite(epoch.loss) for epoch in trained.epochs[1:])


def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best(tiny_encoder, tmp_path):
    weights, trained = train(tiny_encoder, tmp_path, epochs=30, patience=1, learning_rate=1e-9)
    pretrained = dict(open_tower(tiny_encoder, "mean", "top", 1, 2, 0.0).trained())
    assert len(trained.epochs) < 10 and trained.best.epoch == 0
    assert identical(weights, pretrained)


def test_without_anybody_to_ask_the_last_weights_are_kept(tiny_encoder, tmp_path):
    _, trained = train(tiny_encoder, tmp_path, training_set=make_tastes(share=1e-9))
    assert trained.best == trained.epochs[-1] and trained.best.ndcg is None


def test_a_nan_in_the_middle_stops_and_keeps_the_last_good_checkpoint(tiny_encoder, tmp_path, monkeypatch):
    """A real NaN in a real batch: one weight turns into it after step 6."""
    from recsys.training import finetune as module

    moved = module.move

    def poisoned(optimizer, tower, rate, max_grad_norm, step, scaler):
        norm = moved(optimizer, tower, rate, max_grad_norm, step, scaler)
        if step == 6:
            with torch.no_grad():
                next(iter(tower.trained()))[1].fill_(torch.nan)
        return norm

    monkeypatch.setattr(module, "move", poisoned)
    with pytest.raises(TrainingError, match="batch 7: the loss is nan"):
        train(tiny_encoder, tmp_path)
    record, weights, _ = Checkpoints(tmp_path / "run").load()
    assert record.step == 6 and all(torch.isfinite(value).all() for value in weights.values())
    # the cause is gone: it goes on from there, and ends where it would have
    monkeypatch.setattr(module, "move", moved)
    resumed, _ = train(tiny_encoder, tmp_path)
    undisturbed, _ = train(tiny_encoder, tmp_path / "other")
    assert identical(resumed, undisturbed)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.tastes import Watch
from tests.training.test_finetune import train

class Killer(Watch):
    def on_step(self, loss, n_examples):
        super().on_step(loss, n_examples)
        if (self.start[0] + len(self.losses)) == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch(self, epoch):
        if epoch.step == at_epoch:  # profiles and curves of this epoch are not saved yet
            os.kill(os.getpid(), signal.SIGKILL)

import transformers.models.bert.modeling_bert  # once, before the processes that will be killed part from this one
for at_step, at_epoch in ((3, -1), (-1, int(sys.argv[3]))):
    child = os.fork()
    if child == 0:
        train(Path(sys.argv[1]), Path(sys.argv[2]), Killer(), layers="all", word_dropout=0.1, grad_cache=True)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
"""


def test_killed_twice_and_resumed_gives_bit_for_bit_the_weights_of_an_undisturbed_run(tiny_encoder, tmp_path):
    same = {"layers": "all", "word_dropout": 0.1, "grad_cache": True}
    undisturbed, whole = train(tiny_encoder, tmp_path / "undisturbed", **same)
    second_epoch = whole.n_steps // 3 * 2
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    arguments = [str(tiny_encoder), str(tmp_path / "killed"), str(second_epoch)]
    subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, env=environment, check=True)
    watch = Watch()
    resumed, again = train(tiny_encoder, tmp_path / "killed", watch, **same)
    assert 0 < watch.start[0] < whole.n_steps, "it began anew instead of going on"
    assert identical(resumed, undisturbed) and again == whole


def test_a_finished_run_is_answered_from_its_checkpoint(tiny_encoder, tmp_path):
    weights, trained = train(tiny_encoder, tmp_path)
    watch = Watch()
    again, answer = train(tiny_encoder, tmp_path, watch)
    assert watch.losses == [] and identical(weights, again) and answer == trained


def test_a_damaged_checkpoint_begins_anew(tiny_encoder, tmp_path):
    weights, _ = train(tiny_encoder, tmp_path)
    (checkpoint,) = (tmp_path / "run").glob("checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    again, _ = train(tiny_encoder, tmp_path)
    assert identical(weights, again)


def test_a_resumed_run_goes_on_with_the_memory_that_was_found_to_suffice(tiny_encoder, tmp_path, monkeypatch):
    """Dropout goes by pack: other packs would be other weights."""
    from recsys.training.tower import Tower

    plain = Tower.forward

    def small_device(tower, blocks):
        if tower.training and sum(block.shape[0] * block.shape[1] for block in blocks) > 70:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(tower, blocks)

    monkeypatch.setattr(Tower, "forward", small_device)
    undisturbed, _ = train(tiny_encoder, tmp_path / "one")

    class Stopped(Watch):
        def on_step(self, loss, n_examples):
            super().on_step(loss, n_examples)
            if len(self.losses) == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny_encoder, tmp_path / "other", Stopped())
    record, _, _ = Checkpoints(tmp_path / "other/run").load()
    assert record.memory == (64, True)
    watch = Watch()
    resumed, _ = train(tiny_encoder, tmp_path / "other", watch)
    assert identical(resumed, undisturbed)
    assert not any("out of memory" in sentence for sentence in watch.sentences)
