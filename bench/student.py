"""A student beside its teacher: speed on titles against sentence-transformers, and ndcg@20 of both by the judge.

The student is trained as stage `finetune` trains it (objective distill), on the texts of a protocol's warm items and
pieces of them; the frozen encoder of params.yaml is the teacher. Both are then judged by `recsys benchmark cold-start`,
each with a head of its own. Needs ../shared. A killed training continues. `--quick` checks that everything up to the
judge runs, and writes nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from bench.encode import compare, rival
from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, TOP, Protocol, judged, require_shared_data
from bench.titles import real_titles
from recsys.dataset.interactions import Interactions
from recsys.encoders.pack import pack_encoder
from recsys.encoders.source import TOKENIZER, find_source
from recsys.encoders.transformer import open_encoder
from recsys.evaluation.cold_start import Task, make_task
from recsys.settings import Settings
from recsys.training.corpus import Corpus, pieces_of
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams

WORK = ROOT / "var" / "bench" / "student"
JUDGED = ("citeulike_H", "ml100k_cold")
RECIPE = {
    "objective": "distill", "layers": "all", "dropout": 0.0, "learning_rate": 5e-4, "batch_items": 128,
    "trials": 1, "validation_share": 0.05,
}  # fmt: skip
console = Console(stderr=True)


def main() -> None:
    """Train, measure and judge; one protocol or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *JUDGED], help="protocols; default: all")
    parser.add_argument("--layers", type=int, default=2, help="of the student")
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--texts", type=int, help="texts and pieces; default: finetune.student_texts")
    parser.add_argument(
        "--quick", action="store_true", help="one short epoch, no judge; no figures are written"
    )
    args = parser.parse_args()
    require_shared_data()
    os.environ["HF_HUB_OFFLINE"] = "1"
    figures: dict[str, float | int | str] = {}
    for protocol in PROTOCOLS:
        if protocol.name not in (args.only or JUDGED):
            continue
        changes = RECIPE | {"student_layers": args.layers, "epochs": 1 if args.quick else args.epochs}
        if args.texts is not None:
            changes["student_texts"] = args.texts
        console.rule(protocol.name)
        folder, cosine = trained(protocol, changes)
        figures[f"{protocol.name}_cosine"] = cosine
        figures |= speed(protocol.name, folder, rounds=1 if args.quick else 5)
        if not args.quick:
            figures |= ndcg(protocol, folder)
    for name, value in figures.items():
        Console().print(f"{name:40} {value}", highlight=False)
    if not args.quick:
        write_figures("student", figures | {"layers": args.layers})


def trained(protocol: Protocol, changes: dict[str, object]) -> tuple[Path, float]:
    """Train a student on the warm items' texts.

    Args:
        protocol: its cold items are left out.
        changes: laid over section `finetune`.

    Returns:
        A folder for `encoder.source`, and the best mean cosine with the teacher on texts that were held out.
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
    return folder, round(run.best.cosine or 0.0, 4)


def warm_set(task: Task, validation_share: float, seed: int) -> TrainingSet:
    """The warm items; a random share of them is held out to tell how well the student imitates."""
    warm = task.warm
    ids = tuple(task.item_ids[row] for row in warm)
    is_held_I = np.random.default_rng(seed).random(len(warm)) < validation_share
    interactions = Interactions(ids, task.users, task.interactions.matrix_UI[:, warm].tocsr())
    return TrainingSet(interactions, tuple(task.texts[row] for row in warm), (), is_held_I, {})


def taught(training_set: TrainingSet, params: FinetuneParams) -> Corpus:
    """Pieces of the texts to learn from, and the teacher's vectors of all of them."""
    from bench.rivals.encoded import frozen_vectors

    rows = Corpus().rows_to_learn_from(training_set)
    pieces = pieces_of(
        [training_set.texts[row] for row in rows], params.student_texts - len(rows), params.seed
    )
    console.print(f"{len(rows):,} texts and {len(pieces):,} pieces of them to learn from", highlight=False)
    vectors_ND = frozen_vectors(ROOT, (*training_set.texts, *pieces))
    return Corpus(pieces, vectors_ND, "frozen")


def speed(name: str, folder: Path, rounds: int) -> dict[str, float]:
    """Items per second on titles, in turns with sentence-transformers on the teacher's weights."""
    titles = list(real_titles()[:3000])
    encoders = {"sentence-transformers": rival()}
    for precision in ("float32", "int8"):
        params = Settings.load(ROOT / "params.yaml").encoder.model_copy(
            update={"source": str(folder), "precision": precision}
        )
        reference = pack_encoder(params, WORK / "encoders", titles)
        encoders[precision] = open_encoder(reference, WORK / "encoders", params.batch_tokens).encode
    table = Table("texts", "encoder", "items/s", "ratio", "cosine: least", "cosine: mean", title="student")
    found = compare("titles", titles, encoders, rounds, table)
    Console().print(table)
    return {
        f"{name}_{precision}_ratio": found[f"{precision}_ratio_titles"] for precision in ("float32", "int8")
    }


def ndcg(protocol: Protocol, student: Path) -> dict[str, float]:
    """ndcg@20 by the judge, of teacher and student, and their ratio. The command encodes at float32."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    own = values["encoder"] | {"source": str(student)}
    found = {}
    for name, encoder in (("teacher", values["encoder"]), ("student", own)):
        workspace = WORK / protocol.name / name
        workspace.mkdir(parents=True, exist_ok=True)
        (workspace / "params.yaml").write_text(yaml.safe_dump(values | {"encoder": encoder}))
        items, interactions, cold = protocol.files()
        tables = {"items": items, "interactions": interactions, "cold": pa.table({"item_id": cold})}
        command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP)]
        for kind, rows in tables.items():
            pq.write_table(rows, workspace / f"{kind}.parquet")
            command += [f"--{kind}", str(workspace / f"{kind}.parquet")]
        run = workspace / "run.parquet"
        environment = os.environ | {"RECSYS_WORKSPACE": str(workspace)}
        subprocess.run([*command, "--out", str(run)], cwd=ROOT, env=environment, check=True)
        found[name] = judged(protocol.judge, run)["ndcg@20"]["mean"]
    return {
        f"{protocol.name}_teacher_ndcg@20": round(found["teacher"], 4),
        f"{protocol.name}_student_ndcg@20": round(found["student"], 4),
        f"{protocol.name}_student_share": round(found["student"] / found["teacher"], 4),
    }


if __name__ == "__main__":
    main()
