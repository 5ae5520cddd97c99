"""Learn a kernel head from texts, base vectors and histories; choose how by a cold start of the histories' own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.head import BLOCK_ROWS, Kernel, KernelHead
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError
from recsys.evaluation.ranking import PAD, ndcg_at_k, recall_at_k
from recsys.fusion.directions import Directions, find_directions
from recsys.fusion.params import FusionParams
from recsys.fusion.smoothing import smoothed
from recsys.profiles.users import Ridge, gram_of
from recsys.retrieval.exact import best_of

ALONE = "encoder alone"
# Shape suffixes: U users, I items, L width of the base encoder, M landmarks, H held-out items, D width of a profile.


@dataclass(frozen=True)
class Shop:
    """What a head may be learned from. Rows are items and users."""

    texts: tuple[str, ...]
    vectors_IL: NDArray[np.float32]
    """By the base encoder, unit rows."""
    histories_UI: csr_array
    """1 where a user met an item; items that nobody met teach nothing."""


@dataclass(frozen=True)
class Recipe:
    """What validation chose."""

    lexical_share: float | None
    """None: no head, the base encoder's own vectors were better."""
    metric_power: float
    ridge_lambda: float
    ndcg: float | None
    """ndcg@k on the items held out; None where nobody could be asked."""
    tried: dict[str, float]
    """ndcg by what was tried."""

    @property
    def alone(self) -> float | None:
        """Best ndcg of the encoder without a head."""
        return max((one for name, one in self.tried.items() if name.startswith(ALONE)), default=None)


@dataclass(frozen=True)
class _Ground:
    """What every lexical share is learned from."""

    lexical: TfidfEncoder
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    tastes_UM: NDArray[np.float32]


@dataclass(frozen=True)
class _Learned:
    kernel: Kernel
    directions: Directions


def learn_head(shop: Shop, recipe: Recipe, params: FusionParams) -> KernelHead:
    """Learn the head that validation chose, from the whole shop.

    Args:
        shop: what may be learned from.
        recipe: lexical share and metric power.
        params: section `fusion`.

    Returns:
        The head.

    Raises:
        ValueError: the recipe is to have no head, or there are no words.
        TrainingError: the kernel is degenerate, or nobody met anything.
    """
    if recipe.lexical_share is None:
        raise ValueError("this recipe has no head")
    ground = _ground(shop, params)
    if ground is None:
        raise ValueError("no text of the shop has a word")
    learned = _learn(ground, recipe.lexical_share, params)
    projection_MD = learned.directions.axes_MD * learned.directions.stretch(recipe.metric_power)
    return KernelHead(learned.kernel, ground.words_MV, ground.vectors_ML, projection_MD)


def choose_recipe(
    shop: Shop,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    max_users: int,
    say: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Rank held-out items by what the others taught, for each lexical share, metric power and λ; keep the best.

    The best has the largest ndcg@k + recall@5k: short lists are shown, long ones are what a ranker gets to choose from.

    Args:
        shop: the whole training side; held items' interactions are only asked for, never learned from.
        folds: rows of the items that are held out cold, once for each fold; marks are means over the folds.
        params: section `fusion`.
        lambdas: λ of the ridge users, tried for heads and for the base vectors alone.
        k: cutoff.
        max_users: users asked in a fold, sampled by the seed.
        say: told what is being tried.

    Returns:
        The best; ties go to what was tried first: the base vectors, smaller shares, powers and λ.
    """
    exams = [exam for held in folds if (exam := _examination(shop, held, params.seed, max_users))]
    if not exams:
        return Recipe(None, 0.0, lambdas[len(lambdas) // 2], None, {})
    tried: dict[_Choice, list[tuple[float, float]]] = {}
    for number, exam in enumerate(exams, 1):
        if len(exams) > 1:
            say(f"validation: fold {number} of {len(exams)}")
        for choice, marks in _examine(shop, exam, params, lambdas, k, say):
            tried.setdefault(choice, []).append(marks)
    means = {choice: np.mean(marks, axis=0).round(6) for choice, marks in tried.items()}
    best = max(means, key=lambda choice: float(means[choice].sum()))  # the first of equals
    ndcg = {choice: float(marks[0]) for choice, marks in means.items()}
    return Recipe(*best, ndcg[best], {_name(choice): one for choice, one in ndcg.items()})


_Choice = tuple[float | None, float, float]
"""Lexical share (None: no head), metric power, λ."""


def _name(choice: _Choice) -> str:
    share, power, ridge_lambda = choice
    return f"{ALONE if share is None else f'words {share:g}, power {power:g}'}, λ {ridge_lambda:g}"


def _examine(
    shop: Shop,
    exam: "_Examination",
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    say: Callable[[str], None],
) -> Iterator[tuple[_Choice, tuple[float, float]]]:
    """Every choice with its ndcg@k and recall@5k."""
    for one, marks in exam.marks(shop.vectors_IL[exam.known], shop.vectors_IL[exam.held], lambdas, k):
        yield (None, 0.0, one), marks
    ground = _ground(exam.rest, params) if params.width else None
    if ground is None:
        return
    for share in params.lexical_shares:
        say(f"validation: learning a head with {share:.0%} words")
        learned = _learn(ground, share, params)
        known_WD, held_HD = (_coordinates(shop, ground, learned, rows) for rows in (exam.known, exam.held))
        for power in params.metric_powers:
            stretch = learned.directions.stretch(power)
            for one, marks in exam.marks(_unit(known_WD * stretch), _unit(held_HD * stretch), lambdas, k):
                yield (share, power, one), marks


@dataclass(frozen=True)
class _Examination:
    """Items held out cold, and the users who are asked for them."""

    held: NDArray[np.int64]
    """Rows of the items that are asked for."""
    rest: Shop
    """What may be learned from: no interaction of a held item."""
    known: NDArray[np.int64]
    """Rows of its warm items, W of them."""
    met_UW: csr_array
    relevant_UR: NDArray[np.int64]
    """Places among the held items; PAD on the right."""

    def marks(
        self, known_WD: NDArray[np.float32], held_HD: NDArray[np.float32], lambdas: Sequence[float], k: int
    ) -> list[tuple[float, tuple[float, float]]]:
        """Each λ with ndcg@k and recall@5k of ridge users over these profiles."""
        gram, b_UD = gram_of(known_WD), self.met_UW @ known_WD.astype(np.float64)
        marks = []
        for one in lambdas:
            scores_UH = Ridge(gram, one).weights(b_UD) @ held_HD.T
            ranked_UK = best_of(scores_UH, 5 * k).rows_UK
            ndcg_U, recall_U = (
                metric(ranked_UK, self.relevant_UR, cut)
                for metric, cut in ((ndcg_at_k, k), (recall_at_k, 5 * k))
            )
            marks.append((one, (float(ndcg_U.mean()), float(recall_U.mean()))))
        return marks


def _examination(shop: Shop, held: NDArray[np.int64], seed: int, max_users: int) -> _Examination | None:
    """None where nobody met both a held item and another."""
    is_held = np.zeros(len(shop.texts), bool)
    is_held[held] = True
    known_UI, asked_UH = _only(shop.histories_UI, ~is_held), csr_array(shop.histories_UI[:, held])
    users = np.flatnonzero((np.diff(known_UI.indptr) > 0) & (np.diff(asked_UH.indptr) > 0))
    if len(users) == 0:
        return None
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
    known = np.flatnonzero(np.asarray(known_UI.sum(axis=0)).ravel())
    rest = Shop(shop.texts, shop.vectors_IL, known_UI)
    return _Examination(
        held, rest, known, csr_array(known_UI[:, known])[users], _padded(csr_array(asked_UH[users]))
    )


def _ground(shop: Shop, params: FusionParams) -> _Ground | None:
    """Landmarks, their words, and what users think of them; None where no landmark has a word."""
    n_met_I = np.asarray(shop.histories_UI.sum(axis=0)).ravel()
    warm = np.flatnonzero(n_met_I)
    landmarks = np.sort(warm[np.argsort(-n_met_I[warm], kind="stable")][: params.max_landmarks])
    texts = [shop.texts[row] for row in landmarks]
    try:
        lexical = fit_tfidf(texts)
    except EncoderError:
        return None
    histories_UM = csr_array(shop.histories_UI[:, landmarks])
    users = np.flatnonzero(np.diff(histories_UM.indptr))
    if len(users) > params.max_users:
        users = np.sort(np.random.default_rng(params.seed).choice(users, params.max_users, replace=False))
    tastes_UM = smoothed(histories_UM, users, params)
    return _Ground(lexical, csr_array(lexical.encode(texts)), shop.vectors_IL[landmarks], tastes_UM)


def _learn(ground: _Ground, share: float, params: FusionParams) -> _Learned:
    kernel = Kernel(ground.lexical, share, params.gamma)
    n = len(ground.vectors_ML)
    kernel_MM = np.empty((n, n), np.float32)
    for part, block in _compared(kernel, ground, ground.words_MV, ground.vectors_ML):
        kernel_MM[part] = block
    found = find_directions(kernel_MM, ground.tastes_UM, params.kernel_lambda, params.width, params.seed)
    return _Learned(kernel, found)


def _coordinates(
    shop: Shop, ground: _Ground, learned: _Learned, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    words_NV = csr_array(ground.lexical.encode([shop.texts[row] for row in rows]))
    axes_MD = learned.directions.axes_MD
    coordinates_ND = np.empty((len(rows), axes_MD.shape[1]), np.float32)
    for part, block in _compared(learned.kernel, ground, words_NV, shop.vectors_IL[rows]):
        coordinates_ND[part] = block @ axes_MD
    return coordinates_ND


def _compared(
    kernel: Kernel, ground: _Ground, words_NV: csr_array, vectors_NL: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of the kernel with the landmarks, a block at a time: the whole may not fit into memory."""
    words_VM = csr_array(ground.words_MV.T)
    for start in range(0, len(vectors_NL), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield part, kernel.compare(words_NV[part], vectors_NL[part], words_VM, ground.vectors_ML)


def _unit(rows_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths_N1 = np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(rows_ND / lengths_N1, np.float32)


def _only(matrix_UI: csr_array, kept_I: NDArray[np.bool_]) -> csr_array:
    """The same shape with only the kept columns' pairs."""
    rows = np.repeat(np.arange(matrix_UI.shape[0]), np.diff(matrix_UI.indptr))
    here = kept_I[matrix_UI.indices]
    return csr_array((matrix_UI.data[here], (rows[here], matrix_UI.indices[here])), shape=matrix_UI.shape)


def _padded(matrix_UI: csr_array) -> NDArray[np.int64]:
    n_U = np.diff(matrix_UI.indptr)
    padded_UR = np.full((len(n_U), int(n_U.max(initial=1))), PAD, np.int64)
    padded_UR[np.arange(padded_UR.shape[1]) < n_U[:, None]] = matrix_UI.indices
    return padded_UR
