"""Learn a kernel head from texts, vectors and histories, by the choices of a recipe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample
from recsys.encoders.params import FirstLightParams
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError
from recsys.heads.directions import Directions, find_directions, own_directions
from recsys.heads.first_light import learn_over_vectors
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
    """The choices of validation."""

    lexical_share: float | None
    """Weight of the words' kernel; None: no head, since the encoder's own vectors were better, or first light's."""
    metric_power: float | None
    """How strongly directions are stretched; None: the directions come from texts, not from users."""
    ridge_lambda: float
    """λ for the dimensions without separate words. Users get `lambda_of`."""
    ndcg: float | None
    """ndcg@k on held-out items; None where there was no user to rank for."""
    tried: Mapping[str, float]
    """Choice -> its ndcg@k on held-out items. For `item weights …` it is the mean over the lists warm and mixed."""
    ease_lambda: float | None = None
    """λ of the item weights; None: no item weights, lists are ordered by profiles alone."""
    popularity_power: float = 0.0
    """How far item weights lower popular items."""
    lift: float = 1.0
    """Factor on the profile score of cold items, beside items with weights."""
    lists: Mapping[str, float] = field(default_factory=dict)
    """ndcg@k of the lists warm, tail and mixed: as chosen, `by profiles alone` and `by the encoder alone`. Empty where
    there was no user to rank for."""

    words_weight: float = 0.0
    """Weight of separate words, in standard deviations of the other scores; 0: no separate words."""
    first_light: FirstLightParams | None = None
    """Settings of the head of first light, where no head that learns from users was better."""

    @property
    def has_head(self) -> bool:
        """Whether profiles are more than the encoder's own vectors."""
        return self.lexical_share is not None or self.first_light is not None

    def lambda_of(self, head: KernelHead) -> float:
        """λ of ridge users over the head's profiles. Separate words take a share of the length, so λ shrinks by it."""
        return self.ridge_lambda * (1 - head.words.share) if head.words else self.ridge_lambda

    def item_weights(self, params: FusionParams) -> ItemWeightsSettings | None:
        """How item weights are learned; None where lists are ordered by profiles alone."""
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
        if self.first_light is not None:
            return f"head of first light, λ = {self.ridge_lambda:g}"
        if self.lexical_share is None:
            return f"encoder alone, λ = {self.ridge_lambda:g}"
        power = "untaught" if self.metric_power is None else f"metric power {self.metric_power:g}"
        apart = f", words apart with weight {self.words_weight:g}" if self.words_weight else ""
        return f"head with {self.lexical_share:.0%} words in its kernel, {power}{apart}, λ = {self.ridge_lambda:g}"

    @property
    def alone(self) -> float | None:
        """Best ndcg@k of the encoder without a head."""
        return max((one for name, one in self.tried.items() if name.startswith(ALONE)), default=None)


@dataclass(frozen=True)
class Survey:
    """What is the same for heads of every lexical share."""

    landmarks: NDArray[np.int64]
    """Item rows, M of them: those with most users."""
    lexical: TfidfEncoder
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    tastes_UM: NDArray[np.float32]


@dataclass(frozen=True)
class Learned:
    """A kernel, and directions of its space."""

    kernel: Kernel
    directions: Directions


def learn_head(dataset: Dataset, recipe: Recipe, params: FusionParams) -> KernelHead:
    """Learn the head of a recipe from the whole dataset.

    Args:
        dataset: what may be learned from.
        recipe: lexical share and metric power, or first light, which learns from the texts of warm items alone.
        params: section `fusion`.

    Returns:
        The head.

    Raises:
        ValueError: the recipe has no head, no text has a word, or the texts are too few for first light.
        TrainingError: the kernel cannot be inverted, or there is no interaction.
    """
    head = find_head(dataset, recipe, params)
    if head is None:
        raise ValueError("no text of the dataset has a word, or they are too few for first light")
    return head


def find_head(dataset: Dataset, recipe: Recipe, params: FusionParams) -> KernelHead | None:
    """`learn_head` for parts of a dataset: None where their texts have no word, or are too few for first light."""
    if recipe.first_light is not None:
        return first_light_of(dataset, recipe.first_light)
    if recipe.lexical_share is None:
        raise ValueError("this recipe has no head")
    surveyed = survey(dataset, params)
    if surveyed is None:
        return None
    learned = learn(surveyed, recipe.lexical_share, params, recipe.metric_power is not None)
    stretch_D = learned.directions.stretch(recipe.metric_power or 0.0)
    projection_MD = learned.directions.axes_MD * stretch_D
    words = None
    if recipe.words_weight > 0 and params.apart_width:
        projection_MD = projection_MD[:, : params.meaning_width]
        words = _words(dataset, surveyed, learned, stretch_D, recipe, params)
    return KernelHead(learned.kernel, surveyed.words_MV, surveyed.vectors_ML, projection_MD, words)


def first_light_of(dataset: Dataset, params: FirstLightParams) -> KernelHead | None:
    """The head of first light over the texts of warm items; None where they are too few, or have no word."""
    warm = dataset.warm
    return learn_over_vectors([dataset.texts[row] for row in warm], dataset.vectors_ID[warm], params)


def _words(
    dataset: Dataset,
    surveyed: Survey,
    learned: Learned,
    stretch_D: NDArray[np.float32],
    recipe: Recipe,
    params: FusionParams,
) -> Words | None:
    """Separate words with their share of the length; None where words do not distinguish the items."""
    warm, width = dataset.warm, params.meaning_width
    words_MW = words_projection(surveyed.words_MV, params.apart_width - 1, params.seed)
    words_WW = words_of(dataset, surveyed, words_MW, warm)
    meaning_WD = profiles(coordinates(dataset, surveyed, learned, warm)[:, :width], stretch_D[:width])
    ridge = Ridge(gram_of(meaning_WD), recipe.ridge_lambda)
    ratio = words_ratio(
        csr_array(dataset.interactions.matrix_UI[:, warm]), words_WW, meaning_WD, ridge, params.seed
    )
    if ratio == 0:
        return None
    return Words(words_MW, share_of(ratio * recipe.words_weight, recipe.ridge_lambda))


def survey(dataset: Dataset, params: FusionParams) -> Survey | None:
    """Choose landmarks; compute their words and the users' histories over them. None where no landmark has a word."""
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


def learn(surveyed: Survey, share: float, params: FusionParams, by_users: bool = True) -> Learned:
    """Find the directions for one lexical share: those along which users differ, or those along which texts differ."""
    kernel = Kernel(surveyed.lexical, share, params.gamma)
    n = len(surveyed.vectors_ML)
    kernel_MM = np.empty((n, n), np.float32)
    for part, block in _compared(kernel, surveyed, surveyed.words_MV, surveyed.vectors_ML):
        kernel_MM[part] = block
    if not by_users:
        return Learned(kernel, own_directions(kernel_MM, params.width, params.seed))
    found = find_directions(kernel_MM, surveyed.tastes_UM, params.kernel_lambda, params.width, params.seed)
    return Learned(kernel, found)


def words_of(
    dataset: Dataset, surveyed: Survey, words_MW: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Separate word dimensions of some texts, [len(rows), W], before they are scaled to their share."""
    words_NV = csr_array(surveyed.lexical.encode([dataset.texts[row] for row in rows]))
    words_VM = csr_array(surveyed.words_MV.T)
    made_NW = np.empty((len(rows), words_MW.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        made_NW[part] = csr_array(words_NV[part] @ words_VM) @ words_MW
    return made_NW


def coordinates(
    dataset: Dataset, surveyed: Survey, learned: Learned, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Coordinates of some texts along the directions, before stretching, [len(rows), D]."""
    words_NV = csr_array(surveyed.lexical.encode([dataset.texts[row] for row in rows]))
    axes_MD = learned.directions.axes_MD
    coordinates_ND = np.empty((len(rows), axes_MD.shape[1]), np.float32)
    for part, block in _compared(learned.kernel, surveyed, words_NV, dataset.vectors_ID[rows]):
        coordinates_ND[part] = block @ axes_MD
    return coordinates_ND


def profiles(coordinates_ND: NDArray[np.float32], stretch_D: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 unit rows of coordinates: nearly what `KernelHead.profiles` gives, exact enough for choosing."""
    rows_ND = coordinates_ND * stretch_D
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return np.asarray(rows_ND / np.maximum(lengths_N1, np.finfo(np.float32).tiny), np.float32)


def _compared(
    kernel: Kernel, surveyed: Survey, words_NV: csr_array, vectors_NL: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of the kernel with the landmarks, block by block: all of them may not fit into memory."""
    words_VM = csr_array(surveyed.words_MV.T)
    for start in range(0, len(vectors_NL), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        yield part, kernel.compare(words_NV[part], vectors_NL[part], words_VM, surveyed.vectors_ML)
