"""Gated attention over views, learned for each item, beside one validated weight for each view.

The cold films of ml-100k-multimodal, with relations and posters (`make bench-posters` first), for the texts of
`bench/views.py`. Both sides are trained heads, learned and validated on the product's folds by ndcg@20:

- *fixed weights*: the best share of words, weights of views (0 allowed), metric power and λ;
- *attention*: the same share and weights, where every view has at least the smallest weight above 0, and attention over
  all parts (`bench/rivals/attention.py`); the best number of steps, metric power and λ.

The product also tries first light, constants and priors, so its own row in `bench/views.py` may be better than both.
The judge (../shared/judge/score.py) scores both lists.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array

from bench.figures import ROOT, write_figures
from bench.posters import TARGET as POSTERS
from bench.protocols import PROTOCOLS, TOP, judged, require_shared_data
from bench.rivals.attention import gated_coordinates, learn_gates, make_parts
from bench.rivals.encoded import frozen_vectors
from bench.views import METRIC, TEXTS, Row, write_inputs
from recsys.dataset.dataset import Dataset
from recsys.evaluation.cold_start import Task, make_task, rank_cold
from recsys.evaluation.view_tables import read_views
from recsys.heads.directions import Directions
from recsys.heads.learning import learn_head, profiles, survey
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet
from recsys.validation.choices import Choice, RidgeChoice, Weights
from recsys.validation.comparing import Figures, mean_ndcg
from recsys.validation.measuring import measure_ridges
from recsys.validation.sets import ValidationSet, hold_out_items
from recsys.validation.trying import survey_fold, try_heads

# Shape suffixes: P parts, N items, D dimensions, U users of a fold.
FILMS = tuple(name for name, (protocol, _) in TEXTS.items() if protocol == "ml100k_cold")
EVERY, MOST = 10, 40
"""Steps of attention between two validations, and the most. The mean of the folds falls from each to the next."""
WORK = ROOT / "var" / "bench" / "attention"
console = Console(stderr=True)


@dataclass(frozen=True)
class Films:
    """The films with one text and their views, and the folds of the warm ones."""

    task: Task
    dataset: Dataset
    sets: tuple[ValidationSet, ...]
    fusion: FusionParams
    field_terms: float
    ridges: tuple[RidgeChoice, ...]
    k: int


@dataclass(frozen=True)
class Chosen:
    """What validation chose for one side."""

    recipe: Recipe
    ndcg: float
    """Mean over the folds."""
    steps: int = 0
    """Of attention."""


def main() -> None:
    """Run the texts that are named, or all; print a table and write var/bench/attention.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("only", nargs="*", help=f"texts, of {', '.join(FILMS)}")
    args = parser.parse_args()
    if unknown := sorted(set(args.only) - set(FILMS)):
        parser.error(f"unknown texts {', '.join(unknown)}; there are {', '.join(FILMS)}")
    require_shared_data()
    if not POSTERS.is_file():
        parser.error(f"no posters: {POSTERS} is missing, run make bench-posters")
    WORK.mkdir(parents=True, exist_ok=True)
    table = Table("row", METRIC, "gain over fixed weights", "validation", title="attention over views")
    figures: dict[str, float | int | str] = {}
    for text in args.only or FILMS:
        figures |= run(text, table)
    Console().print(table)
    if not args.only:
        write_figures("attention", figures)


def run(text: str, table: Table) -> dict[str, float | int | str]:
    """Both sides for one text: rows of the table, and figures."""
    films, judge = read_films(text), Row(text, "both").judge
    fixed = choose_weights(films)
    console.print(f"{text}: {fixed.recipe.sentence}; {fixed.ndcg:.4f}", soft_wrap=True)
    attention = choose_attention(films, fixed.recipe)
    paths = {name: WORK / f"{text}_{name}.parquet" for name in ("fixed", "attention")}
    head = learn_head(films.dataset, fixed.recipe, films.fusion)
    made_ND = head.profiles(films.task.texts, films.dataset.vectors_ID, films.dataset.views)
    write_parquet(paths["fixed"], ranked(films, fixed.recipe, made_ND))
    *_, (directions, coordinates_ND) = gated(films, films.dataset, attention.recipe, attention.steps)
    stretch_D = directions.stretch(attention.recipe.metric_power or 0.0)
    write_parquet(paths["attention"], ranked(films, attention.recipe, profiles(coordinates_ND, stretch_D)))
    before = judged(judge, paths["fixed"])[METRIC]
    after = judged(judge, paths["attention"], "--against", str(paths["fixed"]))[METRIC]
    gain = f"{after['difference']:+.4f} [{after['difference_low']:+.4f}, {after['difference_high']:+.4f}]"
    table.add_row(f"{text}, fixed weights", f"{before['mean']:.4f}", "", f"{fixed.ndcg:.4f}")
    table.add_row(
        f"{text}, attention, {attention.steps} steps",
        f"{after['mean']:.4f}",
        gain,
        f"{attention.ndcg:.4f}",
    )
    return {
        f"{text}_fixed_{METRIC}": round(before["mean"], 4),
        f"{text}_attention_{METRIC}": round(after["mean"], 4),
        f"{text}_attention_gain": round(after["difference"], 4),
        f"{text}_attention_gain_low": round(after["difference_low"], 4),
        f"{text}_attention_gain_high": round(after["difference_high"], 4),
        f"{text}_fixed_validation": round(fixed.ndcg, 4),
        f"{text}_attention_validation": round(attention.ndcg, 4),
        f"{text}_attention_steps": attention.steps,
        f"{text}_fixed_recipe": fixed.recipe.sentence,
        f"{text}_attention_recipe": attention.recipe.sentence,
    }


def read_films(text: str) -> Films:
    """Read the films with their views, and hold out the folds that the product would."""
    protocol, columns = TEXTS[text]
    write_inputs(protocol)
    settings = Settings.load(ROOT / "params.yaml")
    items, log, cold = next(one for one in PROTOCOLS if one.name == protocol).files()
    task = make_task(items, log, cold.to_pylist(), settings.features, columns.split(","))
    files = Row(text, "both").files
    own = read_views(files["relations"], files["vectors"], task.item_ids, settings.ingest, settings.relations)
    fusion = settings.fusion.for_items(len(task.item_ids)).model_copy(update={"words_width": 0})
    dataset = Dataset(
        task.interactions,
        task.texts,
        frozen_vectors(ROOT, task.texts),
        settings.users.ridge_lambda,
        fusion.seed,
        views=own.views,
    )
    folds, most = task.folds(settings.split.seed).values(), settings.finetune.max_validation_users
    made = (hold_out_items(dataset, held, fusion.seed, most) for held in folds)
    return Films(
        task,
        dataset,
        tuple(one for one in made if one),
        fusion,
        settings.first_light.field_terms,
        tuple((one, 0.0) for one in settings.users.lambdas),
        settings.finetune.k,
    )


def choose_weights(films: Films) -> Chosen:
    """The best head with fixed weights: those of one view after the other, beside the best of those before it."""
    tried: dict[Choice, Figures] = {}

    def best() -> Choice:
        return max(tried, key=lambda one: mean_ndcg(tried[one]))

    def try_views(wanted: list[Weights]) -> None:
        for number, validation in enumerate(films.sets, 1):
            words = " and ".join(f"{name} {weight:g}" for name, weight in wanted[-1]) or "no view"
            console.print(f"fixed weights up to {words}: fold {number} of {len(films.sets)}", soft_wrap=True)
            fold = survey_fold(validation, films.fusion, films.ridges, films.k, films.field_terms)
            if fold is None:
                raise SystemExit("the texts of a fold have no word")
            for views in wanted:
                for share in films.fusion.lexical_shares:
                    for choice, figures_U2 in try_heads(fold, share, films.fusion.metric_powers, views):
                        tried.setdefault(choice, []).append(figures_U2)

    try_views([()])
    for name in sorted(films.dataset.views, reverse=True):
        beside = best().views
        try_views([(*beside, (name, weight)) for weight in films.fusion.view_weights if weight > 0])
    taken = best()
    recipe = Recipe(
        taken.lexical_share,
        taken.metric_power,
        taken.ridge_lambda,
        None,
        {},
        field_terms=films.field_terms,
        view_weights=dict(taken.views),
    )
    return Chosen(recipe, mean_ndcg(tried[taken]))


def choose_attention(films: Films, fixed: Recipe) -> Chosen:
    """The best number of steps, metric power and λ of attention that starts from a head with fixed weights."""
    smallest = min(weight for weight in films.fusion.view_weights if weight > 0)
    weights = {name: fixed.view_weights.get(name, smallest) for name in films.dataset.views}
    start = replace(fixed, view_weights=weights)
    tried: dict[tuple[int, Choice], Figures] = {}
    for validation in films.sets:
        rows = validation.dataset.warm, validation.held
        best: dict[int, float] = {}
        states = gated(films, validation.dataset, start, MOST)
        for steps, (directions, coordinates_ND) in zip(range(0, MOST + 1, EVERY), states, strict=True):
            for power in films.fusion.metric_powers:
                made_ND = profiles(coordinates_ND, directions.stretch(power))
                found = measure_ridges(
                    validation,
                    None,
                    [made_ND[one] for one in rows],
                    lambda ridge_lambda, prior, power=power: Choice(
                        start.lexical_share, power, 0.0, ridge_lambda, prior
                    ),
                    films.ridges,
                    films.fusion.seed,
                    films.k,
                )
                for choice, figures_U2 in found:
                    tried.setdefault((steps, choice), []).append(figures_U2)
                    best[steps] = max(best.get(steps, 0.0), float(figures_U2[:, 0].mean()))
        console.print(", ".join(f"{steps} steps {ndcg:.4f}" for steps, ndcg in best.items()), soft_wrap=True)
    steps, choice = max((one for one in tried if one[0]), key=lambda one: mean_ndcg(tried[one]))
    recipe = replace(start, metric_power=choice.metric_power, ridge_lambda=choice.ridge_lambda)
    return Chosen(recipe, mean_ndcg(tried[steps, choice]), steps)


def gated(
    films: Films, dataset: Dataset, recipe: Recipe, most: int
) -> Iterator[tuple[Directions, NDArray[np.float32]]]:
    """Directions, and coordinates of all items, with attention before the first step and after every EVERY steps."""
    surveyed = survey(dataset, films.fusion, recipe.field_terms)
    if surveyed is None:
        raise SystemExit("no text has a word")
    parts = make_parts(dataset, surveyed, recipe, films.fusion)
    histories_UM = csr_array(dataset.interactions.matrix_UI[:, surveyed.landmarks])
    learning = learn_gates(parts, histories_UM, films.fusion.kernel_lambda, films.fusion.seed, EVERY)
    for gates_PN in islice(learning, most // EVERY + 1):
        yield gated_coordinates(parts, gates_PN, surveyed, films.fusion)


def ranked(films: Films, recipe: Recipe, profiles_ND: NDArray[np.float32]) -> pa.Table:
    """The lists that the judge reads."""
    return rank_cold(films.task, profiles_ND, recipe.ridge_lambda, TOP)


if __name__ == "__main__":
    main()
