"""A training job: everything that determines a training, and its key."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recsys.catalogue.split import SplitSummary
from recsys.encoders.params import EncoderParams
from recsys.encoders.source import find_source, source_files
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams
from recsys.training.summary import file_hash, run_key

TRAINING_VERSION = 3
"""Part of every key. Raise it when the same inputs would give other weights."""


@dataclass(frozen=True)
class Job:
    """Everything that determines a training."""

    training_set: TrainingSet
    variants: tuple[tuple[str, ...], ...]
    """Variants of each text, for field dropout."""
    cut: datetime | None
    """Cut of the split."""
    held_out_by: str | None
    """The rule of a split by item hash; None of one by time."""
    trained_on: str
    """SHA-256 of the split's training pairs."""
    features: str
    """SHA-256 over the texts to learn from."""
    source: Path
    """Folder of the pretrained encoder."""
    source_key: str
    key: str
    """Hash of everything above, the parameters and the version. Checkpoints are stored by it."""


def make_job(
    training_set: TrainingSet,
    variants: tuple[tuple[str, ...], ...],
    split: SplitSummary,
    trained_on: str,
    held_out_by: str | None,
    params: FinetuneParams,
    encoder: EncoderParams,
    ridge_lambda: float,
) -> Job:
    """Make the job: find the pretrained encoder, and compute the key.

    Args:
        training_set: data to learn from.
        variants: of each text, for field dropout; () without it.
        split: summary of the split that the data came from.
        trained_on: SHA-256 of the split's training pairs.
        held_out_by: the rule of a split by item hash.
        params: section `finetune`.
        encoder: section `encoder`.
        ridge_lambda: λ of the users in loss and validation.

    Returns:
        The job. The same inputs give the same key.
    """
    texts = hashlib.sha256("\0".join(training_set.texts).encode()).hexdigest()
    source = find_source(encoder.source)
    weights = [file_hash(path) for path in source_files(source)]
    recipe = {
        "version": TRAINING_VERSION,
        "source": weights,
        "encoder": encoder.model_dump(include={"pooling", "max_tokens"}),
        # These change no weights: how often checkpoints are written, DVC's stages, the number of further seeds.
        "params": params.model_dump(exclude={"roles", "checkpoint_steps", "seeds"}),
        "ridge_lambda": ridge_lambda,
        "trained_on": trained_on,
        "texts": texts,
        "variants": hashlib.sha256("\0".join(one for some in variants for one in some).encode()).hexdigest(),
    }
    return Job(
        training_set,
        variants,
        split.cut,
        held_out_by,
        trained_on,
        texts,
        source,
        run_key({"source": weights}),
        run_key(recipe),
    )
