"""Learn a kernel head from texts, base vectors and histories, as a recipe says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError
from recsys.heads.directions import Directions, find_directions, own_directions
from recsys.heads.kernel_head import BLOCK_ROWS, Kernel, KernelHead, Words
from recsys.heads.params import FusionParams
from recsys.heads.smoothing import smoothed
from recsys.heads.words import share_of, words_projection, words_ratio
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.learning import ItemWeightsSettings

ALONE = "encoder alone"
# Shape suffixes: U users, I items, L width of the base encoder, M landmarks, N texts, D directions.


@dataclass(frozen=True)
class Recipe:
    """What validation chose."""

    lexical_share: float | None
    """None: no head, the base encoder's own vectors were better."""
    metric_power: float | None
    """None: directions are those in which texts differ, not those that users need."""
    ridge_lambda: float
    """Of the dimensions that hold no words apart; what users get is `lambda_of`."""
    ndcg: float | None
    """ndcg@k on the items held out; None where there was no user to rank for."""
    tried: Mapping[str, float]
    """ndcg@k by what was tried: of held-out items; `item weights …` as a mean over the lists warm and mixed."""
    ease_lambda: float | None = None
    """λ of the item weights beside the head; None: none, lists are ordered by profiles alone."""
    popularity_power: float = 0.0
    """How far items with many users are held back, where there are item weights."""
    lift: float = 1.0
    """How much more a profile's score counts for cold items, where there are item weights."""
    lists: Mapping[str, float] = field(default_factory=dict)
    """ndcg@k of the lists warm, tail and mixed, as chosen, `by profiles alone` and `by the encoder alone`; empty where
    there was no user to rank for."""

    words_weight: float = 0.0
    """How much words count that have dimensions of their own, in deviations of the other scores; 0: they have none."""

    def lambda_of(self, head: KernelHead) -> float:
        """λ of ridge users over its profiles: words take their share of the length."""
        return self.ridge_lambda * (1 - head.words.share) if head.words else self.ridge_lambda

    def item_weights(self, params: FusionParams) -> ItemWeightsSettings | None:
        """How the ranker beside the head is learned; None where lists are ordered by profiles alone."""
        if self.ease_lambda is None:
            return None
        return ItemWeightsSettings(
            self.ease_lambda,
            self.popularity_power,
            self.lift,
            params.max_weighted_items,
            params.weights_per_item,
        )

    @property
    def sentence(self) -> str:
        """The choice in a sentence."""
        if self.lexical_share is None:
            return f"encoder alone, λ = {self.ridge_lambda:g}"
        power = "untaught" if self.metric_power is None else f"metric power {self.metric_power:g}"
        apart = f", words apart with weight {self.words_weight:g}" if self.words_weight else ""
        return f"head with {self.lexical_share:.0%} words in its kernel, {power}{apart}, λ = {self.ridge_lambda:g}"

    @property
    def alone(self) -> float | None:
        """Best ndcg of the encoder without a head."""
        return max((one for name, one in self.tried.items() if name.startswith(ALONE)), default=None)


@dataclass(frozen=True)
class Survey:
    """What heads of every lexical share are learned from."""

    landmarks: NDArray[np.int64]
    """Item rows, M of them: those with most users."""
    lexical: TfidfEncoder
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    tastes_UM: NDArray[np.float32]


@dataclass(frozen=True)
class Learned:
    """A kernel and the directions of its space that users' tastes need."""

    kernel: Kernel
    directions: Directions


def learn_head(dataset: Dataset, recipe: Recipe, params: FusionParams) -> KernelHead:
    """Learn the head that validation chose, from the whole dataset.

    Args:
        dataset: what may be learned from.
        recipe: lexical share and metric power.
        params: section `fusion`.

    Returns:
        The head.

    Raises:
        ValueError: the recipe is to have no head, or there are no words.
        TrainingError: the kernel is degenerate, or there is no interaction.
    """
    ground = survey(dataset, params)
    if ground is None:
        raise ValueError("no text of the dataset has a word")
    return head_of(dataset, ground, recipe, params)


def head_of(dataset: Dataset, ground: Survey, recipe: Recipe, params: FusionParams) -> KernelHead:
    """The same where the dataset has been surveyed already."""
    if recipe.lexical_share is None:
        raise ValueError("this recipe has no head")
    learned = learn(ground, recipe.lexical_share, params, recipe.metric_power is not None)
    stretch_D = learned.directions.stretch(recipe.metric_power or 0.0)
    projection_MD = learned.directions.axes_MD * stretch_D
    words = None
    if recipe.words_weight > 0 and params.apart_width:
        projection_MD = projection_MD[:, : params.meaning_width]
        words = _words(dataset, ground, learned, stretch_D, recipe, params)
    return KernelHead(learned.kernel, ground.words_MV, ground.vectors_ML, projection_MD, words)


def _words(
    dataset: Dataset,
    ground: Survey,
    learned: Learned,
    stretch_D: NDArray[np.float32],
    recipe: Recipe,
    params: FusionParams,
) -> Words | None:
    """Words apart, with their share; None where they tell no items apart."""
    warm, width = dataset.warm, params.meaning_width
    words_MW = words_projection(ground.words_MV, params.apart_width - 1, params.seed)
    words_WW = words_of(dataset, ground, words_MW, warm)
    meaning_WD = profiles(coordinates(dataset, ground, learned, warm)[:, :width], stretch_D[:width])
    ridge = Ridge(gram_of(meaning_WD), recipe.ridge_lambda)
    ratio = words_ratio(
        csr_array(dataset.interactions.matrix_UI[:, warm]), words_WW, meaning_WD, ridge, params.seed
    )
    if ratio == 0:
        return None
    return Words(words_MW, share_of(ratio * recipe.words_weight, recipe.ridge_lambda))


def survey(dataset: Dataset, params: FusionParams) -> Survey | None:
    """Landmarks, their words, and what users think of them; None where no landmark has a word."""
    landmarks = dataset.interactions.most_used(params.max_landmarks)
    texts = [dataset.texts[row] for row in landmarks]
    try:
        lexical = fit_tfidf(texts)
    except EncoderError:
        return None
    histories_UM = csr_array(dataset.interactions.matrix_UI[:, landmarks])
    users = np.flatnonzero(np.diff(histories_UM.indptr))
    users = sample(users, params.max_users, params.seed)
    tastes_UM = smoothed(histories_UM, users, params)
    words_MV = csr_array(lexical.encode(texts))
    return Survey(landmarks, lexical, words_MV, dataset.vectors_ID[landmarks], tastes_UM)


def learn(ground: Survey, share: float, params: FusionParams, by_users: bool = True) -> Learned:
    """The directions for one lexical share, those that users need or those in which texts differ."""
    kernel = Kernel(ground.lexical, share, params.gamma)
    n = len(ground.vectors_ML)
    kernel_MM = np.empty((n, n), np.float32)
    for part, block in _compared(kernel, ground, ground.words_MV, ground.vectors_ML):
        kernel_MM[part] = block
    if not by_users:
        return Learned(kernel, own_directions(kernel_MM, params.width, params.seed))
    found = find_directions(kernel_MM, ground.tastes_UM, params.kernel_lambda, params.width, params.seed)
    return Learned(kernel, found)


def words_of(
    dataset: Dataset, ground: Survey, words_MW: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The dimensions of words of some texts, [len(rows), W], before they get their share."""
    words_NV = csr_array(ground.lexical.encode([dataset.texts[row] for row in rows]))
    words_VM = csr_array(ground.words_MV.T)
    made_NW = np.empty((len(rows), words_MW.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        made_NW[part] = csr_array(words_NV[part] @ words_VM) @ words_MW
    return made_NW


def coordinates(
    dataset: Dataset, ground: Survey, learned: Learned, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Where texts lie along the directions before they are stretched, [len(rows), D]."""
    words_NV = csr_array(ground.lexical.encode([dataset.texts[row] for row in rows]))
    axes_MD = learned.directions.axes_MD
    coordinates_ND = np.empty((len(rows), axes_MD.shape[1]), np.float32)
    for part, block in _compared(learned.kernel, ground, words_NV, dataset.vectors_ID[rows]):
        coordinates_ND[part] = block @ axes_MD
    return coordinates_ND


def profiles(coordinates_ND: NDArray[np.float32], stretch_D: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `KernelHead.profiles` makes of coordinates, float32 unit rows: good enough to choose by."""
    rows_ND = coordinates_ND * stretch_D
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / np.maximum(lengths_N1, np.finfo(np.float32).tiny), np.float32)


def _compared(
    kernel: Kernel, ground: Survey, words_NV: csr_array, vectors_NL: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of the kernel with the landmarks, a block at a time: the whole may not fit into memory."""
    words_VM = csr_array(ground.words_MV.T)
    for start in range(0, len(vectors_NL), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield part, kernel.compare(words_NV[part], vectors_NL[part], words_VM, ground.vectors_ML)
