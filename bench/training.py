"""Training: pairs per second against sentence-transformers' trainer, alternating in the same run.

Same model, texts, batches, loss (MultipleNegativesRankingLoss), optimizer (AdamW), learning rate and dropout on
both sides; medians over the rounds. Theirs is measured with all layers and with all but the top two frozen; ours
with all layers and with the top two over cached activations of the others, which are computed once, before
(`frozen_once_s`), however many epochs follow. Pairs are titles of CiteULike where ../shared lies beside the
checkout, else of the demo's films. Before it starts, both sides must find the same loss for the same batch.
`--quick` checks that everything runs; that and another `--steps` or `--rounds` write no figures.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.titles import real_titles
from recsys.encoders.source import find_source
from recsys.processor import usable_cores
from recsys.settings import Settings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

console = Console(stderr=True)
FROZEN = ROOT / "var" / "bench" / "training"
TOP_LAYERS = 2
RATE = 2e-5
SCALE = 20.0
"""What MultipleNegativesRankingLoss multiplies cosines by: a temperature of 1 / 20."""
SAME_LOSS = 1e-4


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    pairs: int
    """Per batch."""
    steps: int
    """Per round."""
    rounds: int


FULL = Size(pairs=64, steps=12, rounds=7)
QUICK = Size(pairs=16, steps=2, rounds=2)


@dataclass(frozen=True)
class Pairs:
    """Texts that are used together, batch by batch."""

    anchors: list[str]
    positives: list[str]
    per_batch: int

    @property
    def texts(self) -> list[str]:
        """Anchors, then positives."""
        return self.anchors + self.positives


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps and rounds; no figures are written")
    parser.add_argument("--steps", type=int, help="batches per round")
    parser.add_argument("--rounds", type=int, help="rounds")
    chosen = parser.parse_args()
    size = QUICK if chosen.quick else FULL
    size = Size(size.pairs, chosen.steps or size.steps, chosen.rounds or size.rounds)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    import torch

    torch.set_num_threads(usable_cores())
    pairs = some_pairs(size)
    theirs_all, theirs_top = rival(pairs, None), rival(pairs, TOP_LAYERS)
    ours_all, ours_top = ours(pairs, "all"), ours(pairs, "top")
    difference = abs(theirs_all.first_loss() - ours_all.first_loss())
    if not difference < SAME_LOSS:
        raise SystemExit(f"the two sides do not compute the same loss: they differ by {difference}")
    sides = {
        "theirs, all": theirs_all,
        "theirs, top 2": theirs_top,
        "ours, all": ours_all,
        "ours, top 2": ours_top,
    }
    median = alternate({name: side.train for name, side in sides.items()}, size.rounds)
    n_pairs = size.pairs * size.steps
    table = Table("side", "pairs/s", title="training")
    for name, seconds in median.items():
        table.add_row(name, f"{n_pairs / seconds:,.1f}")
    Console().print(table)
    figures: dict[str, float | int | str] = {
        "rival": theirs_all.name,
        "threads": usable_cores(),
        "loss_difference": round(difference, 8),
        "frozen_once_s": round(ours_top.once_s, 3),
        "all_layers_ratio": round(median["theirs, all"] / median["ours, all"], 3),
        "top2_ratio_same_frozen": round(median["theirs, top 2"] / median["ours, top 2"], 3),
        "top2_ratio_full": round(median["theirs, all"] / median["ours, top 2"], 3),
    }
    figures |= {f"pairs_per_s, {name}": round(n_pairs / seconds, 2) for name, seconds in median.items()}
    for name, value in figures.items():
        Console().print(f"{name:28} {value}", highlight=False)
    if size != FULL:
        console.print("another size than the full one: figures are not written")
    else:
        write_figures("training", figures)


def some_pairs(size: Size) -> Pairs:
    """Distinct titles in a fixed random order, paired as they come: speed does not depend on what belongs together."""
    titles = sorted(set(real_titles()))
    n = size.pairs * size.steps
    order = np.random.default_rng(0).permutation(len(titles))[: 2 * n]
    if len(order) < 2 * n:
        raise SystemExit(f"{len(titles)} titles are too few, {2 * n} are needed; remedy: make data")
    chosen = [titles[place] for place in order]
    return Pairs(chosen[:n], chosen[n:], size.pairs)


def alternate(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """All sides in turn, each round beginning with another; median seconds. A first round warms up and is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            took = sides[name]()
            if number:
                seconds[name].append(took)
        if number:
            words = ", ".join(f"{name} {found[-1]:.2f} s" for name, found in seconds.items())
            console.print(f"round {number} of {rounds}: {words}", highlight=False)
    return {name: statistics.median(found) for name, found in seconds.items()}


@dataclass(frozen=True)
class Side:
    """One way to train on the pairs."""

    name: str
    train: Callable[[], float]
    """One pass over the pairs; its seconds."""
    first_loss: Callable[[], float]
    """Of the first batch, without dropout, before any step."""
    once_s: float = 0.0
    """What was done once, before."""


@cache
def settings() -> Settings:
    """The project's params.yaml."""
    return Settings.load(ROOT / "params.yaml")


@cache
def source() -> Path:
    """The pretrained model of params.yaml."""
    return find_source(settings().encoder.source)


def rival(pairs: Pairs, top_layers: int | None) -> Side:
    """sentence-transformers with everything trained, or only its top layers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import is_training_available

    model = SentenceTransformer(str(source()), device="cpu")
    model.max_seq_length = settings().encoder.max_tokens
    if top_layers is not None:
        model.requires_grad_(False)
        transformer: Any = model[0]
        layers = transformer.auto_model.encoder.layer
        for layer in layers[len(layers) - top_layers :]:
            layer.requires_grad_(True)
    loss = MultipleNegativesRankingLoss(model, scale=SCALE)

    def first_loss() -> float:
        model.eval()
        features = [model.preprocess(some[: pairs.per_batch]) for some in (pairs.anchors, pairs.positives)]
        with torch.inference_mode():
            return float(loss(features, None).item())

    train = by_trainer if is_training_available() else by_old_fit
    words = (
        "SentenceTransformerTrainer" if is_training_available() else "old_fit (`datasets` is not installed)"
    )
    return Side(words, lambda: train(model, loss, pairs), first_loss)


def by_trainer(model: "SentenceTransformer", loss: "torch.nn.Module", pairs: Pairs) -> float:
    """Their trainer; seconds from its first batch to its last step, without setting up."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        """Counts what training takes."""

        def on_train_begin(self, *_: object, **__: object) -> None:
            self.started = time.perf_counter()

        def on_train_end(self, *_: object, **__: object) -> None:
            self.seconds = time.perf_counter() - self.started

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=pairs.per_batch,
            num_train_epochs=1,
            learning_rate=RATE,
            weight_decay=0.01,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_num_workers=0,
        )
        rows = Dataset.from_dict({"anchor": pairs.anchors, "positive": pairs.positives})
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=rows, loss=loss, callbacks=[clock]
        )
        trainer.train()
    return float(clock.seconds)


def by_old_fit(model: "SentenceTransformer", loss: "torch.nn.Module", pairs: Pairs) -> float:
    """Their trainer of before v3, which needs no further package."""
    from sentence_transformers.sentence_transformer.readers import InputExample
    from torch.utils.data import DataLoader

    rows: Any = [
        InputExample(texts=[anchor, positive])
        for anchor, positive in zip(pairs.anchors, pairs.positives, strict=True)
    ]
    loader: Any = DataLoader(rows, batch_size=pairs.per_batch, shuffle=True)
    started = time.perf_counter()
    model.old_fit(
        [(loader, loss)], epochs=1, warmup_steps=0, optimizer_params={"lr": RATE}, show_progress_bar=False
    )
    return time.perf_counter() - started


def ours(pairs: Pairs, layers: str) -> Side:
    """The house's own step, over the same pairs; texts are cut into tokens within the measured time, as theirs are."""
    import torch

    from recsys.training.inputs import TokenInputs, freeze
    from recsys.training.known import Plan
    from recsys.training.losses.pairs import ranked_pairs
    from recsys.training.optimizing import make_optimizer, move
    from recsys.training.ranks import ALONE
    from recsys.training.stepping import Encoding, Memory, encode_all
    from recsys.training.texts import Tokens, tokenise
    from recsys.training.tower import open_tower

    plain = {
        "word_dropout": 0.0,
        "field_dropout": 0.0,
        "adversarial_epsilon": 0.0,
    }  # theirs has none of these
    changes = plain | {"layers": layers, "top_layers": TOP_LAYERS, "learning_rate": RATE, "dropout": 0.1}
    params = settings().finetune.model_copy(update=changes)
    tower = open_tower(
        source(), settings().encoder.pooling, layers, TOP_LAYERS, params.lora_rank, params.dropout
    )
    optimizer = make_optimizer(tower, params)

    def tokens() -> Tokens:
        return tokenise(pairs.texts, source(), settings().encoder.max_tokens)

    once, frozen = 0.0, None
    if layers == "top":
        shutil.rmtree(FROZEN, ignore_errors=True)  # they are computed anew, and timed, in each run
        started = time.perf_counter()
        frozen = freeze(tower, tokens(), FROZEN, "bench", "cpu")
        once = time.perf_counter() - started
    n, size = len(pairs.anchors), pairs.per_batch

    def loss(x_BD: torch.Tensor) -> torch.Tensor:
        return ranked_pairs(x_BD[: len(x_BD) // 2], x_BD[len(x_BD) // 2 :], None, 1 / SCALE)

    def train() -> float:
        tower.train()
        started = time.perf_counter()
        inputs = frozen or TokenInputs(tokens(), "cpu")
        encoding = Encoding(tower, inputs, params, ALONE, console.print)
        for number in range(n // size):
            rows = np.arange(number * size, (number + 1) * size)
            plan = Plan(np.concatenate([rows, n + rows]), loss)
            encoding.gradient(plan, number, Memory(params.encode_tokens, cached=False), 1.0)
            move(optimizer, tower, RATE, params.max_grad_norm, number)
        return time.perf_counter() - started

    def first_loss() -> float:
        inputs = frozen or TokenInputs(tokens(), "cpu")
        vectors_ID = torch.from_numpy(encode_all(tower, inputs, params.encode_tokens, "float32", ALONE))
        return float(loss(torch.cat([vectors_ID[:size], vectors_ID[n : n + size]])))

    return Side("ours", train, first_loss, once)


if __name__ == "__main__":
    main()
