"""A training job: everything that determines a training, and its key."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from recsys.encoders.params import EncoderParams
from recsys.encoders.source import source_files
from recsys.evaluation.provenance import TrainedOn
from recsys.storage.checksums import sha256_of_file
from recsys.training.beginning import Beginning
from recsys.training.corpus import Corpus
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams
from recsys.training.summary import run_key

TRAINING_VERSION = 4
"""Part of every key. Raise it when the same inputs would give other weights."""
IDLE = {"roles", "checkpoint_steps", "processes", "seeds", "trials", "trial_ranges", "start"}
"""Parameters that do not change the weights of a training (except for rounding): DVC's stages, how often checkpoints
are written, the numbers of processes and of further trainings; and what it starts from, whose files are hashed
instead."""
STUDENT = {"student_layers", "student_texts"}
"""Parameters that change weights only for objective distill."""


@dataclass(frozen=True)
class Job:
    """Everything that determines a training."""

    training_set: TrainingSet
    variants: tuple[tuple[str, ...], ...]
    """Variants of each text, for field dropout."""
    corpus: Corpus
    """Further texts and the champion's vectors, where training reads any."""
    beginning: Beginning
    """The weights that it begins from."""
    cut: datetime | None
    """Cut of the split."""
    held_out_by: str | None
    """The rule of a split by item hash; None of one by time."""
    trained_on: str
    """SHA-256 of the split's training pairs."""
    features: str
    """SHA-256 over the texts to learn from."""
    source_key: str
    """Hash of these weights."""
    key: str
    """Hash of everything above, the parameters and the version. Checkpoints are stored by it."""

    def search_key(self, params: FinetuneParams) -> str:
        """Key of the trials around this training. It does not depend on their number, so a search can be extended."""
        return run_key({"training": self.key, "ranges": params.trial_ranges})


def make_job(
    training_set: TrainingSet,
    variants: tuple[tuple[str, ...], ...],
    holdout: TrainedOn,
    params: FinetuneParams,
    encoder: EncoderParams,
    ridge_lambda: float,
    corpus: Corpus,
    beginning: Beginning,
) -> Job:
    """Make the job: compute the key.

    Args:
        training_set: data to learn from.
        variants: of each text, for field dropout; () without it.
        holdout: the split that the data came from; it has `trained_on`.
        params: section `finetune`.
        encoder: section `encoder`.
        ridge_lambda: λ of the users in loss and validation.
        corpus: further texts and the champion's vectors; empty where training reads neither.
        beginning: the weights that it begins from.

    Returns:
        The job. The same inputs give the same key.
    """
    texts = hashlib.sha256("\0".join(training_set.texts).encode()).hexdigest()
    weights = [sha256_of_file(path) for path in source_files(beginning.folder)]
    idle = IDLE | (set() if params.objective == "distill" else STUDENT)
    pulls = params.pull > 0 and corpus.targets_ND is not None
    recipe = {
        "version": TRAINING_VERSION,
        "source": weights,
        "encoder": encoder.model_dump(include={"pooling", "max_tokens"})
        | ({"item_prefix": encoder.item_prefix} if encoder.item_prefix else {}),
        "params": params.model_dump(exclude=idle if pulls else idle | {"pull"}),
        "ridge_lambda": ridge_lambda,
        "trained_on": holdout.trained_on,
        "texts": texts,
        "variants": hashlib.sha256("\0".join(one for some in variants for one in some).encode()).hexdigest(),
    }
    if params.learns_from_texts or pulls:
        recipe["corpus"] = corpus.digest
    if beginning.known_until is not None:
        recipe["known_until"] = beginning.known_until
    return Job(
        training_set,
        variants,
        corpus,
        beginning,
        holdout.trained_until,
        holdout.held_out_by,
        str(holdout.trained_on),
        texts,
        run_key({"source": weights}),
        run_key(recipe),
    )
