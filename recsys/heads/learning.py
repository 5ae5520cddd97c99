"""Learn a kernel head from texts, vectors and histories, as a recipe says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample
from recsys.encoders.params import FirstLightParams
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError
from recsys.features.views import Views, take
from recsys.heads.constant import constant_of, some_of
from recsys.heads.directions import Directions, find_directions, own_directions
from recsys.heads.from_texts import Fit, learn_over_vectors, no_views
from recsys.heads.kernel_head import BLOCK_ROWS, Kernel, KernelHead, Words
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.heads.smoothing import smoothed
from recsys.heads.view_kernels import ViewKernel, add_views, evidence, fit_view
from recsys.heads.words import share_of, words_projection, words_ratio
from recsys.profiles.gram import gram_of
from recsys.profiles.prior import prior_among
from recsys.profiles.ridge import Ridge
from recsys.storage.strings import Strings

# Shape suffixes: U users, I items, L width of the base encoder, M landmarks, N texts, D directions.


@dataclass(frozen=True)
class Survey:
    """What heads of every lexical share have in common."""

    landmarks: NDArray[np.int64]
    """Item rows, M of them: those with most users."""
    lexical: TfidfEncoder
    words_MV: csr_array
    vectors_ML: NDArray[np.float32]
    tastes_UM: NDArray[np.float32]
    views: Views
    """Those of the landmarks."""
    view_kernels: Mapping[str, ViewKernel]
    """Of weight 1, for each view that a landmark has."""


@dataclass(frozen=True)
class Learned:
    """A kernel, and directions of its space."""

    kernel: Kernel
    views: Mapping[str, ViewKernel]
    """Kernels of views that are added to it, each with its weight."""
    directions: Directions


def learn_head(
    dataset: Dataset, recipe: Recipe, params: FusionParams, part: Dataset | None = None
) -> KernelHead:
    """Learn the head of a recipe from the whole dataset.

    Args:
        dataset: what may be learned from.
        recipe: lexical share and metric power, or first light, which learns from texts and views of warm items alone.
        params: section `fusion`.
        part: some users with all their items, by whose scores it is measured how much separate words have to count;
            None: the whole dataset.

    Returns:
        The head.

    Raises:
        ValueError: the recipe has no head, no text has a word, or the texts are too few for first light.
        TrainingError: the kernel cannot be inverted, or there is no interaction.
    """
    head = find_head(dataset, recipe, params, part)
    if head is None:
        raise ValueError("no text of the dataset has a word, or they are too few for first light")
    return head


def find_head(
    dataset: Dataset, recipe: Recipe, params: FusionParams, part: Dataset | None = None
) -> KernelHead | None:
    """Like `learn_head`, for a part of a dataset: None where its texts have no word, or are too few for first light."""
    if recipe.first_light is not None:
        return first_light_of(dataset, recipe.first_light, warm_views(dataset, params, recipe.view_weights))
    if recipe.lexical_share is None:
        raise ValueError("this recipe has no head")
    surveyed = survey(dataset, params, recipe.field_terms)
    if surveyed is None:
        return None
    by_users = recipe.metric_power is not None
    learned = learn(surveyed, recipe.lexical_share, params, by_users, recipe.view_weights)
    stretch_D = learned.directions.stretch(recipe.metric_power or 0.0)
    projection_MD, constant = learned.directions.axes_MD * stretch_D, 0.0
    if recipe.constant > 0:
        projection_MD = projection_MD[:, : params.width - 1]
        some_ND = coordinates(dataset, surveyed, learned, some_of(dataset.warm))[:, : params.width - 1]
        constant = constant_of(recipe.constant, some_ND, stretch_D[: params.width - 1])
    words = None
    if recipe.words_weight > 0 and params.apart_width:
        projection_MD = projection_MD[:, : params.meaning_width]
        part = dataset if part is None else part
        ridge_lambda = recipe.ridge_lambda * (len(part.warm) / len(dataset.warm))  # it stands beside XᵀX
        scaled = replace(recipe, ridge_lambda=ridge_lambda)
        words = _words(part, surveyed, learned, stretch_D, scaled, params)
    return KernelHead(
        learned.kernel,
        surveyed.words_MV,
        surveyed.vectors_ML,
        projection_MD,
        words,
        constant,
        views=learned.views,
        constant_first=recipe.constant > 0,
    )


def first_light_of(dataset: Dataset, params: FirstLightParams, fit: Fit = no_views) -> KernelHead | None:
    """The head of first light over the texts of warm items; None where they are too few, or have no word.

    Args:
        dataset: what may be learned from.
        params: section `first_light`.
        fit: joins views, see `warm_views`.

    Returns:
        The head.
    """
    warm = dataset.warm
    texts = Strings(dataset.texts).take(warm)
    return learn_over_vectors(texts, lambda places: dataset.vectors_ID[warm[places]], params, fit)


def warm_views(dataset: Dataset, params: FusionParams, view_weights: Mapping[str, float]) -> Fit:
    """Makes the kernels of views over some of the warm items.

    Args:
        dataset: what may be learned from.
        params: section `fusion`.
        view_weights: view -> weight; views of weight 0, and those that no landmark has, are left out.

    Returns:
        A function of their places among the warm items.
    """
    return lambda places: _weighted(_fitted(take(dataset.views, dataset.warm[places]), params), view_weights)


def _fitted(views: Views, params: FusionParams) -> dict[str, ViewKernel]:
    """Kernels of weight 1 for each view that a landmark has."""
    found = {name: fit_view(view, params.view_decay, params.view_gamma) for name, view in views.items()}
    return {name: kernel for name, kernel in found.items() if kernel is not None}


def _weighted(kernels: Mapping[str, ViewKernel], view_weights: Mapping[str, float]) -> dict[str, ViewKernel]:
    """Kernels with their weights, without those of weight 0."""
    return {
        name: replace(kernels[name], weight=weight)
        for name, weight in view_weights.items()
        if weight > 0 and name in kernels
    }


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
    known_UW = csr_array(dataset.interactions.matrix_UI[:, warm])
    prior_RD = prior_among(dataset.interactions.users, known_UW, meaning_WD.__getitem__, recipe.prior_weight)
    ridge = Ridge(gram_of(meaning_WD), recipe.ridge_lambda, prior_RD=prior_RD)
    ratio = words_ratio(known_UW, words_WW, meaning_WD, ridge, params.seed)
    if ratio == 0:
        return None
    return Words(words_MW, share_of(ratio * recipe.words_weight, recipe.ridge_lambda))


def survey(dataset: Dataset, params: FusionParams, field_terms: float = 0) -> Survey | None:
    """Choose landmarks; compute their words and views, and histories over them.

    Args:
        dataset: what may be learned from.
        params: section `fusion`.
        field_terms: of exact words, see `fit_tfidf`.

    Returns:
        What was found; None where no landmark has a word.
    """
    landmarks = dataset.interactions.most_used(params.max_landmarks)
    texts = [dataset.texts[row] for row in landmarks]
    try:
        lexical = fit_tfidf(texts, field_terms=field_terms)
    except EncoderError:
        return None
    histories_UM = csr_array(dataset.interactions.matrix_UI[:, landmarks])
    users = np.flatnonzero(np.diff(histories_UM.indptr))
    users = sample(users, params.max_users, params.seed)
    tastes_UM = smoothed(histories_UM, users, params)
    words_MV = csr_array(lexical.encode(texts))
    views = take(dataset.views, landmarks)
    fitted = _fitted(views, params)
    return Survey(landmarks, lexical, words_MV, dataset.vectors_ID[landmarks], tastes_UM, views, fitted)


def learn(
    surveyed: Survey,
    share: float,
    params: FusionParams,
    by_users: bool = True,
    view_weights: Mapping[str, float] = MappingProxyType({}),
) -> Learned:
    """Find the directions of one kernel's space.

    Args:
        surveyed: landmarks and histories.
        share: lexical share of the kernel.
        params: section `fusion`.
        by_users: whether they are those along which users differ; else those along which the landmarks differ.
        view_weights: view -> weight; views of weight 0, and those that no landmark has, are left out.

    Returns:
        Kernel and directions.

    Raises:
        TrainingError: see `find_directions`.
    """
    kernel = Kernel(surveyed.lexical, share, params.gamma)
    views = _weighted(surveyed.view_kernels, view_weights)
    if not by_users:
        own = own_directions(_own_kernel(kernel, views, surveyed), params.width, params.seed)
        return Learned(kernel, views, own)
    found = find_directions(
        _own_kernel(kernel, views, surveyed),
        surveyed.tastes_UM,
        params.kernel_lambda,
        params.width,
        params.seed,
    )
    return Learned(kernel, views, found)


def _own_kernel(kernel: Kernel, views: Mapping[str, ViewKernel], surveyed: Survey) -> NDArray[np.float32]:
    """The kernel of the landmarks among themselves, [M, M]."""
    n = len(surveyed.vectors_ML)
    kernel_MM = np.empty((n, n), np.float32)
    own = _compared(kernel, views, surveyed, surveyed.words_MV, surveyed.vectors_ML, surveyed.views)
    for part, block in own:
        kernel_MM[part] = block
    return kernel_MM


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
    compared = _compared(
        learned.kernel, learned.views, surveyed, words_NV, dataset.vectors_ID[rows], take(dataset.views, rows)
    )
    for part, block in compared:
        coordinates_ND[part] = block @ axes_MD
    return coordinates_ND


def profiles(
    coordinates_ND: NDArray[np.float32], stretch_D: NDArray[np.float32], constant: float = 0.0
) -> NDArray[np.float32]:
    """Coordinates as float32 rows of unit length. They approximate `KernelHead.profiles` well enough for choosing.

    Args:
        coordinates_ND: before stretching.
        stretch_D: factor of each direction.
        constant: see `KernelHead.constant`. It counts for the length only: users are 0 in its dimension.

    Returns:
        [N, D], without the dimension of the constant.
    """
    rows_ND = coordinates_ND * stretch_D
    lengths_N1 = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    if constant > 0:
        lengths_N1 = np.hypot(lengths_N1, np.float32(constant))
    return np.asarray(rows_ND / np.maximum(lengths_N1, np.finfo(np.float32).tiny), np.float32)


def _compared(
    kernel: Kernel,
    view_kernels: Mapping[str, ViewKernel],
    surveyed: Survey,
    words_NV: csr_array,
    vectors_NL: NDArray[np.float32],
    views: Views,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of the kernel with the landmarks, block by block, since all of them may not fit into memory."""
    words_VM, rows = csr_array(surveyed.words_MV.T), evidence(view_kernels, views)
    for start in range(0, len(vectors_NL), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        block = kernel.compare(words_NV[part], vectors_NL[part], words_VM, surveyed.vectors_ML)
        add_views(block, view_kernels, {name: rows_N[part] for name, rows_N in rows.items()})
        yield part, block
