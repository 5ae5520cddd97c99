"""Effect `benchmark cold-start`: learn from a data set's warm items, and rank its cold items for every user."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.weighting import YES_OR_NO, Scales, Weighting
from recsys.dataset.dataset import Dataset
from recsys.encoders.pack import pack_encoder
from recsys.evaluation.cold_start import Task, make_task, rank_cold
from recsys.evaluation.picture_tables import with_pictures
from recsys.evaluation.tables import read_ids, read_interactions, read_items
from recsys.evaluation.used import Used, used
from recsys.evaluation.view_tables import read_views
from recsys.features.views import Views
from recsys.heads.budget import within
from recsys.heads.learning import learn_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.models.encoding import encode_cached
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet
from recsys.validation.choosing import choose_recipe
from recsys.validation.weighting import choose_weighting

Report = Callable[[str], None]


@dataclass(frozen=True)
class Files:
    """A data set, as files that the landing zone would read."""

    items: Path
    interactions: Path
    cold: Path
    """Ids of the cold items."""
    fields: tuple[str, ...] = ()
    """Columns of the items that become text, in this order. None named: every column of words that does not repeat
    another."""
    relations: Path | None = None
    """Head, relation and tail; None: no view of relations."""
    vectors: Path | None = None
    """Vectors of views by item; None: none."""
    images: Path | None = None
    """Folder of pictures that the items name; None: no view of pictures."""


@dataclass(frozen=True)
class ColdStart:
    """What was learned, and from what."""

    used: Used
    coverage: dict[str, float]
    """View -> share of the items that it covers."""
    n_by_fold: dict[str, int]
    """Held-out items by kind of fold."""
    recipe: Recipe
    """The choices that validation made."""
    width: int
    """Dimensions of the profiles."""
    weighting: Weighting = YES_OR_NO
    """How much likes and dislikes count."""


def benchmark_cold_start(
    files: Files,
    out: Path,
    at: Artifacts,
    chosen: Settings,
    *,
    k: int,
    minutes: float,
    seed: int | None,
    report: Report,
    report_progress: Report,
) -> ColdStart:
    """Write `out`: user_id, item_id and rank (1 = best) of the best k cold items for every user.

    Args:
        files: the data set.
        out: a parquet file.
        at: the workspace; vectors are cached there.
        chosen: settings.
        k: length of each list.
        minutes: about how long learning may take on two cores.
        seed: of everything random; None: the seeds of params.yaml.
        report: gets a sentence for each fact about the data, before learning starts.
        report_progress: gets a few words at each step.

    Returns:
        What was learned, and from what.

    Raises:
        UnreadableFile: a file cannot be read, or leaves nothing to learn from.
        EncoderError: the encoder cannot be packed.
    """
    learned = learn_cold_start(
        files, at, chosen, minutes=minutes, seed=seed, report=report, report_progress=report_progress
    )
    write_parquet(out, learned.rank(k))
    return learned.summary


@dataclass(frozen=True)
class Learned:
    """What lists are made of."""

    task: Task
    profiles_ID: NDArray[np.float32]
    lexical_width: int
    """Leading dimensions of the profiles that hold words."""
    ridge_lambda: float
    summary: ColdStart

    def rank(self, k: int, gram: NDArray[np.float64] | None = None) -> pa.Table:
        """The best k cold items for every user, see `rank_cold`."""
        return rank_cold(
            self.task,
            self.profiles_ID,
            self.ridge_lambda,
            k,
            self.lexical_width,
            self.summary.weighting,
            gram,
            self.summary.recipe.prior_weight,
        )


def learn_cold_start(
    files: Files,
    at: Artifacts,
    chosen: Settings,
    *,
    minutes: float,
    seed: int | None,
    report: Report,
    report_progress: Report,
) -> Learned:
    """Learn from the warm items.

    The encoder is that of params.yaml at float32. A head, λ, and the weights of words and views are chosen on items
    that are held out of training. Interactions with cold items are dropped before anything is learned.

    Args:
        files: the data set.
        at: the workspace; vectors are cached there.
        chosen: settings.
        minutes: about how long learning may take on two cores.
        seed: of everything random; None: the seeds of params.yaml.
        report: gets a sentence for each fact about the data, before learning starts.
        report_progress: gets a few words at each step.

    Returns:
        What was learned, and from what.

    Raises:
        UnreadableFile: a file cannot be read, or leaves nothing to learn from.
        EncoderError: the encoder cannot be packed.
    """
    items = read_items(files.items, chosen.ingest, files.fields)
    cold_ids = read_ids(files.cold, chosen.ingest)
    log = read_interactions(files.interactions, chosen.ingest, chosen.feedback, cold_ids)
    task = make_task(items.table, log.table, cold_ids, chosen.features, files.fields)
    what = used(task, items, log)
    own = read_views(files.relations, files.vectors, task.item_ids, chosen.ingest, chosen.relations)
    if files.images is not None:
        own = with_pictures(own, files.images, items.table, task.item_ids, chosen.images, at)
    for line in (*what.lines(), *own.lines):
        report(line)
    folds = task.folds(chosen.split.seed if seed is None else seed)
    n_by_fold = {kind: len(rows) for kind, rows in folds.items()}
    by_kind = ", ".join(f"{n:,} by {kind}" for kind, n in n_by_fold.items())
    report(f"chosen on warm items held out: {by_kind}")
    fusion = chosen.fusion.for_items(len(task.item_ids))
    if seed is not None:
        fusion = fusion.model_copy(update={"seed": seed})
    fusion = within(minutes * 60, len(task.warm), len(task.users), len(folds), fusion, len(own.views))
    vectors_ID = _vectors(task, at, chosen)
    held = tuple(folds.values())
    found = _learn(task, vectors_ID, own.views, held, fusion, chosen, log.scales, report_progress)
    width = found.profiles_ID.shape[1]
    summary = ColdStart(what, own.coverage, n_by_fold, found.recipe, width, found.weighting)
    return Learned(task, found.profiles_ID, found.lexical_width, found.ridge_lambda, summary)


@dataclass(frozen=True)
class _Parts:
    recipe: Recipe
    profiles_ID: NDArray[np.float32]
    lexical_width: int
    """Leading dimensions of the profiles that hold words."""
    ridge_lambda: float
    weighting: Weighting


def _vectors(task: Task, at: Artifacts, chosen: Settings) -> NDArray[np.float32]:
    encoder = pack_encoder(chosen.encoder.model_copy(update={"precision": "float32"}), at.encoders, ())
    return encode_cached(
        ModelReference.of(encoder),
        task.texts,
        at,
        chosen.encoder.batch_tokens,
        chosen.profiles.chunk_texts,
    )


def _learn(
    task: Task,
    vectors_ID: NDArray[np.float32],
    views: Views,
    folds: Sequence[NDArray[np.int64]],
    fusion: FusionParams,
    chosen: Settings,
    scales: Scales,
    report_progress: Report,
) -> _Parts:
    dataset = Dataset(
        task.interactions, task.texts, vectors_ID, chosen.users.ridge_lambda, chosen.fusion.seed, views=views
    )
    recipe = choose_recipe(
        dataset,
        tuple(folds),
        fusion,
        chosen.users.lambdas,
        chosen.finetune.k,
        chosen.finetune.max_validation_users,
        report_progress,
        first_light=chosen.first_light,
        priors=chosen.users.tried_with(chosen.privacy).prior_weights,
    )
    weighting = choose_weighting(
        dataset,
        folds,
        recipe,
        chosen.weighting,
        fusion,
        scales,
        chosen.finetune.k,
        chosen.finetune.max_validation_users,
        report_progress,
    ).weighting
    if not recipe.has_head:
        return _Parts(recipe, vectors_ID, 0, recipe.ridge_lambda, weighting)
    report_progress("learning the head from all warm items")
    head = learn_head(dataset, recipe, fusion)
    report_progress("making profiles")
    profiles_ID = head.profiles(task.texts, vectors_ID, views)
    return _Parts(recipe, profiles_ID, head.lexical_width, recipe.lambda_of(head), weighting)
