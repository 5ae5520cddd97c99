"""A student beside its teacher: speed on titles against sentence-transformers, and ndcg@20 of both by the judge.

The student is trained as stage `finetune` trains it (objective distill), on the texts of a protocol's warm items and
pieces of them; the frozen encoder of params.yaml is the teacher. The student is judged in int8, as it is fast, beside
the teacher in float32: each gets a head by the same recipe, which validation chose for the teacher. Needs ../shared. A
killed training continues. `--quick` checks that everything up to the judge runs, and writes nothing.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from bench.encode import compare, rival
from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, TOP, Protocol, judged, require_shared_data
from bench.rivals.encoded import frozen_vectors
from bench.titles import real_titles
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import EncoderReference
from recsys.encoders.source import TOKENIZER, find_source
from recsys.encoders.transformer import open_encoder
from recsys.evaluation.cold_start import Task, make_task, rank_cold
from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet
from recsys.training.corpus import Corpus, pieces_of
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams

WORK = ROOT / "var" / "bench" / "student"
JUDGED = ("citeulike_H", "ml100k_cold")
RECIPE = {
    "objective": "distill", "layers": "all", "dropout": 0.0, "learning_rate": 5e-4, "trials": 1,
    "validation_share": 0.05,
}  # fmt: skip
SIZES = {
    "citeulike_H": {"epochs": 1, "batch_items": 128, "student_texts": 13_000},
    "ml100k_cold": {"epochs": 1, "batch_items": 32, "student_texts": 2_500},
}
"""Short trainings, for two busy cores: about 100 steps."""
HEADS = {
    "citeulike_H": Recipe(0.2, 0.25, 100.0, None, {}),
    "ml100k_cold": Recipe(0.7, 0.5, 100.0, None, {}, words_weight=1.0),
}
"""What validation chose for the teacher in `bench.quality` with seed 0; teacher and student get heads by it."""
console = Console(stderr=True)


def main() -> None:
    """Train, measure and judge; one protocol or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *JUDGED], help="protocols; default: all")
    parser.add_argument("--layers", type=int, default=4, help="of the student")
    parser.add_argument("--epochs", type=int, help="at most; default: see SIZES")
    parser.add_argument("--texts", type=int, help="texts and pieces to learn from; default: see SIZES")
    parser.add_argument("--speed", action="store_true", help="leave the judge out")
    parser.add_argument("--rounds", type=int, default=5, help="of the measurement of speed")
    parser.add_argument(
        "--quick", action="store_true", help="one short epoch, no judge; no figures are written"
    )
    args = parser.parse_args()
    require_shared_data()
    os.environ["HF_HUB_OFFLINE"] = "1"
    for protocol in PROTOCOLS:
        if protocol.name not in (args.only or JUDGED):
            continue
        given = {"epochs": 1 if args.quick else args.epochs, "student_texts": args.texts}
        changes = RECIPE | SIZES[protocol.name] | {"student_layers": args.layers}
        changes |= {name: value for name, value in given.items() if value is not None}
        console.rule(protocol.name)
        folder, cosine, texts = trained(protocol, changes)
        student = packed(folder, texts)
        figures: dict[str, float | int | str] = {"layers": args.layers, "cosine": cosine}
        if not args.quick and not args.speed:
            figures |= ndcg(protocol, student)
        figures |= speed(student, rounds=1 if args.quick else args.rounds)
        for name, value in figures.items():
            Console().print(f"{name:20} {value}", highlight=False)
        if not args.quick:
            write_figures(f"student_{'speed_' if args.speed else ''}{protocol.name}", figures)


def trained(protocol: Protocol, changes: dict[str, object]) -> tuple[Path, float, Sequence[str]]:
    """Train a student on the warm items' texts.

    Args:
        protocol: its cold items are left out.
        changes: laid over section `finetune`.

    Returns:
        A folder for `encoder.source`, the best mean cosine with the teacher on texts that were held out, and the warm
        items' texts.
    """
    from recsys.training.finetune import finetune
    from recsys.training.inputs import TokenInputs
    from recsys.training.progress import TrainingProgress
    from recsys.training.texts import tokenise
    from recsys.training.tower import open_tower, save_tower

    settings = Settings.load(ROOT / "params.yaml")
    params = FinetuneParams(**(settings.finetune.model_dump() | changes))
    items, interactions, cold = protocol.files()
    task = make_task(items, interactions, cold.to_pylist(), settings.features)
    training_set = warm_set(task, params.validation_share, params.seed)
    corpus = taught(training_set, params)
    source, encoder = find_source(settings.encoder.source), settings.encoder
    tower = open_tower(source, encoder.pooling, "all", 1, 1, params.dropout, params.student_layers)
    tokens = tokenise(training_set.texts, source, encoder.max_tokens, (), corpus.further)
    name = f"{protocol.name}-{params.student_layers}-{params.epochs}-{len(tokens.starts_N)}"
    with TrainingProgress() as progress:
        run = finetune(
            training_set,
            tower,
            TokenInputs(tokens, "cpu"),
            params,
            1.0,
            WORK / "runs" / name,
            progress,
            corpus,
        )
    folder = WORK / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    save_tower(tower, folder)
    shutil.copyfile(source / TOKENIZER, folder / TOKENIZER)
    return folder, round(run.best.cosine or 0.0, 4), training_set.texts


def warm_set(task: Task, validation_share: float, seed: int) -> TrainingSet:
    """The warm items; a random share of them is held out to tell how well the student imitates."""
    warm = task.warm
    ids = tuple(task.item_ids[row] for row in warm)
    is_held_I = np.random.default_rng(seed).random(len(warm)) < validation_share
    interactions = Interactions(ids, task.users, task.interactions.matrix_UI[:, warm].tocsr())
    return TrainingSet(interactions, tuple(task.texts[row] for row in warm), pa.table({}), is_held_I, {})


def taught(training_set: TrainingSet, params: FinetuneParams) -> Corpus:
    """Pieces of the texts to learn from, and the teacher's vectors of all of them."""
    rows = Corpus().rows_to_learn_from(training_set)
    pieces = pieces_of(
        [training_set.texts[row] for row in rows], params.student_texts - len(rows), params.seed
    )
    console.print(f"{len(rows):,} texts and {len(pieces):,} pieces of them to learn from", highlight=False)
    vectors_ND = frozen_vectors(ROOT, (*training_set.texts, *pieces))
    return Corpus(pieces, vectors_ND, "frozen")


def packed(folder: Path, calibration: Sequence[str]) -> EncoderReference:
    """The student in int8, which is what is fast, and so what is judged."""
    encoder = Settings.load(ROOT / "params.yaml").encoder
    params = encoder.model_copy(update={"source": str(folder), "precision": "int8"})
    return pack_encoder(params, WORK / "encoders", calibration)


def speed(student: EncoderReference, rounds: int) -> dict[str, float]:
    """Titles per second, in turns with sentence-transformers on the teacher's weights."""
    titles = list(real_titles()[:3000])
    batch_tokens = Settings.load(ROOT / "params.yaml").encoder.batch_tokens
    encoders = {
        "sentence-transformers": rival(),
        "student": open_encoder(student, WORK / "encoders", batch_tokens).encode,
    }
    table = Table(
        "texts", "encoder", "items/s", "ratio", "cosine: least", "cosine: mean", title="student, int8"
    )
    found = compare("titles", titles, encoders, rounds, table)
    Console().print(table)
    return {
        "ratio": found["student_ratio_titles"],
        "cpu_ratio": found["student_cpu_ratio_titles"],
        "per_s": found["student_per_s_titles"],
    }


def ndcg(protocol: Protocol, student: EncoderReference) -> dict[str, float]:
    """ndcg@20 by the judge, of the teacher at float32 and the student as it is fast, and their ratio.

    Each has a head of its own, learned from its vectors by the same recipe and seed.
    """
    settings, recipe = Settings.load(ROOT / "params.yaml"), HEADS[protocol.name]
    items, interactions, cold = protocol.files()
    task = make_task(items, interactions, cold.to_pylist(), settings.features)
    small = open_encoder(student, WORK / "encoders", settings.encoder.batch_tokens)
    vectors = {"teacher": frozen_vectors(ROOT, task.texts), "student": small.encode(task.texts)}
    found = {}
    for name, vectors_ID in vectors.items():
        console.print(f"{protocol.name}: learning the head of the {name}", highlight=False)
        dataset = Dataset(
            task.interactions, task.texts, vectors_ID, settings.users.ridge_lambda, settings.fusion.seed
        )
        head = learn_head(dataset, recipe, settings.fusion)
        profiles_ID = head.profiles(task.texts, vectors_ID)
        run = WORK / "judged" / f"{protocol.name}-{name}.parquet"
        write_parquet(run, rank_cold(task, profiles_ID, recipe.lambda_of(head), TOP, head.lexical_width))
        found[name] = judged(protocol.judge, run)["ndcg@20"]["mean"]
    return {
        "teacher_ndcg@20": round(found["teacher"], 4),
        "student_ndcg@20": round(found["student"], 4),
        "share": round(found["student"] / found["teacher"], 4),
    }


if __name__ == "__main__":
    main()
