"""Stage `evaluate`: judge champion and challenger against the floors on one holdout, and look for leaks."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.split import Split
from recsys.encoders import EncoderReference
from recsys.errors import ArtifactMissing
from recsys.evaluation.holdout import Holdout, make_holdout, with_profiles
from recsys.evaluation.judge import judge, learn_models
from recsys.evaluation.leaks import find_leaks, statistics_after_cut
from recsys.evaluation.plots import by_model, recall_by_k
from recsys.evaluation.report import CHALLENGER, CHAMPION, Report
from recsys.evaluation.seen import TrainedOn, has_seen, hash_rule, identity
from recsys.features.text import SCHEMA, feature_files
from recsys.profiles.items import Segment, list_segments, segment_name
from recsys.settings import Settings
from recsys.storage.atomic import write_whole


def run(settings: Settings, at: Artifacts) -> None:
    """Score all models on one holdout; the challenger among them where its encoder and its profiles are there.

    Reads:   at.split, at.features, at.profiles, at.encoder_reference and at.trained_on of both roles
    Writes:  at.report, at.metrics, at.plots (<slice>_recall_by_k.csv, <slice>_models.csv)
    Raises:  ArtifactMissing where an input is missing or belongs to other data; a leak is a finding in the report
    """
    split = Split.load(at.split)
    holdout = load_holdout(split, settings, at)
    challenged = load_challenged(holdout, split, settings, at)
    models = learn_models(holdout, challenged, settings.evaluate.rivals)
    similarity = settings.split.near_duplicate_similarity
    leaks = list(find_leaks(holdout, {n: m for n, m in models.items() if n != CHALLENGER}, similarity))
    if challenged is not None:  # its Gram matrix is made of other profiles; all else is the same holdout
        found = statistics_after_cut(challenged, {CHALLENGER: models[CHALLENGER]}, similarity)
        leaks += [found] if found else []
    slices, comparison = judge(holdout, models, settings.evaluate)
    trained = {
        role: _trained_on(at, role) for role in (CHAMPION, *([CHALLENGER] if challenged is not None else []))
    }
    asked = _asked(split, settings, at)
    seen = {role: has_seen(one, asked) for role, one in trained.items()}
    report = Report(
        encoder_hash=EncoderReference.load(at.encoder_reference(CHAMPION)).hash,
        challenger_hash=EncoderReference.load(at.encoder_reference(CHALLENGER)).hash if challenged else None,
        ridge_lambda=holdout.known.ridge_lambda,
        challenger_lambda=challenged.known.ridge_lambda if challenged else None,
        k=settings.evaluate.k,
        split_by=split.summary.by,
        cut=split.summary.cut,
        n_train_pairs=split.summary.n_train_pairs,
        holdout=asked,
        trained=trained,
        seen={role: words for role, words in seen.items() if words is not None},
        left_out=split.summary.left_out,
        slices=slices,
        leaks=tuple(leaks),
        comparison=comparison,
    )
    _save(report, at)


def load_holdout(split: Split, settings: Settings, at: Artifacts) -> Holdout:
    """The split with the texts and the champion's profiles that it names."""
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    return make_holdout(
        split,
        pa.concat_tables([SCHEMA.empty_table(), *features]),
        list_segments(at.profiles(CHAMPION)),
        settings.users.lambda_of(EncoderReference.load(at.encoder_reference(CHAMPION))),
        settings.evaluate.seed,
    )


def load_challenged(holdout: Holdout, split: Split, settings: Settings, at: Artifacts) -> Holdout | None:
    """The same holdout with the challenger's profiles and λ.

    Args:
        holdout: with the champion's.
        split: what it was made of.
        settings: all of params.yaml.
        at: the workspace.

    Returns:
        None where the workspace has no challenger, or no profiles of it.

    Raises:
        ArtifactMissing: the profiles are of another encoder or of other data.
    """
    if not at.encoder_reference(CHALLENGER).exists() or not at.profiles(CHALLENGER).is_dir():
        return None
    challenger = EncoderReference.load(at.encoder_reference(CHALLENGER))
    segments = list_segments(at.profiles(CHALLENGER))
    _require_profiles_of(challenger, segments, at)
    return with_profiles(holdout, split, segments, settings.users.lambda_of(challenger))


def _require_profiles_of(challenger: EncoderReference, segments: tuple[Segment, ...], at: Artifacts) -> None:
    """Their names tell of which texts and encoder they are."""
    wanted = {segment_name(file.part, file.key, challenger.hash) for file in feature_files(at.features)}
    if wanted != {segment.name for segment in segments}:
        raise ArtifactMissing(
            f"{at.profiles(CHALLENGER)} holds profiles of another encoder or of other texts than these",
            remedy=f"run: dvc repro profiles@challenger; without a challenger delete {at.profiles(CHALLENGER)}",
        )


def _asked(split: Split, settings: Settings, at: Artifacts) -> TrainedOn:
    by, params = split.summary.by, settings.split
    return TrainedOn(
        trained_on=identity(at.split),
        trained_until=split.summary.cut,
        held_out_by=hash_rule(by, params.seed, params.test_share),
    )


def _trained_on(at: Artifacts, role: str) -> TrainedOn:
    """What the encoder of a role was trained on; an encoder that nothing is said about is used as it comes."""
    path, encoder = at.trained_on(role), EncoderReference.load(at.encoder_reference(role))
    remedy = "run: dvc repro finetune (challenger), or recsys fetch-champion"
    if path.exists():
        found = TrainedOn.load(path)
        if found.encoder_hash == encoder.hash:
            return found
        if role == CHALLENGER:
            words = f"{path} is about encoder {str(found.encoder_hash)[:10]}, the challenger is {encoder.hash[:10]}"
            raise ArtifactMissing(words, remedy=remedy)
    if str(at.finetune.relative_to(at.root)) in encoder.source:
        words = f"{path} does not say what {role} {encoder.hash[:10]} was trained on"
        raise ArtifactMissing(words, remedy=remedy)
    return TrainedOn(encoder_hash=encoder.hash)


def _save(report: Report, at: Artifacts) -> None:
    report.save(at.report)
    write_whole(at.metrics, (json.dumps(report.flat_metrics(), indent=2) + "\n").encode())
    for part in report.slices:
        write_whole(at.plots / f"{part.name}_recall_by_k.csv", recall_by_k(part).encode())
        write_whole(at.plots / f"{part.name}_models.csv", by_model(part).encode())
