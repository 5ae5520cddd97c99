"""Which weights a training starts from, and whose vectors it stays close to: the champion's, where the cut allows.

A champion that knows test data of the holdout would pass it on to the challenger, and the gate would judge a model that
has seen the answers. Training then starts from the pretrained encoder, and is not pulled towards the champion either.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recsys.encoders.params import EncoderParams
from recsys.encoders.reference import EncoderReference
from recsys.encoders.source import find_source
from recsys.evaluation.provenance import TrainedOn, contamination
from recsys.storage.packed import verify_files
from recsys.training.params import FinetuneParams
from recsys.training.teacher import Teacher, require_champion


@dataclass(frozen=True)
class Beginning:
    """Where a training begins."""

    folder: Path
    """Weights, as `find_source` gives them."""
    continues: bool = False
    """Whether these are the champion's."""
    champion: EncoderReference | None = None
    """The encoder with whose vectors training is compared, and towards which it is pulled; None: there is none."""
    known_until: datetime | None = None
    """The champion may know interactions with older items. None: it was never trained, or it was trained on this same
    split by time and held out the newest items itself."""
    why_not: str = ""
    """Why the champion is not used as params.yaml asks; empty where it is used, or where params.yaml does not ask for
    it."""


def pretrained(encoder: EncoderParams, why_not: str = "") -> Beginning:
    """Start from `encoder.source`, without a champion."""
    return Beginning(find_source(encoder.source), why_not=why_not)


def begin(
    params: FinetuneParams, encoder: EncoderParams, found: Teacher, holdout: TrainedOn, weights: Path
) -> Beginning:
    """Decide where a training begins.

    Args:
        params: section `finetune`.
        encoder: section `encoder`.
        found: the workspace's champion; not read where params do not want it.
        holdout: what a model trained on this holdout's training side would have.
        weights: folder of champions' weights.

    Returns:
        The beginning.

    Raises:
        ArtifactMissing: the champion was fetched for another section `finetune`, or its weights are not here.
        EncoderError: its weights are damaged, or there is no pretrained encoder.
    """
    if not params.needs_champion or params.objective == "distill":
        return pretrained(encoder)
    champion, trained = require_champion(found)
    if reason := _unusable(champion, trained, holdout):
        return pretrained(encoder, reason)
    known_until = None if trained.trained_on in (None, holdout.trained_on) else trained.trained_until
    near = Beginning(find_source(encoder.source), champion=champion, known_until=known_until)
    if params.start == "pretrained":
        return near
    if reason := _without_weights(found, champion, trained, encoder):
        return Beginning(near.folder, False, champion, known_until, reason)
    folder = weights / champion.hash
    verify_files(folder, found.weights)
    return Beginning(find_source(str(folder)), True, champion, known_until)


def _unusable(champion: EncoderReference, trained: TrainedOn, holdout: TrainedOn) -> str:
    """Why the champion may not be used at all; empty where it may."""
    if reason := contamination(trained, holdout):
        return f"the champion may know test data: {reason}"
    if trained.trained_on is not None and trained.trained_until is None:
        return "its split has no cut that is known, so nothing tells which items the champion has not learned from"
    if champion.carries_head:
        return "the champion is of a version in which head and encoder were one"
    return ""


def _without_weights(
    found: Teacher, champion: EncoderReference, trained: TrainedOn, encoder: EncoderParams
) -> str:
    """Why training cannot continue from a usable champion; empty where it can."""
    if trained.trained_on is None:
        return "the champion was never trained"
    if not found.weights:
        return "the champion's version in the registry has no weights to continue from"
    for name, theirs, wanted in (
        ("pooling", champion.pooling, encoder.pooling),
        ("item_prefix", champion.item_prefix, encoder.item_prefix or ""),
    ):
        if theirs != wanted:
            return f"the champion's {name} is {theirs!r}, encoder.{name} of params.yaml {wanted!r}"
    return ""
