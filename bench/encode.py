"""Encode: items per second against sentence-transformers, same model, texts, threads, alternating in the same run.

Titles are CiteULike's, long texts the longest of amazon-industrial (title and description) where ../shared lies beside
the checkout; else both come from the demo's films. Vectors are compared too, and what other precisions cost in
recall@20 on CiteULike H, scored by the judge (../shared/judge/score.py). bfloat16 and float16 are encoded there as a
GPU does it: by torch, products in 16 bits. `--recall` measures this cost alone; `--neighbours`, in a minute, how many
of a title's ten nearest titles stay. `--quick` checks that everything runs, and writes nothing.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.cold_start import WORK
from bench.figures import JUDGE, ROOT, SHARED_DATA, write_figures
from bench.protocols import TOP, citeulike, judged
from bench.titles import real_titles
from recsys.encoders.encoder import Encoder
from recsys.encoders.pack import pack_encoder
from recsys.encoders.source import find_source
from recsys.encoders.transformer import open_encoder
from recsys.evaluation.cold_start import make_task, rank_cold
from recsys.features.text import join_fields
from recsys.processor import usable_cores
from recsys.settings import Settings

console = Console(stderr=True)
ENCODERS = ROOT / "var" / "bench" / "encoders"
Vectors = NDArray[np.float32]
TITLES, NEAREST = 1000, 10
"""Of `--neighbours`."""
TORCH = "cpu:0"
"""A processor as a device of torch; cpu alone stands for OpenVINO."""


@dataclass(frozen=True)
class Size:
    """How much is encoded."""

    titles: int
    long: int
    rounds: int
    alone: int
    """Texts that int8 encodes alone as well."""


FULL = Size(titles=3000, long=400, rounds=7, alone=200)
QUICK = Size(titles=400, long=40, rounds=2, alone=20)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts and rounds; no figures are written")
    parser.add_argument("--recall", action="store_true", help="only what precisions cost in recall@20")
    parser.add_argument("--neighbours", action="store_true", help="only what 16 bits cost in nearest titles")
    chosen = parser.parse_args()
    quick = chosen.quick
    size = QUICK if quick else FULL
    os.environ["HF_HUB_OFFLINE"] = "1"
    texts = {"titles": list(real_titles()[: size.titles]), "long": long_texts()[: size.long]}
    if chosen.neighbours:
        show(neighbours_kept(list(real_titles()[:TITLES])))
        return
    if chosen.recall:
        show(recall_loss(texts))
        return
    exact, int8 = packed("float32", texts), packed("int8", texts)
    encoders = {"sentence-transformers": rival(), "exact": exact.encode, "int8": int8.encode}
    figures: dict[str, float | int | str] = {"threads": usable_cores()}
    table = Table("texts", "encoder", "items/s", "ratio", "cosine: least", "cosine: mean", title="encode")
    for name, some in texts.items():
        figures |= compare(name, some, encoders, size.rounds, table)
    figures["exact_min_cosine"] = min(float(figures[f"exact_cosine_{name}"]) for name in texts)
    figures["int8_batch_cosine"] = min(alone_or_together(int8, some, size.alone) for some in texts.values())
    Console().print(table)
    if SHARED_DATA.is_dir() and JUDGE.is_file() and not quick:
        figures |= recall_loss(texts)
    show(figures)
    if quick:
        console.print("--quick: figures are not written")
    else:
        write_figures("encode", figures)


def show(figures: dict[str, Any]) -> None:
    """Print one figure a line."""
    for name, value in figures.items():
        Console().print(f"{name:28} {value}", highlight=False)


def long_texts() -> list[str]:
    """Title and description of the items that have most to say, longest first."""
    if SHARED_DATA.is_dir():
        table = pq.read_table(SHARED_DATA / "amazon-industrial-2018" / "items.parquet")
        pairs = list(zip(table["title"].to_pylist(), table["description"].to_pylist(), strict=True))
    else:
        tables = [
            pq.read_table(path) for path in sorted((ROOT / "data" / "catalogue").glob("*/rows.parquet"))
        ]
        pairs = [(row["title"], row["description"]) for table in tables for row in table.to_pylist()]
    joined = {
        join_fields([title or "", description or ""], 20_000) for title, description in pairs if description
    }
    if not joined:
        sys.exit("no long texts: run `make data`, or put the shared data sets beside the checkout")
    return sorted(joined, key=lambda text: (-len(text), text))


def packed(precision: str, texts: dict[str, list[str]], device: str = "cpu") -> Encoder:
    """The default encoder in one precision, on a device as for `open_encoder`.

    int8 is calibrated on both kinds of text, like a mixed catalogue.
    """
    params = Settings.load(ROOT / "params.yaml").encoder.model_copy(update={"precision": precision})
    half = params.calibration_texts // 2
    calibration = [text for some in texts.values() for text in some[-half:]]
    with console.status(f"packing {params.source}, {precision}"):
        reference = pack_encoder(params, ENCODERS, calibration)
        return open_encoder(reference, ENCODERS, params.batch_tokens, device=device)


def rival() -> Callable[[Sequence[str]], Vectors]:
    """sentence-transformers' encode with its defaults on the same weights."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(usable_cores())
    source = find_source(Settings.load(ROOT / "params.yaml").encoder.source)
    model = SentenceTransformer(str(source), device="cpu")

    def encode(texts: Sequence[str]) -> Vectors:
        found: Any = model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True)
        return np.asarray(found, np.float32)

    return encode


def compare(
    name: str,
    texts: list[str],
    encoders: dict[str, Callable[[Sequence[str]], Vectors]],
    rounds: int,
    table: Table,
) -> dict[str, float]:
    """All encoders in turn, round by round; medians, of the time on the clock and of processor time.

    On a busy machine only the second means something.
    """
    seconds: dict[str, list[float]] = {encoder: [] for encoder in encoders}
    cpu_seconds: dict[str, list[float]] = {encoder: [] for encoder in encoders}
    vectors = {encoder: encode(texts[:64]) for encoder, encode in encoders.items()}  # warm-up
    for number in range(rounds):
        order = list(encoders)[number % len(encoders) :] + list(encoders)[: number % len(encoders)]
        for encoder in order:
            started, cpu_started = time.perf_counter(), time.process_time()
            vectors[encoder] = encoders[encoder](texts)
            seconds[encoder].append(time.perf_counter() - started)
            cpu_seconds[encoder].append(time.process_time() - cpu_started)
        took = ", ".join(f"{encoder} {seconds[encoder][-1]:.2f} s" for encoder in encoders)
        console.print(f"{name}, round {number + 1} of {rounds}: {took}", highlight=False)
    median = {encoder: statistics.median(found) for encoder, found in seconds.items()}
    cpu_median = {encoder: statistics.median(found) for encoder, found in cpu_seconds.items()}
    truth, figures = vectors["sentence-transformers"], {}
    for encoder in encoders:
        cosines = (vectors[encoder] * truth).sum(axis=1)
        ratio = median["sentence-transformers"] / median[encoder]
        rate = len(texts) / median[encoder]
        cells = (f"{rate:,.0f}", f"{ratio:.2f}", f"{cosines.min():.6f}", f"{cosines.mean():.6f}")
        table.add_row(name, encoder, *cells)
        figures[f"{encoder}_per_s_{name}"] = round(rate, 1)
        if encoder != "sentence-transformers":
            cpu_ratio = cpu_median["sentence-transformers"] / cpu_median[encoder]
            figures[f"{encoder}_ratio_{name}"] = round(ratio, 3)
            figures[f"{encoder}_cpu_ratio_{name}"] = round(cpu_ratio, 3)
            figures[f"{encoder}_cosine_{name}"] = round(float(cosines.min()), 7)
    return figures


def alone_or_together(encoder: Encoder, texts: list[str], n: int) -> float:
    """Least cosine between a text's vector alone and in one call with all the others."""
    together = encoder.encode(texts)[:n]
    alone = np.concatenate([encoder.encode([text]) for text in texts[:n]])
    return round(float((alone.astype(np.float64) * together).sum(axis=1).min()), 7)


def neighbours_kept(titles: list[str]) -> dict[str, float]:
    """Share of each title's ten nearest titles by float32 that 16 bits find too, computed as a GPU does it."""
    found, figures = {}, {}
    for precision in ("float32", "bfloat16", "float16"):
        device = "cpu" if precision == "float32" else TORCH
        vectors_ND = packed(precision, {"titles": titles}, device).encode(titles)
        similar_NN = vectors_ND @ vectors_ND.T - 2 * np.eye(len(titles), dtype=np.float32)
        found[precision] = np.argsort(-similar_NN, axis=1, kind="stable")[:, :NEAREST]
        kept = [len(np.intersect1d(*pair)) for pair in zip(found["float32"], found[precision], strict=True)]
        figures[f"{precision}_neighbours_kept"] = round(float(np.mean(kept)) / NEAREST, 5)
    return figures


def recall_loss(texts: dict[str, list[str]]) -> dict[str, float]:
    """Relative loss of recall@20 on CiteULike H, ridge users on each precision's titles, scored by the judge."""
    items, interactions, cold = citeulike("dropoutnet_train", "heater_cold_test")()
    settings = Settings.load(ROOT / "params.yaml")
    task = make_task(items, interactions, cold.to_pylist(), settings.features)
    folder = WORK.parent / "encode"
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    exact_ND = None
    for precision in ("float32", "int8", "bfloat16", "float16"):
        console.print(f"CiteULike H, {precision}: encoding {len(task.texts):,} titles", highlight=False)
        device = TORCH if precision.endswith("16") else "cpu"
        vectors_ND = packed(precision, texts, device).encode(task.texts)
        run = folder / f"{precision}.parquet"
        pq.write_table(rank_cold(task, vectors_ND, settings.users.ridge_lambda, TOP), run)
        recall = judged("citeulike-H", run)["recall@20"]["mean"]
        name = "exact" if exact_ND is None else precision
        figures[f"{name}_recall@20"] = round(recall, 5)
        if exact_ND is None:
            exact_ND = vectors_ND
            continue
        figures[f"{name}_recall_loss"] = round(1 - recall / figures["exact_recall@20"], 5)
        figures[f"{name}_title_cosine"] = round(float((vectors_ND * exact_ND).sum(axis=1).min()), 6)
    return figures


if __name__ == "__main__":
    main()
