"""Measure choices on a validation set: rank its held-out items, and judge the lists of its users."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import sums
from recsys.heads.words import words_ratio
from recsys.profiles.alike import with_alike
from recsys.profiles.gram import gram_of
from recsys.profiles.prior import prior_among, weighed
from recsys.profiles.ridge import Ridge
from recsys.ranking.tasks import rank_each
from recsys.validation.choices import Choice, RidgeChoice, Tried
from recsys.validation.sets import COLD, LONG, ValidationSet, metrics_per_user

# Shape suffixes: U users of a fold, T users of its task, B users of a block, W warm items, H held-out items,
# D dimensions of meaning.
Scored = Callable[[NDArray[np.int64]], Iterator[tuple[Choice, NDArray[np.floating]]]]
"""Turns user rows into choices with their scores_BH; the choices are the same for every block."""


def measure(validation: ValidationSet, k: int, scores_of: Scored) -> Iterator[Tried]:
    """The users' metrics of each choice."""
    task = validation.tasks[COLD]
    for choice, ranked_UK in rank_each(task, scores_of, LONG * k).items():
        yield choice, metrics_per_user(task, ranked_UK, k)


def measure_ridges(
    validation: ValidationSet,
    words: tuple[NDArray[np.float32], ...] | None,
    meaning: Sequence[NDArray[np.float32]],
    recipe: Callable[..., Choice],
    ridges: Sequence[RidgeChoice],
    seed: int,
    k: int,
    alike: float = 0.0,
) -> Iterator[Tried]:
    """Measure one head with each ridge regression.

    With separate words, scores are the sum of both parts' scores instead of made of profiles. Every user is solved with
    every ridge regression before scoring, and a block's scores by words are made once for all of them: nothing has as
    many numbers as there are users times held-out items.

    Args:
        validation: to judge by.
        words: separate word dimensions of the warm and of the held-out items; None: there are none.
        meaning: profiles of the warm items and of the held-out ones, without words: [W, D], [H, D].
        recipe: λ and weight of the prior -> the choice.
        ridges: what to try of ridge users.
        seed: samples the users and items that set the scale of words.
        k: cutoff.
        alike: how much less alike likes count.

    Yields:
        A choice with its users' metrics on the held-out items, [U, 2].
    """
    warm_WD, held_HD = meaning
    known = validation.dataset.interactions
    gram, known_UW = gram_of(warm_WD), csr_array(known.matrix_UI[:, validation.dataset.warm])
    prior_RD = prior_among(
        known.users, known_UW, warm_WD.__getitem__, float(any(weight for _, weight in ridges))
    )
    task_users = validation.tasks[COLD].users
    known_TW = csr_array(known_UW[task_users])
    b_TD = sums(with_alike(known_TW, known_TW, warm_WD, alike), warm_WD).astype(np.float32)
    by_words = None if words is None else (sums(known_TW, words[0]).astype(np.float32), words[1])
    solved: list[tuple[Choice, NDArray[np.float32], np.float32]] = []
    for ridge_lambda, weight in dict.fromkeys(ridges):
        ridge = Ridge(gram, ridge_lambda, prior_RD=weighed(prior_RD, weight))
        ratio = 0.0 if words is None else words_ratio(known_UW, words[0], warm_WD, ridge, seed)
        choice = recipe(ridge_lambda, weight)
        solved.append((choice, ridge.weights(b_TD), np.float32(choice.words_weight * ratio)))

    def scores_of(users: NDArray[np.int64]) -> Iterator[tuple[Choice, NDArray[np.floating]]]:
        rows = np.searchsorted(task_users, users)
        by_words_BH = None if by_words is None else by_words[0][rows] @ by_words[1].T
        for choice, solved_TD, factor in solved:
            scores_BH = solved_TD[rows] @ held_HD.T
            if by_words_BH is not None:
                scores_BH += factor * by_words_BH
            yield choice, scores_BH

    yield from measure(validation, k, scores_of)
