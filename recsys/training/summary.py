"""artifacts/finetune: summary.json and history.csv, the inputs and results of a training."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from recsys.catalogue.weighting import Weighting
from recsys.errors import ArtifactMissing
from recsys.storage.atomic import write_document
from recsys.training.params import FinetuneParams
from recsys.training.trials import Trial

if TYPE_CHECKING:
    from recsys.heads.recipe import Recipe
    from recsys.models.reference import ModelReference
    from recsys.training.job import Job
    from recsys.training.tuning import Tuned
    from recsys.validation.search_weights import ChosenWeights


class TrainingSummary(BaseModel):
    """summary.json. It holds no time: the same inputs and seed give the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """The pretrained encoder of params.yaml."""
    start: Literal["pretrained", "champion"] = "pretrained"
    """What training began from."""
    champion: str | None = None
    """Hash of the champion's encoder, where training continued from it or was pulled to it."""
    why_not: str = ""
    """Why the champion was not used as `start` and `pull` want; empty where it was, or was not wanted."""
    trained_on: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the split's train.parquet; it identifies the holdout that was not used."""
    cut: datetime | None
    """Cut of that split: no later interaction was used. None without times."""
    held_out_by: str | None
    """The rule of a split by item hash (see `evaluation/provenance.py`); None of one by time."""
    features: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 over the texts to learn from."""
    params: FinetuneParams
    ridge_lambda: float
    n_users: int
    n_items: int
    """Items of the training side to learn from."""
    n_held_items: int
    """Validation slice."""
    n_pairs: int
    n_texts: int | None = None
    """Texts that objectives `texts` and `distill` learned from; None for objectives that learn from interactions."""
    teacher: str | None = None
    """Hash of the encoder whose vectors a student learned; None for other objectives."""
    trials: tuple[Trial, ...] = ()
    """The trials by which `params` were chosen; none where `trials` is 1."""
    n_trained_weights: int
    n_steps: int
    best_epoch: int
    """0: nothing was better than the weights at the start, or, with few items, surely better: they are kept."""
    best_step: int
    validation: dict[str, float | None]
    """ndcg@k and recall@k of the best epoch, even if it is not kept, and of epoch 0 as `pretrained/…` (`champion/…`
    where training began from it); also the `cosine` with the champion's vectors where it was used, and `older/ndcg@k`
    of items to learn from; of the chosen head as `head/…`, and of the encoder alone as `without_head/…`, on more items
    if the encoder was not trained; `head/<list>/…` of the lists by which item weights were chosen, with them and by
    profiles alone. None where there was no user to rank for."""
    width: int
    """Dimensions of a profile."""
    lexical_share: float | None
    """Weight of the words in the head's kernel; None: no head, or that of first light, which sets its own."""
    metric_power: float | None
    """How strongly the head stretches directions that explain many users; None: no head, or one learned from texts."""
    words_weight: float | None = None
    """Weight of the head's separate words; 0: none; None: no head, or an older version."""
    field_terms: float | None = None
    """The most that a field counts among the head's exact words, see section `first_light`; 0: fields are not told
    apart; None: no trained head, or an older version."""
    constant: float = 0.0
    """Constant coordinate of a trained head, times the median length of the others, see section `fusion`; 0: none."""
    alike: float = 0.0
    """How much less a like counts that the user's other likes resemble, see section `fusion`; 0: not at all."""
    view_weights: dict[str, float] = {}
    """View -> its weight in the head's kernel, above 0."""
    is_first_light: bool = False
    """Whether the head is that of first light: none that learns from users was better."""
    ease_lambda: float | None
    """λ of the item weights; None: no item weights, lists are ordered by profiles alone."""
    popularity_power: float | None = Field(None, exclude_if=lambda power: power is None)
    """How far item weights lowered popular items, in files from before there was a head factor."""
    head_factor: float | None = None
    """Factor on the scores of the head (`evaluate.head_share`), beside item weights."""
    lift: float | None
    """Factor on the profile score of cold items, beside items with weights."""
    search: dict[str, float] = {}
    """What validation chose for search, by name: weights, and the temperature. params.yaml holds for other weights."""
    search_tried: dict[str, float] = {}
    """`<weight> <value>` -> mean of ndcg, by which they were chosen; `temperature <which>` -> cross-entropy in nats, of
    which less is better."""
    weighting: Weighting | None = None
    """How much likes and dislikes count; None: yes or no."""
    chosen_lambda: float | None
    """λ of the challenger's users; None: that of `ridge_lambda`."""
    prior_weight: float | None = None
    """Weight of their prior; None: none was chosen."""
    model_hash: str = Field(validation_alias=AliasChoices("model_hash", "encoder_hash"))
    """Hash of the challenger's model. Older files call it `encoder_hash`."""

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON."""
        write_document(path, self, indent=2)

    @classmethod
    def load(cls, path: Path) -> "TrainingSummary":
        """Read summary.json.

        Args:
            path: artifacts/finetune/summary.json.

        Returns:
            The summary.

        Raises:
            ArtifactMissing: stage `finetune` has not run here.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro finetune")
        return cls.model_validate_json(path.read_bytes())


class _Begun(BaseModel):
    """What of summary.json says whether a training left weights of its own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: str = "pretrained"
    best_epoch: int = 0


def has_new_weights(summary: Path) -> bool:
    """Whether a training left other weights than `encoder.source` has, from which a later one may continue.

    Args:
        summary: its summary.json, of any version.

    Returns:
        False also without the file.
    """
    found = _Begun.model_validate_json(summary.read_bytes()) if summary.is_file() else _Begun()
    return found.best_epoch > 0 or found.start == "champion"


def run_key(parts: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 over everything that determines a training."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def history_csv(k: int, rows: Iterable[tuple[object, ...]]) -> str:
    """Make history.csv, a table of the curves for `dvc plots`.

    Args:
        k: cutoff of the validation.
        rows: epochs, each with the fields of `checkpoint.Epoch` in order; None becomes an empty field. The last two
            have a column only where they have values.

    Returns:
        CSV text.
    """
    columns, rows = ["epoch", "step", "loss", "learning_rate", f"ndcg@{k}", f"recall@{k}"], list(rows)
    n_always = len(columns)
    further = [
        place for place in range(n_always, n_always + 2) if any(row[place] is not None for row in rows)
    ]
    columns += [("cosine", f"older_ndcg@{k}")[place - n_always] for place in further]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([columns, *((*row[:n_always], *(row[place] for place in further)) for row in rows)])
    return buffer.getvalue()


def epochs_of(tuned: "Tuned", recipe: "Recipe") -> tuple[tuple[object, ...], ...]:
    """Rows of history.csv; without training one row, with the validation of the encoder alone."""
    if tuned.trained is None:
        return ((0, 0, None, None, recipe.alone, None, None, None),)
    return tuple(map(astuple, tuned.trained.epochs))


def summarise(
    job: "Job",
    tuned: "Tuned",
    recipe: "Recipe",
    weights: "ChosenWeights",
    model: "ModelReference",
    params: FinetuneParams,
    source: str,
    ridge_lambda: float,
    trials: tuple[Trial, ...] = (),
) -> TrainingSummary:
    """Make the summary of a training.

    Args:
        job: its inputs.
        tuned: the result of fine-tuning.
        recipe: the choices of head and ranker.
        weights: those of search.
        model: the resulting model.
        params: section `finetune`.
        source: `encoder.source`.
        ridge_lambda: λ of the users in training.
        trials: those by which `params` were chosen.

    Returns:
        The summary.
    """
    found, trained, ndcg = job.training_set, tuned.trained, f"ndcg@{params.k}"
    validation = {f"head/{ndcg}": recipe.ndcg, f"without_head/{ndcg}": recipe.alone}
    validation |= {f"head/{name}/{ndcg}": value for name, value in recipe.lists.items()}
    begun: Literal["pretrained", "champion"] = "champion" if job.beginning.continues else "pretrained"
    validation |= trained.figures(params.k, begun) if trained else {}
    return TrainingSummary(
        source=source,
        start=begun,
        champion=job.beginning.champion.hash if job.beginning.champion else None,
        why_not=job.beginning.why_not,
        trained_on=job.trained_on,
        cut=job.cut,
        held_out_by=job.held_out_by,
        features=job.features,
        params=params,
        ridge_lambda=ridge_lambda,
        n_users=len(found.users),
        n_items=len(found.fit_rows),
        n_held_items=len(found.held_rows),
        n_pairs=found.fit_UI.nnz,
        n_texts=len(job.corpus.rows_to_learn_from(found)) if params.learns_from_texts else None,
        teacher=job.corpus.teacher if params.objective == "distill" else None,
        trials=trials,
        n_trained_weights=tuned.n_weights,
        n_steps=trained.n_steps if trained else 0,
        best_epoch=trained.best.epoch if trained and not tuned.is_as_before else 0,
        best_step=trained.best.step if trained and not tuned.is_as_before else 0,
        validation=validation,
        width=model.dim,
        lexical_share=recipe.lexical_share,
        metric_power=recipe.metric_power if model.has_head else None,
        words_weight=recipe.words_weight if model.has_head else None,
        field_terms=None if recipe.lexical_share is None else recipe.field_terms,
        constant=recipe.constant,
        alike=recipe.alike,
        view_weights=dict(recipe.view_weights) if model.has_head else {},
        is_first_light=recipe.first_light is not None,
        ease_lambda=recipe.ease_lambda if model.ranker.files else None,
        head_factor=recipe.head_factor if model.ranker.files else None,
        lift=recipe.lift if model.ranker.files else None,
        search=weights.part.model_dump(exclude_none=True) if weights.part else {},
        search_tried=dict(weights.tried),
        weighting=model.users.weighting,
        chosen_lambda=model.users.ridge_lambda,
        prior_weight=model.users.prior_weight,
        model_hash=model.hash,
    )
