"""Command `benchmark`: what the house would recommend on a data set of your own, for a judge of your own."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, shown, workspace

if TYPE_CHECKING:
    from recsys.heads.learning import Recipe

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def benchmark() -> None:
    """Measure the house on data of your own."""


@benchmark.command("cold-start")
@click.option(
    "--items",
    required=True,
    type=FILE,
    help="item_id, title; optionally description, tags, image, more text: what may land in catalogue/.",
)
@click.option(
    "--interactions",
    required=True,
    type=FILE,
    help="user_id, item_id; optionally event, value or weight, timestamp: what may land in interactions/.",
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
@click.option(
    "--text",
    metavar="A,B,C",
    help="The columns of --items that become text, in this order. [default: every column of words]",
)
@click.option("--params", type=FILE, help="params.yaml to use; default: the workspace's.")
@click.option(
    "--top", default=150, show_default=True, type=click.IntRange(min=1), help="Length of each user's list."
)
@click.option(
    "--budget",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="About how long learning may take on two cores: less time, fewer landmarks and users.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of everything random. [default: that of params.yaml]"
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def cold_start(
    items: Path,
    interactions: Path,
    cold: Path,
    out: Path,
    text: str | None,
    params: Path | None,
    top: int,
    budget: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Learn from everything but the cold items' interactions, and rank the cold items for every user.

    Files are read as the landing zone reads them, and what is used and left out is said; a row at fault stops the run.
    Likes alone count (section `feedback`; rows of weight 0 or less are none). The encoder is that of params.yaml at
    its exact precision. Section `fusion` says what is learned over it; whether that helps here, the weight of the words
    and λ are chosen on items that are held out of training.
    Writes user_id (as given), item_id, rank (1 = best) for every user of --interactions.
    """
    from recsys.dataset.dataset import Dataset
    from recsys.encoders.pack import pack_encoder
    from recsys.evaluation.cold_start import make_task, rank_cold
    from recsys.evaluation.tables import read_ids, read_interactions, read_items
    from recsys.evaluation.used import used
    from recsys.heads.budget import within
    from recsys.heads.learning import learn_head
    from recsys.models.reference import ModelReference
    from recsys.settings import Settings
    from recsys.stages.encoding import encode_cached
    from recsys.storage.atomic import write_parquet
    from recsys.validation.choosing import choose_recipe

    chosen = Settings.load(params or workspace().params)
    fields = tuple(filter(None, map(str.strip, (text or "").split(","))))
    catalogue = read_items(items, chosen.ingest, fields)
    log = read_interactions(interactions, chosen.ingest, chosen.feedback)
    task = make_task(catalogue.table, log.table, read_ids(cold, chosen.ingest), chosen.features, fields)
    what = used(task, catalogue, log)
    for line in what.lines():
        console().print(shown(line), soft_wrap=True)
    at = workspace()
    encoder = pack_encoder(chosen.encoder.model_copy(update={"precision": "float32"}), at.encoders, ())
    vectors = encode_cached(ModelReference.of(encoder), task.texts, chosen, at)
    dataset = Dataset(task.interactions, task.texts, vectors, chosen.users.ridge_lambda, chosen.fusion.seed)
    fusion = chosen.fusion if seed is None else chosen.fusion.model_copy(update={"seed": seed})
    folds = task.folds(chosen.split.seed if seed is None else seed)
    fusion = within(budget * 60, len(task.warm), len(task.users), len(folds), fusion)
    console().print(
        f"chosen on warm items held out: {', '.join(f'{len(rows):,} by {kind}' for kind, rows in folds.items())}"
    )
    lexical_width = 0
    with console().status("") as status:
        recipe = choose_recipe(
            dataset,
            tuple(folds.values()),
            fusion,
            chosen.users.lambdas,
            chosen.finetune.k,
            chosen.finetune.max_validation_users,
            status.update,
        )
        if recipe.lexical_share is not None:
            status.update("learning the head from all warm items")
            head = learn_head(dataset, recipe, fusion)
            status.update("making profiles")
            vectors, lexical_width = head.profiles(task.texts, vectors), head.lexical_width
    ridge_lambda = recipe.ridge_lambda if recipe.lexical_share is None else recipe.lambda_of(head)
    write_parquet(out, rank_cold(task, vectors, ridge_lambda, top, lexical_width))
    console().print(_told(recipe, chosen.finetune.k))
    console().print(shown(f"wrote {out}"), soft_wrap=True)
    if as_json:
        print_json(
            {
                "out": str(out),
                **asdict(what),
                "folds": {kind: len(rows) for kind, rows in folds.items()},
                "width": vectors.shape[1],
                "lexical_share": recipe.lexical_share,
                "metric_power": recipe.metric_power,
                "words_weight": recipe.words_weight,
                "ridge_lambda": recipe.ridge_lambda,
                "validation_ndcg": recipe.tried,
            }
        )


def _told(recipe: "Recipe", k: int) -> str:
    if recipe.ndcg is None or recipe.alone is None:
        return f"too little to hold out: {recipe.sentence}"
    found = f"validation ndcg@{k} {recipe.ndcg:.4f}"
    if recipe.lexical_share is None:
        return f"{recipe.sentence} ({found}; no head was surely better)"
    return f"{recipe.sentence} ({found}, encoder alone {recipe.alone:.4f})"
