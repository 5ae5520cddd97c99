"""Judge champion, challenger and floors on one holdout, by ranking all candidates of every slice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.baselines.baselines import BASELINES
from recsys.dataset.histories import PAD
from recsys.evaluation import coverage
from recsys.evaluation.comparison import compare
from recsys.evaluation.exposure import lists_of, paired_exposure
from recsys.evaluation.groups import parts_by_user
from recsys.evaluation.holdout import MIXED, Holdout
from recsys.evaluation.list_metrics import REGRET, ListJudge, mean_regret
from recsys.evaluation.params import EvaluateParams
from recsys.evaluation.report import (
    CHALLENGER,
    CHAMPION,
    Comparison,
    ModelScores,
    SeedScores,
    SliceReport,
)
from recsys.evaluation.slices import SLICES, slice_of
from recsys.ranking import metrics
from recsys.ranking.head_and_tail import head_and_tail
from recsys.ranking.intervals import (
    DIGITS,
    Interval,
    bootstrap,
    bootstrap_over_seeds,
    bootstrap_ratios,
    rounded,
)
from recsys.ranking.plain_blend import plain_blend
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import RankingTask, Scorer, rank

# Shape suffixes: U users, K list length, S seeds, M metrics.
FLOORS = {
    "cold": ("random", "same_category", "tfidf_centroid", "encoder_centroid", "plain_blend"),
    "warm": ("random", "popular", "tfidf_centroid", "encoder_centroid", "plain_blend"),
    "mixed": ("random", "popular", "tfidf_centroid", "encoder_centroid", "plain_blend"),
}
"""Floors of each slice. Cold items have no popularity, so the popularity of their category is used. The floors
`encoder_centroid` and `plain_blend` use the champion's profiles, so a challenger is not compared with itself."""
ALL_FLOORS = tuple(dict.fromkeys(name for floors in FLOORS.values() for name in floors))
BLEND = "plain_blend"
COMPARED = "ndcg"
"""The metric by which example users are chosen."""
CUTOFFS = (1, 2, 5, 10, 20, 50, 100)
"""Values of k of the recall curve."""
NO_GROUPS: Mapping[str, str] = {}


@dataclass(frozen=True)
class _Answers:
    """The lists of all models on one slice, and their metrics."""

    part: RankingTask
    metrics: ListJudge
    lists: Mapping[str, NDArray[np.int64]]
    """Model -> ranked_UK."""
    per_user: Mapping[str, NDArray[np.float64]]
    """Model -> metrics_UM; the metrics are those of `metrics.names`."""
    siblings: tuple[NDArray[np.float64], ...]
    """metrics_UM of the challenger's siblings."""


def learn_models(
    holdout: Holdout, challenged: Holdout | None = None, rivals: Sequence[str] = ()
) -> dict[str, Scorer]:
    """Learn champion, challenger, floors and rivals from the data before the cut.

    Args:
        holdout: with the champion's profiles.
        challenged: the same holdout with the challenger's profiles; None without a challenger.
        rivals: names of baselines, learned over the champion's profiles.

    Returns:
        Name -> learned scorer.
    """
    judged = {CHAMPION: learn_recommender(holdout.known, holdout.ranker)}
    if challenged is not None:
        judged[CHALLENGER] = learn_recommender(challenged.known, challenged.ranker)
    others = {name: BASELINES[name](holdout.known) for name in (*ALL_FLOORS, *rivals) if name != BLEND}
    # It has the words of another floor, which take longer to learn than all else.
    return judged | others | {BLEND: plain_blend(holdout.known, others["tfidf_centroid"])}


def judge(
    holdout: Holdout,
    models: Mapping[str, Scorer],
    params: EvaluateParams,
    on_progress: Callable[[str], None] = lambda words: None,
    siblings: Iterable[Scorer] = (),
    group_of: Mapping[str, str] = NO_GROUPS,
) -> tuple[tuple[SliceReport, ...], tuple[SliceReport, ...], Comparison | None]:
    """Judge all models on every slice, with the same users and candidates.

    Args:
        holdout: the holdout.
        models: name -> learned scorer; `champion` is one of them, `challenger` may be.
        params: section `evaluate`.
        on_progress: called with `slice/model` before each model.
        siblings: the challenger trained with other seeds. They are consumed one at a time to save memory.
        group_of: pseudonym -> group of users whose mixed lists are judged apart.

    Returns:
        The slices cold, warm, head, tail and mixed with means, curves and paired intervals; mixed lists of groups of
        users; and examples of the difference, with a challenger and relevant cold items.
    """
    reports: list[SliceReport] = []
    groups: list[SliceReport] = []
    comparison = None
    wholes = {name: slice_of(holdout, name, params.max_users, params.seed) for name in SLICES}
    again = [
        {name: _list(sibling, whole, params.k) for name, whole in wholes.items() if len(whole.users)}
        for sibling in siblings
    ]
    for name, whole in wholes.items():
        lists = _lists(whole, models, params.k, on_progress)
        known = holdout.known.interactions
        parts = (whole, *head_and_tail(known, whole, params.head_share)) if name == "warm" else (whole,)
        for part in parts:
            judged = ListJudge.of(holdout, part, params.k, params.low_grade)
            answers = _answers(judged, whole, lists, [one[name] for one in again if name in one])
            reports.append(_report(answers, params))
            if part.name == "cold" and CHALLENGER in lists:
                comparison = _comparison(holdout, answers, params.k)
        if name == MIXED:
            for part in parts_by_user(holdout, whole, group_of, params):
                judged = ListJudge.of(holdout, part, params.k, params.low_grade)
                groups.append(_report(_answers(judged, whole, lists, ()), params))
    return tuple(reports), tuple(groups), comparison


def _lists(
    whole: RankingTask, models: Mapping[str, Scorer], k: int, on_progress: Callable[[str], None]
) -> dict[str, NDArray[np.int64]]:
    """The lists of every model; none without users."""
    lists = {}
    answers = (CHAMPION, CHALLENGER, *FLOORS[whole.name], *_rivals(models))
    for model in answers if len(whole.users) else ():
        if model in models:
            on_progress(f"{whole.name}/{model}")
            lists[model] = _list(models[model], whole, k)
    return lists


def _list(model: Scorer, whole: RankingTask, k: int) -> NDArray[np.int64]:
    """ranked_UK with enough places for every cutoff."""
    depth = max(k, min(CUTOFFS[-1], len(whole.candidates)))
    return rank(model, whole.users, whole.candidates, depth, whole.excluded_UE).rows_UK


def _answers(
    judged: ListJudge,
    whole: RankingTask,
    lists: Mapping[str, NDArray[np.int64]],
    again: Sequence[NDArray[np.int64]],
) -> _Answers:
    rows = np.searchsorted(whole.users, judged.part.users)
    own = {model: ranked_UK[rows] for model, ranked_UK in lists.items()} if len(rows) else {}
    per_user = {model: judged.per_user(ranked_UK) for model, ranked_UK in own.items()}
    siblings = tuple(judged.per_user(ranked_UK[rows]) for ranked_UK in again) if len(rows) else ()
    return _Answers(judged.part, judged, own, per_user, siblings)


def _report(answers: _Answers, params: EvaluateParams) -> SliceReport:
    part, per_user = answers.part, answers.per_user
    rivals = _rivals(per_user)
    floors = [model for model in per_user if model not in (CHAMPION, CHALLENGER, *rivals)]
    judged = CHALLENGER if CHALLENGER in per_user else CHAMPION
    challenger_margins = {}
    if CHALLENGER in per_user:
        challenger_margins = {
            rival: _margins(answers, CHALLENGER, rival, params) for rival in (CHAMPION, *floors)
        }
        if part.name == "cold":
            challenger_margins[CHAMPION] |= _exposure(answers, params)
    seeds, over_seeds = _seeds(answers, params)
    return SliceReport(
        name=part.name,
        n_users=len(part.users),
        n_candidates=len(part.candidates),
        n_positives=int((part.relevant_UR != PAD).sum()),
        models={
            model: _model_scores(answers.lists[model], per_user[model], answers.metrics) for model in per_user
        },
        margins={floor: _margins(answers, CHAMPION, floor, params) for floor in floors},
        challenger_margins=challenger_margins,
        rival_margins={rival: _margins(answers, judged, rival, params) for rival in rivals},
        seeds=seeds,
        over_seeds=over_seeds,
    )


def _seeds(answers: _Answers, params: EvaluateParams) -> tuple[tuple[SeedScores, ...], dict[str, Interval]]:
    """Challenger and siblings minus champion, each training alone and all together; empty without siblings."""
    if not answers.siblings:
        return (), {}
    per_seed = (answers.per_user[CHALLENGER], *answers.siblings)
    over_USM = np.stack([one_UM - answers.per_user[CHAMPION] for one_UM in per_seed], axis=1)
    names = [f"{name}@{params.k}" for name in answers.metrics.names]
    scores = tuple(
        SeedScores(
            metrics={
                name: round(float(v), DIGITS) for name, v in zip(names, one_UM.mean(axis=0), strict=True)
            },
            over_champion=_intervals(over_USM[:, place], answers.metrics.names, params),
        )
        for place, one_UM in enumerate(per_seed)
    )
    over_seeds = bootstrap_over_seeds(over_USM, params.bootstrap_rounds, params.seed)
    return scores, dict(zip(names, map(rounded, over_seeds), strict=True))


def _rivals(models: Mapping[str, object]) -> list[str]:
    """Names of models that are neither champion, challenger nor floors."""
    return [model for model in models if model not in (CHAMPION, CHALLENGER, *ALL_FLOORS)]


def _model_scores(
    ranked_UK: NDArray[np.int64], per_user_UM: NDArray[np.float64], judged: ListJudge
) -> ModelScores:
    part, k = judged.part, judged.k
    exposure_C = coverage.exposure_at_k(ranked_UK, part.candidates, k)
    item_recall = coverage.item_recall_at_k(ranked_UK, part.relevant_UR, k)
    figures = dict(zip(judged.names, per_user_UM.mean(axis=0).tolist(), strict=True)) | {
        **mean_regret(judged.regret(ranked_UK)),
        "coverage": coverage.coverage(exposure_C),
        "gini": coverage.gini(exposure_C),
        "worst_decile_recall": coverage.worst_decile(item_recall),
    }
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= ranked_UK.shape[1]]
    return ModelScores(
        metrics={
            f"{name}@{k}": None if np.isnan(value) else round(value, DIGITS)
            for name, value in figures.items()
        },
        recall_by_k={
            cutoff: round(float(metrics.recall_at_k(ranked_UK, part.relevant_UR, cutoff).mean()), DIGITS)
            for cutoff in cutoffs
        },
    )


def _margins(answers: _Answers, ours: str, theirs: str, params: EvaluateParams) -> dict[str, Interval]:
    """One model minus another."""
    difference_UM = answers.per_user[ours] - answers.per_user[theirs]
    found = _intervals(difference_UM, answers.metrics.names, params)
    counts = [answers.metrics.regret(answers.lists[model]) for model in (ours, theirs)]
    if counts[0] is not None and counts[1] is not None:
        regret = bootstrap_ratios(counts[0], counts[1], params.bootstrap_rounds, params.seed)
        found |= {f"{REGRET}@{params.k}": rounded(regret)} if regret else {}
    return found


def _intervals(
    difference_UM: NDArray[np.float64], names: Sequence[str], params: EvaluateParams
) -> dict[str, Interval]:
    intervals = bootstrap(difference_UM, params.bootstrap_rounds, params.seed)
    return {f"{name}@{params.k}": rounded(one) for name, one in zip(names, intervals, strict=True)}


def _exposure(answers: _Answers, params: EvaluateParams) -> dict[str, Interval]:
    """Coverage, Gini and worst decile, challenger minus champion."""
    part = answers.part
    ours, theirs = (
        lists_of(answers.lists[model], part.relevant_UR, len(part.candidates), params.k)
        for model in (CHALLENGER, CHAMPION)
    )
    found = paired_exposure(ours, theirs, params.bootstrap_rounds, params.seed)
    return {f"{name}@{params.k}": rounded(one) for name, one in found.items()}


def _comparison(holdout: Holdout, answers: _Answers, k: int) -> Comparison:
    place = answers.metrics.names.index(COMPARED)
    change_U = (answers.per_user[CHALLENGER] - answers.per_user[CHAMPION])[:, place]
    return compare(holdout, answers.part, answers.lists[CHAMPION], answers.lists[CHALLENGER], change_U, k)
