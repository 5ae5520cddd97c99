"""Command `benchmark`: recommend for a data set of your own, so that you can judge the lists yourself."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, shown, workspace

if TYPE_CHECKING:
    from recsys.heads.recipe import Recipe

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def benchmark() -> None:
    """Measure Firstlight on data of your own."""


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
    "--relations",
    type=FILE,
    help="head, relation, tail: a knowledge graph, as it may land in relations/. A head or tail that is an item_id is "
    "that item; all others are entities, such as people.",
)
@click.option(
    "--vectors",
    type=FILE,
    help="item_id, view, source, vector: vectors of any other model, as they may land in vectors/. view names what "
    "they are of, such as audio; source names the model.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pictures; the column image of --items names each item's file, such as 1.jpg. They are encoded by "
    "images.encoder of params.yaml, else by the packaged encoder.",
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="RUN.parquet to write."
)
@click.option(
    "--text",
    metavar="A,B,C",
    help="The columns of --items that become text, in this order. [default: every column of words, but none that "
    "repeats another]",
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
    help="About how long training may take on two cores. Less time means fewer landmarks and users.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Random seed. [default: that of params.yaml]")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def cold_start(
    items: Path,
    interactions: Path,
    cold: Path,
    relations: Path | None,
    vectors: Path | None,
    images: Path | None,
    out: Path,
    text: str | None,
    params: Path | None,
    top: int,
    budget: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Train on everything but the cold items' interactions, then rank the cold items for every user.

    Writes user_id (as given), item_id and rank (1 = best) for every user of --interactions.

    Files are read as in the landing zone, but a bad row stops the run. The command prints which columns it uses and
    which it leaves out. Section `feedback` defines a like; a row with a weight of 0 or less is not a like. The encoder
    is that of params.yaml in float32. Section `fusion` limits the head that is learned over it. Held-out items decide
    whether a head helps, and choose λ, how much events, values and dislikes count (section `weighting`), and the
    weights of words, relations, vectors and images. A view without a significant gain gets the weight 0. Relations in
    `relations.left_out` of params.yaml are not used, because they are known only after an item was released. Vectors
    should not contain such knowledge either.
    """
    from recsys.effects.benchmark_cold_start import Files, benchmark_cold_start
    from recsys.settings import Settings

    fields = tuple(filter(None, map(str.strip, (text or "").split(","))))
    chosen = Settings.load(params or workspace().params)
    with console().status("") as status:
        done = benchmark_cold_start(
            Files(items, interactions, cold, fields, relations, vectors, images),
            out,
            workspace(),
            chosen,
            k=top,
            minutes=budget,
            seed=seed,
            report=lambda line: console().print(shown(line), soft_wrap=True),
            report_progress=status.update,
        )
    recipe = done.recipe
    console().print(_sentence(recipe, chosen.finetune.k))
    if not done.weighting.changes_nothing:
        console().print(f"feedback counts by {done.weighting.name}")
    console().print(shown(f"wrote {out}"), soft_wrap=True)
    if as_json:
        print_json(
            {
                "out": str(out),
                **asdict(done.used),
                "folds": done.n_by_fold,
                "width": done.width,
                "lexical_share": recipe.lexical_share,
                "metric_power": recipe.metric_power,
                "words_weight": recipe.words_weight,
                "field_terms": recipe.field_terms,
                "constant": recipe.constant,
                "alike": recipe.alike,
                "view_weights": dict(recipe.view_weights),
                "view_coverage": done.coverage,
                "first_light": recipe.first_light is not None,
                "ridge_lambda": recipe.ridge_lambda,
                "prior_weight": recipe.prior_weight,
                "weighting": done.weighting.name,
                "validation_ndcg": recipe.tried,
            }
        )


def _sentence(recipe: "Recipe", k: int) -> str:
    if recipe.ndcg is None or recipe.alone is None:
        return f"too little to hold out: {recipe.sentence}"
    found = f"validation ndcg@{k} {recipe.ndcg:.4f}"
    if not recipe.has_head:
        return f"{recipe.sentence} ({found}; no head was clearly better)"
    return f"{recipe.sentence} ({found}, encoder alone {recipe.alone:.4f})"
