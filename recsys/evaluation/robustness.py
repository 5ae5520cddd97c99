"""How robust lists of cold items are to perturbed texts: what champion and challenger lose, and what stuffing gains.

Only the texts of cold items change, as if they had arrived that way. Their other views, the profiles of users and all
that is learned stay the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.evaluation.holdout import Holdout
from recsys.evaluation.list_metrics import FOUND
from recsys.evaluation.params import EvaluateParams
from recsys.evaluation.perturbing import PERTURBATIONS, perturbed, popular_words
from recsys.evaluation.report import CHALLENGER, CHAMPION, Perturbed, Robustness
from recsys.features.views import Views, take
from recsys.ranking.intervals import DIGITS, Interval, bootstrap, rounded
from recsys.ranking.recommender import Recommender
from recsys.ranking.tasks import RankingTask, make_task, rank
from recsys.storage.arrays import with_rows
from recsys.storage.strings import Strings

# Shape suffixes: U users, C candidates, K list length, M metrics, D width of a profile.
Encode = Callable[[str, Sequence[str], Views], NDArray[np.float32]]
"""Role, texts and views of the same items -> profiles by the model of that role."""


@dataclass(frozen=True)
class _Lists:
    """What one model lists."""

    found_UM: NDArray[np.float64]
    """Metrics in the order of FOUND."""
    changed_U: NDArray[np.float64]
    """Places of each list that items with a perturbed text have."""


def judge_robustness(
    holdout: Holdout,
    models: Mapping[str, Recommender],
    encode: Encode,
    params: EvaluateParams,
) -> tuple[Robustness, ...]:
    """Rank cold items by their own texts and by perturbed ones, for the same users.

    Args:
        holdout: the holdout. At most `robustness_items` of its cold items are ranked.
        models: champion, and challenger where there is one.
        encode: makes profiles of perturbed texts.
        params: section `evaluate`.

    Returns:
        One result for each of `evaluate.robustness`; none where no test user interacted with such an item.
    """
    rows_C = holdout.candidates("cold")[: params.robustness_items]  # in the order of a salted hash: a sample
    task = make_task(
        "cold", rows_C, holdout.known.interactions, holdout.test.matrix_UI, params.max_users, params.seed
    )
    if not params.robustness or not len(task.users):
        return ()
    known, warm = holdout.known, holdout.known.interactions.warm
    stuffing = popular_words(Strings(known.texts).take(warm), known.interactions.n_users_I[warm].tolist())
    found = []
    for kind in params.robustness:
        step = round(1 / PERTURBATIONS[kind].share)
        changed = rows_C[::step]
        texts = perturbed(
            kind,
            [holdout.item_ids[row] for row in changed],
            [known.texts[row] for row in changed],
            stuffing,
            params.seed,
        )
        views = take(known.views, changed)
        lists = {
            role: tuple(
                _lists(one, task, changed, params.k)
                for one in (model, _with(model, changed, encode(role, texts, views)))
            )
            for role, model in models.items()
        }
        found.append(_result(kind, task, changed, lists, params))
    return tuple(found)


def _with(model: Recommender, rows: NDArray[np.int64], profiles_ND: NDArray[np.float32]) -> Recommender:
    """The model with other profiles of some cold items. Users and everything learned stay the same."""
    vectors_ID = with_rows(model.users.vectors_ID, rows, profiles_ND)
    return replace(model, users=replace(model.users, vectors_ID=vectors_ID))


def _lists(model: Recommender, task: RankingTask, changed: NDArray[np.int64], k: int) -> _Lists:
    ranked_UK = rank(model, task.users, task.candidates, k, task.excluded_UE).rows_UK
    columns = [metric(ranked_UK, task.relevant_UR, k) for metric in FOUND.values()]
    return _Lists(np.stack(columns, axis=1), np.isin(ranked_UK, changed).sum(axis=1).astype(np.float64))


def _result(
    kind: str,
    task: RankingTask,
    changed: NDArray[np.int64],
    lists: Mapping[str, tuple[_Lists, ...]],
    params: EvaluateParams,
) -> Robustness:
    names = [f"{name}@{params.k}" for name in FOUND]
    is_some = len(changed) < len(task.candidates)

    def intervals(differences_UM: NDArray[np.float64]) -> dict[str, Interval]:
        found = bootstrap(differences_UM, params.bootstrap_rounds, params.seed)
        return dict(zip(names, map(rounded, found), strict=False))

    def gain(role: str) -> NDArray[np.float64]:
        clean, after = lists[role]
        return (after.changed_U - clean.changed_U)[:, None]

    def only(difference_U1: NDArray[np.float64]) -> Interval:
        return rounded(bootstrap(difference_U1, params.bootstrap_rounds, params.seed)[0])

    models = {}
    for role, (clean, after) in lists.items():
        models[role] = Perturbed(
            clean=_means(names, clean.found_UM),
            perturbed=_means(names, after.found_UM),
            change=intervals(after.found_UM - clean.found_UM),
            places_before=round(float(clean.changed_U.mean()), DIGITS) if is_some else None,
            places_won=only(gain(role)) if is_some else None,
        )
    is_pair = CHALLENGER in lists
    return Robustness(
        kind=kind,
        n_users=len(task.users),
        n_candidates=len(task.candidates),
        n_perturbed=len(changed),
        models=models,
        over_champion=intervals(lists[CHALLENGER][1].found_UM - lists[CHAMPION][1].found_UM)
        if is_pair
        else {},
        places_over_champion=only(gain(CHALLENGER) - gain(CHAMPION)) if is_pair and is_some else None,
    )


def _means(names: Sequence[str], found_UM: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(mean), DIGITS) for name, mean in zip(names, found_UM.mean(axis=0), strict=True)}
