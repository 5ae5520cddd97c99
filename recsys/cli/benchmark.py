"""Command `benchmark`: what the house would recommend on a data set of your own, for a judge of your own."""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from recsys.cli.context import console, print_json, workspace
from recsys.settings import Settings

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def benchmark() -> None:
    """Measure the house on data of your own."""


@benchmark.command("cold-start")
@click.option(
    "--items",
    required=True,
    type=FILE,
    help="item_id, title; optionally description, tags, image, more text.",
)
@click.option(
    "--interactions",
    required=True,
    type=FILE,
    help="user_id, item_id; optionally weight, and columns that are not used.",
)
@click.option(
    "--cold",
    required=True,
    type=FILE,
    help="The cold items: column item_id, or a .txt file with one id per line.",
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="RUN.parquet to write."
)
@click.option("--params", type=FILE, help="params.yaml to use; default: the workspace's.")
@click.option(
    "--top", default=150, show_default=True, type=click.IntRange(min=1), help="Length of each user's list."
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def cold_start(
    items: Path, interactions: Path, cold: Path, out: Path, params: Path | None, top: int, as_json: bool
) -> None:
    """Learn from everything but the cold items' interactions, and rank the cold items for every user.

    Files are .parquet, .csv or .jsonl. Every column of --items that holds words becomes text, short ones first. The
    encoder is that of params.yaml at its exact precision; λ is chosen on items that are held out of training.
    Writes user_id, item_id, rank (1 = best) for every user of --interactions.
    """
    from recsys.evaluation.cold_start import choose_lambda, make_task, rank_cold
    from recsys.evaluation.tables import read_ids, read_table
    from recsys.storage.atomic import write_parquet

    chosen = Settings.load(params or workspace().params)
    task = make_task(
        read_table(items, ("item_id",)),
        read_table(interactions, ("user_id", "item_id")),
        read_ids(cold),
        chosen.features,
    )
    console.print(
        f"{len(task.item_ids):,} items ({len(task.warm):,} warm, {len(task.cold):,} cold; text from "
        f"{', '.join(task.fields)}), {len(task.users):,} users, {task.histories_UI.nnz:,} pairs to learn from"
    )
    vectors = _encode(chosen, task.texts)
    choice = choose_lambda(task, vectors, chosen.users.ridge_lambda, chosen.split.seed)
    tried = ", ".join(f"{one:g}: {ndcg:.4f}" for one, ndcg in choice.ndcg_by_lambda.items())
    console.print(
        f"λ = {choice.ridge_lambda:g} (validation ndcg@20 by λ: {tried or 'too little to hold out'})"
    )
    write_parquet(out, rank_cold(task, vectors, choice.ridge_lambda, top))
    console.print(f"wrote {out}")
    if as_json:
        print_json(
            {
                "out": str(out),
                "users": len(task.users),
                "cold": len(task.cold),
                "fields": task.fields,
                "ridge_lambda": choice.ridge_lambda,
                "validation_ndcg": choice.ndcg_by_lambda,
            }
        )


def _encode(chosen: Settings, texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Profiles of all texts, float32 [I, D]; those that the vector cache knows are not encoded again."""
    from recsys.encoders import open_encoder, pack_encoder
    from recsys.features.text import PREPROCESSING_VERSION, text_hash
    from recsys.profiles.cache import VectorCache
    from recsys.stages.progress import Progress

    at = workspace()
    exact = chosen.encoder.model_copy(update={"precision": "float32"})
    reference = pack_encoder(exact, at.encoders, ())
    cache = VectorCache(at.vectors / f"{reference.hash}-{PREPROCESSING_VERSION}", reference.dim)
    hashes = [text_hash(text) for text in texts]
    vectors, found = cache.read(hashes)
    unknown = {hashes[row]: row for row in np.flatnonzero(~found)}
    if unknown:
        encoder = open_encoder(reference, at.encoders, exact.batch_tokens)
        with Progress("encoding", len(unknown)) as progress:
            made = encoder.encode([texts[row] for row in unknown.values()], progress.advance)
        cache.add(list(unknown), made)
        place = {one: row for row, one in enumerate(unknown)}
        missing = np.flatnonzero(~found)
        vectors[missing] = made[[place[hashes[row]] for row in missing]]
    return vectors
