"""Judge the champion against the floors on one holdout: full ranking over all candidates of every slice."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recsys.evaluation import coverage, ranking
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.intervals import Interval, bootstrap
from recsys.evaluation.params import EvaluateParams
from recsys.evaluation.report import CHAMPION, ModelScores, SliceReport
from recsys.evaluation.slices import Slice, slice_of
from recsys.retrieval.recaller import Recaller, recall
from recsys.retrieval.recallers import RECALLERS

# Shape suffixes: U users, K list length, M metrics.
CHAMPION_RECALLER = "ridge"
FLOORS = {
    "cold": ("random", "same_category", "tfidf_centroid", "encoder_centroid"),
    "warm": ("random", "popular", "tfidf_centroid", "encoder_centroid"),
}
"""What the champion must beat on each slice; popularity knows no cold item, so there it is that of the category."""
PER_USER = {
    "recall": ranking.recall_at_k,
    "ndcg": ranking.ndcg_at_k,
    "hit_rate": ranking.hit_rate_at_k,
    "mrr": ranking.mrr_at_k,
}
CUTOFFS = (1, 2, 5, 10, 20, 50, 100)
"""Of the curve recall by k."""
DIGITS = 6
"""Reports are rounded, so that sums in another order give the same bytes."""


def learn_models(holdout: Holdout) -> dict[str, Recaller]:
    """The champion and every floor, learned from what was known before the cut."""
    names = dict.fromkeys(name for floors in FLOORS.values() for name in floors)
    return {CHAMPION: RECALLERS[CHAMPION_RECALLER](holdout.known)} | {
        name: RECALLERS[name](holdout.known) for name in names
    }


def judge_slice(
    holdout: Holdout,
    models: Mapping[str, Recaller],
    name: str,
    params: EvaluateParams,
    on_progress: Callable[[str], None] = lambda words: None,
) -> SliceReport:
    """Score all models of one slice on the same users and candidates.

    Args:
        holdout: what judging works on.
        models: name -> learned recaller, with `champion` among them.
        name: cold or warm.
        params: section `evaluate`.
        on_progress: told `slice/model` before each model.

    Returns:
        Means, curves, and paired intervals of champion minus floor.
    """
    part = slice_of(holdout, name, params.max_users, params.seed)
    scores: dict[str, ModelScores] = {}
    per_user: dict[str, NDArray[np.float64]] = {}
    for model in (CHAMPION, *FLOORS[name]) if len(part.users) else ():
        on_progress(f"{name}/{model}")
        ranked_UK = _ranked(models[model], part, params.k)
        per_user[model] = np.stack(
            [metric(ranked_UK, part.relevant_UR, params.k) for metric in PER_USER.values()], 1
        )
        scores[model] = _model_scores(ranked_UK, per_user[model], part, params.k)
    return SliceReport(
        name=name,
        n_users=len(part.users),
        n_candidates=len(part.candidates),
        n_positives=int((part.relevant_UR != ranking.PAD).sum()),
        models=scores,
        margins={
            floor: _margins(per_user[CHAMPION] - per_user[floor], params)
            for floor in per_user
            if floor != CHAMPION
        },
    )


def _ranked(model: Recaller, part: Slice, k: int) -> NDArray[np.int64]:
    """Lists long enough for every cutoff."""
    depth = max(k, min(CUTOFFS[-1], len(part.candidates)))
    return recall(model, part.users, part.candidates, depth, part.exclude_UE).rows_UK


def _model_scores(
    ranked_UK: NDArray[np.int64], per_user_UM: NDArray[np.float64], part: Slice, k: int
) -> ModelScores:
    exposure_C = coverage.exposure_at_k(ranked_UK, part.candidates, k)
    item_recall = coverage.item_recall_at_k(ranked_UK, part.relevant_UR, k)
    metrics = dict(zip(PER_USER, per_user_UM.mean(axis=0).tolist(), strict=True)) | {
        "coverage": coverage.coverage(exposure_C),
        "gini": coverage.gini(exposure_C),
        "worst_decile_recall": coverage.worst_decile(item_recall),
    }
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= ranked_UK.shape[1]]
    return ModelScores(
        metrics={
            f"{name}@{k}": None if np.isnan(value) else round(value, DIGITS)
            for name, value in metrics.items()
        },
        recall_by_k={
            cutoff: round(float(ranking.recall_at_k(ranked_UK, part.relevant_UR, cutoff).mean()), DIGITS)
            for cutoff in cutoffs
        },
    )


def _margins(difference_UM: NDArray[np.float64], params: EvaluateParams) -> dict[str, Interval]:
    intervals = bootstrap(difference_UM, params.bootstrap_rounds, params.seed)
    return {
        f"{name}@{params.k}": Interval(
            mean=round(one.mean, DIGITS), low=round(one.low, DIGITS), high=round(one.high, DIGITS)
        )
        for name, one in zip(PER_USER, intervals, strict=True)
    }
