"""What perturbed texts cost cold items, and what stuffing gains: the frozen encoder and the shipped head, on ml100k.

The protocol is ml100k_cold of `make bench-mixed`, texts and head chosen as there. Users, warm films and all that is
learned stay; cold films get typing errors, half of their text, or (a tenth of them) popular words in front, as stage
`evaluate` perturbs them. Lists are of profiles alone, without item weights.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console

from bench.figures import ROOT, explain, write_figures
from bench.mixed_setup import Setup, make_setup
from bench.protocols import require_shared_data
from bench.rivals.encoded import frozen_vectors
from recsys.dataset.interactions import Interactions
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.report import CHALLENGER, CHAMPION, Robustness
from recsys.evaluation.robustness import judge_robustness
from recsys.features.views import Views
from recsys.ranking.dot import Dot
from recsys.ranking.recommender import learn_recommender

NAMED = {CHAMPION: "encoder", CHALLENGER: "head"}
METRIC = "ndcg@20"
console = Console(stderr=True)


def main() -> None:
    """Judge both, and write the figures."""
    explain(__doc__)
    require_shared_data()
    setup = make_setup("ml100k_cold")
    figures: dict[str, float | int | str] = {}
    for one in judged(setup):
        figures |= figures_of(one)
    for name, value in figures.items():
        console.print(f"{name}: {value}")
    write_figures("robustness", figures)


def judged(setup: Setup) -> tuple[Robustness, ...]:
    """Lists of both models for every kind of perturbed text."""
    head = setup.learned
    if head is None:
        raise RuntimeError("validation chose no head on ml100k_cold")
    models = {
        CHAMPION: learn_recommender(setup.bare, Dot()),
        CHALLENGER: learn_recommender(setup.head, Dot()),
    }

    def encode(role: str, texts: Sequence[str], views: Views) -> NDArray[np.float32]:
        vectors_ND = frozen_vectors(ROOT, tuple(texts))
        return vectors_ND if role == CHAMPION else head.profiles(texts, vectors_ND, views)

    chosen = setup.settings.evaluate
    params = chosen.model_copy(update={"robustness_items": len(setup.task.cold)})
    return judge_robustness(holdout_of(setup), models, encode, params)


def holdout_of(setup: Setup) -> Holdout:
    """The protocol as stage `evaluate` would have it."""
    task, n_items = setup.task, len(setup.task.item_ids)
    is_cold_I = np.zeros(n_items, bool)
    is_cold_I[task.cold] = True
    return Holdout(
        known=setup.head,
        ranker=Dot(),
        train=pa.table({}),  # which only leak checks read
        test=Interactions(task.item_ids, task.users, setup.relevant_UI),
        slice_of_item=np.where(is_cold_I, "cold", "warm"),
        is_judged=np.ones(n_items, bool),
        cut=None,
        updated_at=np.full(n_items, "NaT", "datetime64[us]"),
        oldest_text=np.full(n_items, "NaT", "datetime64[us]"),
    )


def figures_of(one: Robustness) -> Mapping[str, float | str]:
    """One kind of perturbed text, by model."""
    found: dict[str, float | str] = {}
    for role, scores in one.models.items():
        name = f"{one.kind}_{NAMED[role]}"
        found |= {
            f"{name}_own_{METRIC}": scores.clean[METRIC],
            f"{name}_{METRIC}": scores.perturbed[METRIC],
            f"{name}_change": str(scores.change[METRIC]),
        }
        if scores.places_won is not None and scores.places_before is not None:
            found |= {
                f"{name}_places_before": scores.places_before,
                f"{name}_places_won": str(scores.places_won),
            }
    return found


if __name__ == "__main__":
    main()
