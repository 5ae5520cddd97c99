"""Lists of warm and cold items together: Firstlight beside known closed-form and learned models, on three protocols.

Every (protocol, model) is one row: figures as JSON and each user's as npz below var/bench/mixed/<protocol>/. Rows that
are there are not made again, so a run that was cut short goes on; `--again` starts from nothing. docs/mixed.md and
docs/mixed.json are written from the rows that there are.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bench.figures import commit
from bench.mixed_page import publish
from bench.mixed_setup import HOME, NAMES, Setup, make_setup
from bench.protocols import require_shared_data
from recsys.baselines.als_map import als_factors
from recsys.baselines.baselines import BASELINES
from recsys.baselines.ease_prior import LAMBDAS, LIFTS, MAX_ITEMS
from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import padded
from recsys.ranking.dot import Dot
from recsys.ranking.ease import ease_weights
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import Scorer
from recsys.retrieval.exact import best_of
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import choose, mixed_ndcg

# Shape suffixes: U users to rank for, I items, C candidates, K list length, M metrics.
METRICS = {"ndcg@20": (ndcg_at_k, 20), "recall@100": (recall_at_k, 100)}
NEVER = np.float32(-1e30)
"""Score of what a model knows nothing of."""
console = Console(stderr=True)

Answer = tuple[NDArray[np.float32], dict[str, Any]]
"""scores_UI, and what was chosen."""


def plain(name: str) -> Callable[[Setup], Answer]:
    """A scorer that reads no vectors."""
    return lambda setup: answer_of(setup, BASELINES[name](setup.bare))


def over_head(name: str) -> Callable[[Setup], Answer]:
    """A rival over the head's profiles; it chooses on tuning_sets whose heads saw nothing of what is held out."""
    return lambda setup: answer_of(setup, BASELINES[name](setup.head, setup.head_tuning))  # type: ignore[call-arg]


def over_bare(name: str) -> Callable[[Setup], Answer]:
    """A rival over the frozen encoder."""
    return lambda setup: answer_of(setup, BASELINES[name](setup.bare, setup.bare_tuning))  # type: ignore[call-arg]


def ridge(setup: Setup) -> Answer:
    """Ridge users over the head, nothing corrected."""
    recipe = setup.recipe
    return scores_of(setup, BASELINES["ridge"](setup.head)), {
        "words": recipe.lexical_share, "power": recipe.metric_power, "words apart": recipe.words_weight,
        "λ": recipe.ridge_lambda,
    }  # fmt: skip


def lifted_ridge(setup: Setup) -> Answer:
    """The same, with the scores of cold items times one factor that tuning sets choose."""

    def tried(one: ValidationSet) -> Iterator[tuple[float, float]]:
        scores_UC = BASELINES["ridge"](one.dataset).scores(one.mixed.users, one.mixed.candidates)
        is_cold_C = one.dataset.interactions.n_users_I[one.mixed.candidates] == 0
        for lift in LIFTS:
            yield lift, mixed_ndcg(one, scores_UC * np.where(is_cold_C, lift, 1.0))

    found = choose(setup.head_tuning, tried)
    scores_UI = scores_of(setup, BASELINES["ridge"](setup.head))
    scores_UI[:, setup.task.cold] *= found
    return scores_UI, {"lift": found}


def firstlight(setup: Setup) -> Answer:
    """What a release recommends, by the recipe that stage `finetune` chooses."""
    recipe = setup.recipe_with_weights
    settings, ranker = recipe.item_weights(setup.fusion), None
    if settings is not None:
        ranker = ItemWeights.learn(replace(setup.head, interactions=setup.dataset.interactions), settings)
    chosen = {"λ of the weights": recipe.ease_lambda, "head factor": recipe.head_factor, "lift": recipe.lift}
    return scores_of(setup, learn_recommender(setup.head, ranker or Dot())), chosen


def bare_ridge(setup: Setup) -> Answer:
    """Ridge users over the frozen encoder, λ chosen as for the head."""
    return scores_of(setup, BASELINES["ridge"](setup.bare)), {"λ": setup.bare.ridge_lambda}


def als(setup: Setup) -> Answer:
    """Factors alone."""
    factors = als_factors(setup.bare)
    scores_UI = factors.users_UF[setup.users] @ factors.items_IF.T
    return scores_UI, {"factors": factors.users_UF.shape[1]}


def ease(setup: Setup) -> Answer:
    """EASE alone, λ chosen on tuning sets."""
    found = choose(
        setup.bare_tuning,
        lambda one: (
            (by, mixed_ndcg(one, ease_scores(one.dataset, one.mixed.users, by)[:, one.mixed.candidates]))
            for by in LAMBDAS
        ),
    )
    return ease_scores(setup.bare, setup.users, found), {"λ": found}


def ease_scores(known: Dataset, users: NDArray[np.int64], ease_lambda: float) -> NDArray[np.float32]:
    """scores_UI over the warm items with the most users; NEVER for the others."""
    items = known.interactions.most_used(MAX_ITEMS)
    histories_US = known.interactions.matrix_UI[:, items]
    gram_SS = (histories_US.T @ histories_US).toarray()
    weights_SS = ease_weights(gram_SS, np.zeros_like(gram_SS), ease_lambda)
    scores_UI = np.full((len(users), len(known.texts)), NEVER)
    scores_UI[:, items] = histories_US[users] @ weights_SS
    return scores_UI


MODELS: dict[str, Callable[[Setup], Answer]] = {
    "firstlight": firstlight,
    "ridge, head": ridge,
    "ridge lifted, head": lifted_ridge,
    "ridge, encoder": bare_ridge,
    "tfidf_centroid": plain("tfidf_centroid"),
    "popular": plain("popular"),
    "rbf_ridge, head": over_head("rbf_ridge"),
    "rbf_ridge, encoder": over_bare("rbf_ridge"),
    "als_map, head": over_head("als_map"),
    "als_map, encoder": over_bare("als_map"),
    "ease_prior, head": over_head("ease_prior"),
    "ease_prior, encoder": over_bare("ease_prior"),
    "two_tower, head": over_head("two_tower"),
    "two_tower, encoder": over_bare("two_tower"),
    "blend, head": over_head("blend"),
    "als": als,
    "ease": ease,
}
"""Name -> scores; in the order of the tables."""
ONLY_WARM = ("als", "ease")


def main() -> None:
    """Make the rows that are missing, then the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", action="append", choices=NAMES, help="may be repeated; default: all")
    parser.add_argument(
        "--model", action="append", choices=list(MODELS), help="may be repeated; default: all"
    )
    parser.add_argument("--again", action="store_true", help="forget rows, heads and recipes that are there")
    parser.add_argument("--report", action="store_true", help="make nothing, write the page")
    args = parser.parse_args()
    if args.again and args.model:
        parser.error("--again forgets heads and recipes that all models share: leave --model out")
    require_shared_data()
    for name in () if args.report else args.protocol or NAMES:
        if args.again:
            shutil.rmtree(HOME / name, ignore_errors=True)
        missing = [model for model in args.model or MODELS if not row_of(name, model).exists()]
        if missing:
            run_rows(make_setup(name), missing)
    publish(list(MODELS))


def run_rows(setup: Setup, models: list[str]) -> None:
    """Learn, ask and keep, one model after another."""
    n = len(setup.users)
    console.print(
        f"{setup.name}: {len(setup.warm):,} warm and {len(setup.task.cold):,} cold items, {n:,} users ranked for"
    )
    for place, model in enumerate(models, 1):
        prepare(setup, model)
        started = time.perf_counter()
        scores_UI, chosen = MODELS[model](setup)
        seconds = time.perf_counter() - started
        keep_row(setup, model, judged(setup, scores_UI, model), chosen, seconds)
        console.print(
            f"[{place}/{len(models)}] {setup.name} {model}: {seconds:.0f} s, {chosen}", soft_wrap=True
        )


def prepare(setup: Setup, model: str) -> None:
    """Make heads and tuning_sets that rows share, so that they count as nobody's seconds."""
    _ = setup.bare, setup.bare_tuning
    if model.endswith("head"):
        _ = setup.head, setup.head_tuning
    if model == "firstlight":
        _ = setup.head


def answer_of(setup: Setup, model: Scorer) -> Answer:
    """Scores, and what the scorer chose where it says so."""
    return scores_of(setup, model), dict(getattr(model, "chosen", {}))


def scores_of(setup: Setup, model: Scorer) -> NDArray[np.float32]:
    """scores_UI of all items."""
    return np.asarray(model.scores(setup.users, np.arange(len(setup.task.texts))), np.float32)


def judged(setup: Setup, scores_UI: NDArray[np.float32], model: str) -> dict[str, NDArray[np.float64]]:
    """`<list>/<metric>` of every user. Items of a user's history are not listed."""
    lists = {"cold": setup.task.cold, "warm": setup.warm, "mixed": np.union1d(setup.task.cold, setup.warm)}
    met_UI = setup.task.interactions.matrix_UI[setup.users].toarray() > 0
    found = {}
    for name, candidates in lists.items():
        if model in ONLY_WARM and name != "warm":
            continue
        open_UC = np.where(met_UI[:, candidates], -np.inf, scores_UI[:, candidates])
        ranked_UK = best_of(open_UC, 100).rows_UK
        relevant_UR = padded(setup.relevant_UI[setup.users][:, candidates])
        for metric, (measure, k) in METRICS.items():
            found[f"{name}/{metric}"] = measure(ranked_UK, relevant_UR, k)
    return found


def keep_row(
    setup: Setup, model: str, by_user: dict[str, NDArray[np.float64]], chosen: dict[str, Any], seconds: float
) -> None:
    """Users first: a row is there when its JSON is."""
    row = row_of(setup.name, model)
    row.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = dict(by_user)  # else a checker takes one for an option of savez
    np.savez(row.with_suffix(".npz"), **arrays)
    means = {name: round(float(values.mean()), 6) for name, values in by_user.items()}
    words = {
        "protocol": setup.name, "model": model, "metrics": means, "chosen": chosen, "seconds": round(seconds, 1),
        "n_users": len(setup.users), "n_warm": len(setup.warm), "n_cold": len(setup.task.cold), "commit": commit(),
    }  # fmt: skip
    temporary = row.with_suffix(".tmp")
    temporary.write_text(json.dumps(words, indent=2) + "\n")
    temporary.replace(row)


def row_of(protocol: str, model: str) -> Path:
    """Where its figures lie."""
    return HOME / protocol / "rows" / f"{model}.json"


if __name__ == "__main__":
    main()
