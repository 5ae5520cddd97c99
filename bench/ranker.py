"""What event heads add to item weights: lists and predictions on ml100k, beside trees and logistic regression.

A rating is a click, a rating of 4 stars or more a purchase. The protocol is ml100k_cold of `make bench-mixed`: a fifth
of the films is cold, and a fifth of the pairs with the others is held out. Validation decides, as in training, whether
the heads are taken. All rankers recall by the same item weights, learn from the same held-out examples and read the
same features. Predictions are judged on the candidates that are recalled for a user, warm and cold ones. All of it runs
again with traits of the films that the heads read: under names that begin with `relations_` with the relations of the
Freebase graph alone, with `traits_` with columns of the catalogue, with `all_` with both.

`hillstrom` (visit, conversion, spend) tries heads and calibration without items.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from scipy.sparse import csr_array

from bench.figures import SHARED_DATA, explain, write_figures
from bench.mixed import judged, scores_of
from bench.mixed_setup import MAX_USERS, K, Setup, make_setup
from bench.protocols import require_shared_data
from bench.ranker_hillstrom import hillstrom
from bench.ranker_rivals import Rival, logistic, trees
from bench.view_files import freebase
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.dataset.trait_names import NONE, RELATIONS, TraitNames
from recsys.dataset.traits import Traits, relations_trait, set_trait
from recsys.evaluation.event_metrics import auc, calibration_error, grouped_auc, log_loss, precision_recall_f1
from recsys.features.details import LIST
from recsys.features.params import RelationsParams
from recsys.features.relations import relation_graph
from recsys.heads.learning import find_head
from recsys.ranking.event_examples import Events, Examples, examples_of, joined
from recsys.ranking.event_heads import EventHeads
from recsys.ranking.event_training import learn_event_heads
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.metrics import hits
from recsys.ranking.mlp import Mlp
from recsys.ranking.params import RankerParams
from recsys.ranking.ranker import SecondRanker
from recsys.ranking.recommender import Recommender, learn_recommender
from recsys.ranking.tasks import make_task, rank
from recsys.stages.finetune import tail_rule
from recsys.validation.learned import choose_learned_ranker, held_out_examples
from recsys.validation.tuning import tuning_sets
from recsys.validation.weighing import profiled

# Shape suffixes: U users, I items, E examples, M metrics.
GOOD = 4
"""Stars from which a rating is a purchase."""
CATALOGUE = TraitNames(("tags", "directors", "country"), ("year", "age"))
"""Genres count as tags."""
TRAITS = {
    "": NONE,
    "relations_": TraitNames((RELATIONS,)),
    "traits_": CATALOGUE,
    "all_": TraitNames((*CATALOGUE.sets, RELATIONS), CATALOGUE.numbers),
}
"""What the names of figures begin with -> the traits that the heads read."""
MAIN = ("auc_click", "gauc_click", "auc_purchase", "ece_click")
"""Figures of the event heads that also stand under their bare names."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Learned:
    """What is learned from one set of held-out examples."""

    heads: EventHeads
    clicks: dict[str, Rival]
    purchases: dict[str, Rival]
    """Of clicked examples alone: P(purchase | click)."""


def main() -> None:
    """Run it all and write the figures."""
    explain(__doc__)
    require_shared_data()
    setup = make_setup("ml100k_cold")
    setup = replace(setup, traits=film_traits(setup.task.item_ids, setup.settings.relations))
    params = setup.settings.ranker.model_copy(update={"kinds": ("mlp",)})
    figures: dict[str, float | int | str] = {}
    for prefix, names in TRAITS.items():
        console.print(f"traits: {', '.join((*names.sets, *names.numbers)) or 'none'}")
        found = on_ml100k(setup, params.model_copy(update={"sets": names.sets, "numbers": names.numbers}))
        figures |= {f"{prefix}{name}": value for name, value in found.items()}
    figures |= hillstrom(params)
    figures |= {name: figures[f"mlp_{name}"] for name in MAIN}
    write_figures(
        "ranker", {name: round(one, 4) if isinstance(one, float) else one for name, one in figures.items()}
    )


def on_ml100k(setup: Setup, params: RankerParams) -> dict[str, float | int | str]:
    """Decision, lists and predictions."""
    events = Events(purchases_UI=good_ratings(setup))
    figures: dict[str, float | int | str] = {**decision(setup, params, events)}
    learned = learn(setup, params, events)
    first = learn_recommender(setup.head, item_weights(setup), params.traits)
    figures |= lists(setup, first, learned, params)
    return figures | predictions(setup, first, learned, params, events)


def film_traits(item_ids: Sequence[str], relations: RelationsParams) -> Traits:
    """Genres, directors, countries, year and relations of the films in the order of the setup."""
    table = pq.read_table(SHARED_DATA / "ml-100k-multimodal" / "items.parquet")
    rows = {row["item_id"]: row for row in table.to_pylist()}
    films = [rows[item] for item in item_ids]
    years = [str(film["release_date"] or "")[-4:] for film in films]
    view = relation_graph(freebase(), item_ids, relations).view(item_ids)
    return Traits(
        {
            RELATIONS: relations_trait(view),
            "tags": set_trait(pa.array([film["genres"] for film in films], LIST)),
            **{
                name: set_trait(pa.array([(film[name] or "").split(", ") for film in films], LIST))
                for name in ("directors", "country")
            },
        },
        {"year": np.array([float(year) if year.isdigit() else np.nan for year in years])},
    )


def good_ratings(setup: Setup) -> csr_array:
    """1 where a user gave a film 4 stars or more."""
    table = pq.read_table(SHARED_DATA / "ml-100k-multimodal" / "interactions.parquet")
    good = table.filter(pc.greater_equal(table["rating"], GOOD))
    task = setup.task
    return make_interactions(good["user_id"], good["item_id"], task.users, task.item_ids).matrix_UI


def item_weights(setup: Setup) -> ItemWeights:
    """The first ranker of all rows."""
    settings = setup.recipe_with_weights.item_weights(setup.fusion)
    weights = settings and ItemWeights.learn(setup.head, settings)
    if not weights:
        raise RuntimeError("validation chose no item weights on ml100k_cold")
    return weights


def decision(setup: Setup, params: RankerParams, events: Events) -> dict[str, str]:
    """What validation decides, in words."""
    settings = setup.settings
    choice = choose_learned_ranker(
        setup.weighted, setup.head, setup._folds[0], setup.recipe_with_weights, setup.fusion, params,
        settings.first_light, settings.users.untrained, K, MAX_USERS, tail_rule(settings), events, console.print,
    )  # fmt: skip
    console.print(choice.reason)
    return {"decision": choice.reason}


def learn(setup: Setup, params: RankerParams, events: Events) -> Learned:
    """Event heads and rivals, learned from the same held-out examples of the training side."""
    examples = stacking_examples(setup, params, events)
    found = learn_event_heads(examples, params)
    if found is None or examples.purchased_E is None:
        raise RuntimeError("nothing was learned from ml100k_cold")
    clicked = examples.only(examples.clicked_E)
    bought_E = examples.purchased_E[examples.clicked_E]
    learners = {"trees": trees, "logistic": logistic}
    return Learned(
        found[0],
        {name: one(examples, examples.clicked_E, params.seed) for name, one in learners.items()},
        {
            name: one(replace(clicked, log_q_E=0 * clicked.log_q_E), bought_E, params.seed)
            for name, one in learners.items()
        },
    )


def stacking_examples(setup: Setup, params: RankerParams, events: Events) -> Examples:
    """The examples that `validation.learned.learn_stacked_heads` learns from."""
    held_out = tuning_sets(setup.weighted)[0]
    recipe = setup.recipe_with_weights
    head, settings = find_head(held_out.dataset, recipe, setup.fusion), recipe.item_weights(setup.fusion)
    if head is None or settings is None:
        raise RuntimeError("validation chose no head or no item weights on ml100k_cold")
    known: Dataset = profiled(held_out, head, recipe.lambda_of(head), recipe.prior_weight)
    weights = ItemWeights.learn(known, settings)
    return held_out_examples(held_out, setup.weighted, known, weights, params, MAX_USERS, events)


def lists(setup: Setup, first: Recommender, learned: Learned, params: RankerParams) -> dict[str, float]:
    """ndcg@20 of cold, warm and mixed lists, their gains over item weights, and precision, recall, F1 of mixed ones."""
    seconds: dict[str, SecondRanker | None] = {"item_weights": None}
    seconds["mlp"] = Mlp(
        item_weights(setup), learned.heads, params.depth, params.purchase_weight, params.traits
    )
    seconds |= {
        name: replace(one, depth=params.depth, traits=params.traits) for name, one in learned.clicks.items()
    }
    figures: dict[str, float] = {}
    before: dict[str, NDArray[np.float64]] = {}
    for name, second in seconds.items():
        scorer = replace(first, second=second)
        by_user = judged(setup, scores_of(setup, scorer), name)
        before = before or by_user
        for metric in ("cold/ndcg@20", "warm/ndcg@20", "mixed/ndcg@20", "mixed/recall@100"):
            gain_U = by_user[metric] - before[metric]
            error = 2 * float(gain_U.std(ddof=1)) / len(gain_U) ** 0.5
            figures[f"{name}_{metric}"] = float(by_user[metric].mean())
            figures[f"{name}_{metric}_gain"], figures[f"{name}_{metric}_gain_2se"] = (
                float(gain_U.mean()),
                error,
            )
            console.print(
                f"{name} {metric} {by_user[metric].mean():.4f} ({gain_U.mean():+.4f} ± {error:.4f})"
            )
        figures |= {f"{name}_mixed_{metric}@20": one for metric, one in shares(setup, scorer).items()}
    return figures


def shares(setup: Setup, scorer: Recommender) -> dict[str, float]:
    """Precision, recall and F1 of mixed lists of 20."""
    task = make_task(
        "mixed",
        np.union1d(setup.task.cold, setup.warm),
        setup.task.interactions,
        setup.relevant_UI,
        MAX_USERS,
        0,
    )
    ranked_UK = rank(scorer, task.users, task.candidates, K, task.excluded_UE).rows_UK
    found = precision_recall_f1(hits(ranked_UK, task.relevant_UR), (task.relevant_UR >= 0).sum(axis=1))
    return dict(zip(("precision", "recall", "f1"), found, strict=True))


def predictions(
    setup: Setup, first: Recommender, learned: Learned, params: RankerParams, events: Events
) -> dict[str, float]:
    """AUC, GAUC, log loss and calibration of clicks, and of purchases over all pairs, on held-out pairs."""
    test = test_examples(setup, first, params, events)
    found = learned.heads.predict_from(
        test.features_EF, test.tastes_UD[test.user_E], test.vectors_ID[test.item_E]
    )
    if found.purchase_C is None:
        raise RuntimeError("the heads know no purchases")
    both: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {
        "mlp": (found.click_C, found.purchase_C)
    }
    for name, rival in learned.clicks.items():
        both[name] = (
            rival.probabilities(test.features_EF),
            learned.purchases[name].probabilities(test.features_EF),
        )
    figures: dict[str, float] = {"n_pairs": len(test.item_E), "n_clicks": int(test.clicked_E.sum())}
    for name, (click_E, purchase_E) in both.items():
        figures |= judged_events(f"{name}", test, click_E, click_E * purchase_E)
    for name, value in figures.items():
        console.print(f"{name}: {value:.4f}")
    return figures


def judged_events(
    name: str, test: Examples, click_E: NDArray[np.float64], bought_E: NDArray[np.float64]
) -> dict[str, float]:
    """Metrics of both events over all pairs."""
    if test.purchased_E is None:
        raise RuntimeError("purchases are known on ml100k")
    whose_E = test.row_U[test.user_E]
    figures: dict[str, float] = {}
    for event, probability_E, truth_E in (
        ("click", click_E, test.clicked_E),
        ("purchase", bought_E, test.purchased_E),
    ):
        figures |= {
            f"{name}_auc_{event}": auc(probability_E, truth_E),
            f"{name}_gauc_{event}": grouped_auc(probability_E, truth_E, whose_E),
            f"{name}_log_loss_{event}": log_loss(probability_E, truth_E),
            f"{name}_ece_{event}": calibration_error(probability_E, truth_E),
        }
    return figures


def test_examples(setup: Setup, first: Recommender, params: RankerParams, events: Events) -> Examples:
    """All candidates that are recalled for a user, warm and cold; held-out pairs are the clicks."""
    known = setup.task.interactions
    tasks = [
        make_task(name, rows, known, setup.relevant_UI, MAX_USERS, 0)
        for name, rows in (("warm", setup.warm), ("cold", setup.task.cold))
    ]
    return joined([examples_of(first, one, params.depth, 0, 0, events) for one in tasks])


if __name__ == "__main__":
    main()
