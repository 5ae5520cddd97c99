"""Choose a head on held-out items: one that is clearly better than floors that learn nothing from users."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.encoders.params import FirstLightParams
from recsys.heads.learning import (
    ALONE,
    Recipe,
    Survey,
    coordinates,
    first_light_of,
    learn,
    profiles,
    survey,
    words_of,
)
from recsys.heads.params import FusionParams
from recsys.heads.words import words_projection, words_ratio
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import plain_blend
from recsys.ranking.tasks import rank_each
from recsys.validation.bounds import lower_bound
from recsys.validation.sets import COLD, LONG, ValidationSet, hold_out_items, metrics_per_user

# Shape suffixes: U users of a fold, B users of a block, W warm items, H held-out items, D dimensions of meaning.
BLEND = "plain blend"
FIRST_LIGHT = "first light"
MOST_LISTED = 0.2
"""Recall of long lists counts only where they hold at most this share of the candidates."""


@dataclass(frozen=True)
class Choice:
    """One recipe to try."""

    lexical_share: float | None
    """None: no head, or that of first light, which sets its own by the length of the texts."""
    metric_power: float | None
    """None: no head, or one whose directions come from texts."""
    words_weight: float
    ridge_lambda: float
    is_first_light: bool = False

    @property
    def has_head(self) -> bool:
        """Whether profiles are more than the encoder's own vectors."""
        return self.lexical_share is not None or self.is_first_light

    @property
    def name(self) -> str:
        """The choice in words, for reports."""
        return f"{self._profiles}, λ {self.ridge_lambda:g}"

    @property
    def _profiles(self) -> str:
        if self.is_first_light:
            return FIRST_LIGHT
        if self.lexical_share is None:
            return BLEND if self.words_weight else ALONE
        apart = f", words apart {self.words_weight:g}" if self.words_weight else ""
        power = "untaught" if self.metric_power is None else f"power {self.metric_power:g}"
        return f"words {self.lexical_share:g}, {power}{apart}"


Figures = list[NDArray[np.float64]]
"""For each fold, ndcg@k and recall@(LONG k) of its users, [U, 2]."""
Scored = Callable[[NDArray[np.int64]], Iterator[tuple[Choice, NDArray[np.floating]]]]
"""Turns user rows into choices with their scores_BH; the choices are the same for every block."""


def choose_recipe(
    dataset: Dataset,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    max_users: int,
    report: Callable[[str], None] = lambda _: None,
    alone_lambdas: Sequence[float] | None = None,
    first_light: FirstLightParams | None = None,
) -> Recipe:
    """Try each recipe on held-out items, and take the best head that is clearly better than the floors.

    A head learns tastes of the past. So it is compared with three floors that learn nothing from users: the encoder's
    vectors alone, the head of first light, and the plain blend of the vectors with a TF-IDF centroid
    (`recsys/ranking/plain_blend.py`). A head is clearly better than a floor if the mean over folds of the paired
    difference in ndcg@k, minus `standard_errors` of it, is above 0.

    A head must be clearly better than the vectors alone. Where first light is so too, a head must also have a higher
    mean of ndcg@k + recall@5k, and first light is taken where none has; elsewhere the vectors are. If any such head is
    clearly better than the plain blend, only those that are remain. Of these the best has the largest such bound for
    ndcg@k + recall@5k over the better of the other two: users are shown short lists, and a later ranker may choose
    from long ones (their recall counts where they hold at most `MOST_LISTED` of the candidates). Uncentred heads
    learned from texts alone are tried too.

    Args:
        dataset: the whole training side. Nothing is learned from interactions with held-out items.
        folds: rows of the held-out items of each fold.
        params: section `fusion`.
        lambdas: values of λ of ridge users, tried for heads.
        k: cutoff.
        max_users: the most users of a fold; a sample where there are more.
        report: called with a sentence at each step.
        alone_lambdas: values of λ tried for the vectors alone; None: the same.
        first_light: section `first_light`; None: it is not tried.

    Returns:
        The choices, without item weights. Of equal ones the first tried wins: smaller shares, powers, weights and λ.
    """
    made = (hold_out_items(dataset, held, params.seed, max_users) for held in folds)
    sets = [one for one in made if one]
    alone = tuple(lambdas if alone_lambdas is None else alone_lambdas)
    if not sets:
        return Recipe(None, 0.0, alone[len(alone) // 2], None, {})
    tried: dict[Choice, Figures] = {}
    for number, validation in enumerate(sets, 1):
        if len(sets) > 1:
            report(f"validation: fold {number} of {len(sets)}")
        counted = np.array([1, LONG * k <= MOST_LISTED * len(validation.held)])
        for choice, figures_U2 in _try_all(validation, params, lambdas, alone, k, report, first_light):
            tried.setdefault(choice, []).append(figures_U2 * counted)
    # A fold cannot try heads if its landmarks have no word; what is missing in one fold cannot be compared.
    tried = {choice: figures for choice, figures in tried.items() if len(figures) == len(sets)}
    best = _surest(tried, params.standard_errors)
    ndcg = {one: round(_ndcg(figures), 6) for one, figures in tried.items()}
    return Recipe(
        best.lexical_share,
        best.metric_power if best.has_head else 0.0,
        best.ridge_lambda,
        ndcg[best],
        {one.name: value for one, value in ndcg.items()},
        words_weight=best.words_weight,
        first_light=first_light if best.is_first_light else None,
    )


def _surest(tried: Mapping[Choice, Figures], n_errors: float) -> Choice:
    """The best choice, see `choose_recipe`; of equal ones the first."""

    def gain(one: Choice, other: Choice, with_recall: bool, n_errors: float = n_errors) -> float:
        differences = [a_U2 - b_U2 for a_U2, b_U2 in zip(tried[one], tried[other], strict=True)]
        summed = [d_U2.sum(axis=1) if with_recall else d_U2[:, 0] for d_U2 in differences]
        return lower_bound(summed, n_errors)

    def best(some: Sequence[Choice]) -> Choice:
        return max(some, key=lambda one: _ndcg(tried[one]))

    alone, blend = (
        best([one for one in tried if not one.has_head and one.words_weight == weight])
        for weight in (0.0, 1.0)
    )
    light = best([one for one in tried if one.is_first_light] or [alone])
    kept = light if gain(light, alone, False) > 0 else alone
    trained = [one for one in tried if one.lexical_share is not None]
    able = [
        one
        for one in trained
        if gain(one, alone, False) > 0 and (kept == alone or gain(one, kept, True, 0.0) > 0)
    ]
    sure = [one for one in able if gain(one, blend, False) > 0]
    highest = best([alone, blend])
    return max(sure or able, key=lambda one: gain(one, highest, True), default=kept)


def _ndcg(figures: Figures) -> float:
    """Mean over folds of the means over users."""
    return float(np.mean([figures_U2[:, 0].mean() for figures_U2 in figures]))


def _try_all(
    validation: ValidationSet,
    params: FusionParams,
    lambdas: Sequence[float],
    alone_lambdas: Sequence[float],
    k: int,
    report: Callable[[str], None],
    first_light: FirstLightParams | None = None,
) -> Iterator[tuple[Choice, NDArray[np.float64]]]:
    """Try every choice; yield it with its users' metrics on the held-out items."""
    for one in alone_lambdas:
        yield from _measure(validation, k, _floors(validation, one, params.seed))
    surveyed = survey(validation.dataset, params) if params.width else None
    if surveyed is None:
        return
    if first_light is not None:
        report("validation: learning the head of first light")
        yield from _first_light(validation, first_light, lambdas, params.seed, k)
    words = None
    if params.apart_width:
        words_MW = words_projection(surveyed.words_MV, params.apart_width - 1, params.seed)
        sides = (validation.dataset.warm, validation.held)
        words = tuple(words_of(validation.dataset, surveyed, words_MW, rows) for rows in sides)
        report("validation: learning heads from texts alone")
        yield from _heads(validation, surveyed, words, params, 0.0, (None,), lambdas, k)
    for share in params.lexical_shares:
        report(f"validation: learning a head with {share:.0%} words")
        yield from _heads(validation, surveyed, words, params, share, params.metric_powers, lambdas, k)


def _floors(validation: ValidationSet, ridge_lambda: float, seed: int) -> Scored:
    """The two floors: the vectors alone, and their plain blend."""
    dataset = replace(validation.dataset, ridge_lambda=ridge_lambda, seed=seed, lexical_width=0)
    alone, blend = ridge_users(dataset), plain_blend(dataset)

    def scores_of(users: NDArray[np.int64]) -> Iterator[tuple[Choice, NDArray[np.floating]]]:
        yield Choice(None, None, 0.0, ridge_lambda), alone.scores(users, validation.held)
        yield Choice(None, None, 1.0, ridge_lambda), blend.scores(users, validation.held)

    return scores_of


def _first_light(
    validation: ValidationSet, params: FirstLightParams, lambdas: Sequence[float], seed: int, k: int
) -> Iterator[tuple[Choice, NDArray[np.float64]]]:
    """The head of first light over the warm items' texts; nothing where there are too few."""
    dataset = validation.dataset
    head = first_light_of(dataset, params)
    if head is None:
        return
    sides = (dataset.warm, validation.held)
    made = [
        head.profiles([dataset.texts[row] for row in rows], dataset.vectors_ID[rows])[:, head.lexical_width :]
        for rows in sides
    ]  # users are 0 in the first dimension
    recipe = partial(Choice, None, None, 0.0, is_first_light=True)
    yield from _measure(validation, k, _summed(validation, None, made, recipe, lambdas, seed))


def _heads(
    validation: ValidationSet,
    surveyed: Survey,
    words: tuple[NDArray[np.float32], ...] | None,
    params: FusionParams,
    share: float,
    powers: Sequence[float | None],
    lambdas: Sequence[float],
    k: int,
) -> Iterator[tuple[Choice, NDArray[np.float64]]]:
    """Heads of one lexical share, with and without separate words; those learned from texts only with them."""
    dataset, learned = validation.dataset, learn(surveyed, share, params, powers != (None,))
    warm_WD, held_HD = (
        coordinates(dataset, surveyed, learned, rows) for rows in (dataset.warm, validation.held)
    )
    for power in powers:
        stretch_D = learned.directions.stretch(power or 0.0)
        for weight in params.words_weights:
            if weight == 0 and power is None or weight > 0 and words is None:
                continue
            width = params.meaning_width if weight else params.width
            made = [profiles(some_ND[:, :width], stretch_D[:width]) for some_ND in (warm_WD, held_HD)]
            recipe = partial(Choice, share, power, weight)
            scored = _summed(validation, words if weight else None, made, recipe, lambdas, params.seed)
            yield from _measure(validation, k, scored)


def _summed(
    validation: ValidationSet,
    words: tuple[NDArray[np.float32], ...] | None,
    meaning: Sequence[NDArray[np.float32]],
    recipe: Callable[[float], Choice],
    lambdas: Sequence[float],
    seed: int,
) -> Scored:
    """Scores of a head with separate words, computed as the sum of both parts' scores instead of from profiles."""
    warm_WD, held_HD = meaning
    dataset = validation.dataset
    gram, known_UW = gram_of(warm_WD), csr_array(dataset.interactions.matrix_UI[:, dataset.warm])
    ridges = {one: Ridge(gram, one) for one in lambdas}
    ratios = {}
    if words is not None:
        ratios = {one: words_ratio(known_UW, words[0], warm_WD, ridge, seed) for one, ridge in ridges.items()}

    def scores_of(users: NDArray[np.int64]) -> Iterator[tuple[Choice, NDArray[np.floating]]]:
        known_BW = csr_array(known_UW[users])
        b_BD = known_BW @ warm_WD.astype(np.float64)
        by_words_BH = 0 if words is None else (known_BW @ words[0].astype(np.float64)) @ words[1].T
        for one, ridge in ridges.items():
            by_meaning_BH = ridge.weights(b_BD) @ held_HD.T
            choice = recipe(one)
            yield choice, by_meaning_BH + choice.words_weight * ratios.get(one, 0.0) * by_words_BH

    return scores_of


def _measure(
    validation: ValidationSet, k: int, scores_of: Scored
) -> Iterator[tuple[Choice, NDArray[np.float64]]]:
    """The users' metrics of each choice."""
    task = validation.tasks[COLD]
    for choice, ranked_UK in rank_each(task, scores_of, LONG * k).items():
        yield choice, metrics_per_user(task, ranked_UK, k)
