"""Stage `evaluate`: judge the champion against the floors on the holdout, and look for leaks."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.split import Split
from recsys.encoders import EncoderReference
from recsys.evaluation.holdout import Holdout, make_holdout
from recsys.evaluation.judge import judge_slice, learn_models
from recsys.evaluation.leaks import find_leaks
from recsys.evaluation.plots import by_model, recall_by_k
from recsys.evaluation.report import Report
from recsys.evaluation.slices import SLICES
from recsys.features.text import SCHEMA, feature_files
from recsys.profiles.items import list_segments
from recsys.settings import Settings
from recsys.storage.atomic import write_whole


def run(settings: Settings, at: Artifacts) -> None:
    """Score all models on one holdout.

    Reads:   at.split, at.features, at.profiles("champion"), at.encoder_reference("champion")
    Writes:  at.report, at.metrics, at.plots (<slice>_recall_by_k.csv, <slice>_models.csv)
    Raises:  ArtifactMissing where an input is missing or belongs to other data; a leak is a finding in the report
    """
    split = Split.load(at.split)
    holdout = load_holdout(split, settings, at)
    models = learn_models(holdout)
    report = Report(
        encoder_hash=EncoderReference.load(at.encoder_reference("champion")).hash,
        ridge_lambda=settings.users.ridge_lambda,
        k=settings.evaluate.k,
        split_by=split.summary.by,
        cut=split.summary.cut,
        n_train_pairs=split.summary.n_train_pairs,
        left_out=split.summary.left_out,
        slices=tuple(judge_slice(holdout, models, name, settings.evaluate) for name in SLICES),
        leaks=find_leaks(holdout, models, settings.split.near_duplicate_similarity),
    )
    report.save(at.report)
    write_whole(at.metrics, (json.dumps(report.flat_metrics(), indent=2) + "\n").encode())
    for part in report.slices:
        write_whole(at.plots / f"{part.name}_recall_by_k.csv", recall_by_k(part).encode())
        write_whole(at.plots / f"{part.name}_models.csv", by_model(part).encode())


def load_holdout(split: Split, settings: Settings, at: Artifacts) -> Holdout:
    """The split with the texts and the champion's profiles that it names."""
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    return make_holdout(
        split,
        pa.concat_tables([SCHEMA.empty_table(), *features]),
        list_segments(at.profiles("champion")),
        settings.users.ridge_lambda,
        settings.evaluate.seed,
    )
