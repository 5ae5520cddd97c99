"""Stage `evaluate`: judge champion and challenger against the floors on one holdout, and look for leaks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.split import Split
from recsys.dataset.traits import traits_at
from recsys.errors import ArtifactMissing
from recsys.evaluation.groups import read_groups
from recsys.evaluation.holdout import Holdout, make_holdout, with_profiles, with_vectors
from recsys.evaluation.judge import judge, learn_models
from recsys.evaluation.leaks import find_leaks, statistics_after_cut
from recsys.evaluation.plots import by_model, recall_by_k
from recsys.evaluation.provenance import TrainedOn, contamination, hash_rule, identity
from recsys.evaluation.report import CHALLENGER, CHAMPION, Finding, JudgedSeed, Report, Robustness
from recsys.evaluation.robustness import judge_robustness
from recsys.evaluation.trained_on import trained_on
from recsys.features.text import SCHEMA, feature_files
from recsys.features.views import Views
from recsys.features.views_file import views_at
from recsys.heads.head_file import view_weights
from recsys.models.encoding import encode_cached
from recsys.models.opening import uses_views
from recsys.models.packed import adopt_model, ranker_file
from recsys.models.reference import REFERENCE, ModelReference
from recsys.profiles.items import Segment, list_segments, segment_name
from recsys.profiles.params import UsersParams
from recsys.progress import report_progress
from recsys.ranking.ranker import Ranker
from recsys.ranking.rankers import ranker_class
from recsys.ranking.recommender import Recommender, learn_recommender
from recsys.ranking.tasks import Scorer
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.training.seeds import SEEDS, TrainedSeeds, folder_of


@dataclass(frozen=True)
class _Seed:
    """One training of the challenger."""

    seed: int
    model: ModelReference
    packed: Path
    """Folder of its packed files, where `finetune` left them and DVC brings them."""

    def judged(self, users: UsersParams) -> JudgedSeed:
        """This training as the report names it."""
        return JudgedSeed(
            seed=self.seed,
            model_hash=self.model.hash,
            ridge_lambda=users.lambda_or(self.model.users.ridge_lambda),
        )


def run(settings: Settings, at: Artifacts) -> None:
    """Score all models on one holdout; the challenger among them where it and its profiles are there.

    Reads:   at.split, at.features, at.profiles, at.model_reference and at.trained_on of both roles; with
             `finetune.seeds` above 1 the challenger's siblings in at.finetune/seeds
    Writes:  at.report, at.metrics, at.plots (<slice>_recall_by_k.csv, <slice>_models.csv); of siblings at.cache;
             vectors of siblings and of perturbed texts in at.var
    Raises:  ArtifactMissing where an input is missing or belongs to other data; ConfigError where evaluate.groups is no
             file of groups; a leak is a finding in the report
    """
    split = Split.load(at.split)
    holdout = load_holdout(split, settings, at)
    challenged = load_challenged(holdout, split, settings, at)
    models = learn_models(holdout, challenged, settings.evaluate.rivals)
    leaks = _leaks(holdout, challenged, models, settings.split.near_duplicate_similarity)
    seeds = _load_seeds(settings, at) if challenged is not None else ()
    siblings = _learn_siblings(seeds, holdout, settings, at)
    named = settings.evaluate.groups
    group_of = read_groups(at.root / named) if named else {}
    slices, groups, comparison = judge(
        holdout, models, settings.evaluate, siblings=siblings, group_of=group_of
    )
    robustness = _judge_robustness(holdout, models, settings, at)
    trained = {
        role: trained_on(at, role) for role in (CHAMPION, *([CHALLENGER] if challenged is not None else []))
    }
    holdout_id = _identity(split, settings, at)
    reasons = {role: contamination(one, holdout_id) for role, one in trained.items()}
    report = Report(
        model_hash=ModelReference.load(at.model_reference(CHAMPION)).hash,
        challenger_hash=ModelReference.load(at.model_reference(CHALLENGER)).hash if challenged else None,
        ridge_lambda=holdout.known.ridge_lambda,
        challenger_lambda=challenged.known.ridge_lambda if challenged else None,
        view_weights=_view_weights(list(trained), at),
        seeds=tuple(one.judged(settings.users) for one in seeds),
        k=settings.evaluate.k,
        split_by=split.summary.by,
        cut=split.summary.cut,
        n_train_pairs=split.summary.n_train_pairs,
        holdout=holdout_id,
        trained=trained,
        contaminated={role: words for role, words in reasons.items() if words is not None},
        left_out=split.summary.left_out,
        slices=slices,
        groups=groups,
        robustness=robustness,
        leaks=leaks,
        comparison=comparison,
    )
    _save(report, at)


def load_holdout(split: Split, settings: Settings, at: Artifacts) -> Holdout:
    """The split with the texts and the champion's profiles that it names."""
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    champion = ModelReference.load(at.model_reference(CHAMPION))
    holdout = make_holdout(
        split,
        pa.concat_tables([SCHEMA.empty_table(), *features]),
        list_segments(at.profiles(CHAMPION)),
        settings.users.lambda_or(champion.users.ridge_lambda),
        settings.evaluate.seed,
        _ranker(champion, at),
        champion.lexical_width,
        _typical_weight(champion, settings),
        partial(views_at, at.features),
        champion.weighting,
    )
    return _with_traits(holdout, at)


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
    if not ModelReference.is_at(at.model_reference(CHALLENGER)) or not at.profiles(CHALLENGER).is_dir():
        return None
    challenger = ModelReference.load(at.model_reference(CHALLENGER))
    segments = list_segments(at.profiles(CHALLENGER))
    adopt_model(challenger, at.finetune / "packed", at.cache)  # DVC may have brought it from another machine
    _require_profiles_of(challenger, segments, at)
    challenged = with_profiles(
        holdout,
        split,
        segments,
        settings.users.lambda_or(challenger.users.ridge_lambda),
        _ranker(challenger, at),
        challenger.lexical_width,
        _typical_weight(challenger, settings),
        challenger.weighting,
    )
    return _with_traits(challenged, at)


def _with_traits(holdout: Holdout, at: Artifacts) -> Holdout:
    """The holdout with the traits that its ranker reads, in the versions that the split chose."""
    second = holdout.ranker.second
    if second is None or not second.traits:
        return holdout
    items = Split.load(at.split).items
    columns = (items[name].to_pylist() for name in ("item_id", "part", "line"))
    place_of = {item: (part, line) for item, part, line in zip(*columns, strict=True)}
    traits = traits_at(at.data, [place_of[item] for item in holdout.item_ids], second.traits)
    return replace(holdout, known=replace(holdout.known, traits=traits))


def _view_weights(roles: Sequence[str], at: Artifacts) -> dict[str, dict[str, float]]:
    """Role -> weights of the views that its model's head joins; without models that join none."""
    models = {role: ModelReference.load(at.model_reference(role)) for role in roles}
    heads = {role: model.head for role, model in models.items() if model.head is not None}
    weights = {role: view_weights(at.cache / "heads" / head.hash) for role, head in heads.items()}
    return {role: found for role, found in weights.items() if found}


def _typical_weight(model: ModelReference, settings: Settings) -> float:
    """The weight that releases of the model have: the one that validation chose, or that of params.yaml."""
    chosen = model.search.typical_weight if model.search else None
    return settings.search.typical_weight if chosen is None else chosen


def _ranker(model: ModelReference, at: Artifacts) -> Ranker:
    """The ranker of a model."""
    kind = ranker_class(model.ranker.name, len(model.ranker.files))
    return kind.load([ranker_file(model, at.cache, file.name) for file in model.ranker.files[: kind.n_files]])


def _judge_robustness(
    holdout: Holdout, models: Mapping[str, Scorer], settings: Settings, at: Artifacts
) -> tuple[Robustness, ...]:
    """Champion and challenger by perturbed texts. Nobody else reads their vectors, so they go with the workspace."""
    judged = {
        role: model for role in (CHAMPION, CHALLENGER) if isinstance(model := models.get(role), Recommender)
    }

    def encode(role: str, texts: Sequence[str], views: Views) -> NDArray[np.float32]:
        report_progress(f"perturbed texts: {len(texts)} by the {role}")
        return encode_cached(
            ModelReference.load(at.model_reference(role)),
            texts,
            at,
            settings.encoder.batch_tokens,
            settings.profiles.chunk_texts,
            at.var / "perturbed",
            views,
        )

    return judge_robustness(holdout, judged, encode, settings.evaluate)


def _leaks(
    holdout: Holdout, challenged: Holdout | None, models: Mapping[str, Scorer], similarity: float
) -> tuple[Finding, ...]:
    found = find_leaks(holdout, {n: m for n, m in models.items() if n != CHALLENGER}, similarity)
    if challenged is None:
        return found
    # Its Gram matrix is made of other profiles; all else is the same holdout.
    own = statistics_after_cut(challenged, {CHALLENGER: models[CHALLENGER]}, similarity)
    return (*found, own) if own else found


def _load_seeds(settings: Settings, at: Artifacts) -> tuple[_Seed, ...]:
    """The challenger and its siblings; empty where `finetune.seeds` is 1."""
    wanted = settings.finetune.seeds
    if wanted == 1:
        return ()
    challenger, trained = (
        ModelReference.load(at.model_reference(CHALLENGER)),
        TrainedSeeds.load(at.finetune),
    )
    first = trained.seeds[0].model_hash
    if first != challenger.hash or len(trained.seeds) != wanted:
        raise ArtifactMissing(
            f"{at.finetune / SEEDS} is of model {first[:10]} trained with {len(trained.seeds)} seeds, the challenger "
            f"is {challenger.hash[:10]} and finetune.seeds is {wanted}",
            remedy="run: dvc repro finetune",
        )
    packed = [folder_of(at.finetune, one.seed) / "packed" for one in trained.siblings]
    siblings = [
        _Seed(one.seed, ModelReference.load(folder / REFERENCE), folder)
        for one, folder in zip(trained.siblings, packed, strict=True)
    ]
    return (_Seed(trained.seeds[0].seed, challenger, at.finetune / "packed"), *siblings)


def _learn_siblings(
    seeds: Sequence[_Seed], holdout: Holdout, settings: Settings, at: Artifacts
) -> Iterator[Scorer]:
    """What is judged of each further training, learned as the challenger's; one at a time."""
    for one in seeds[1:]:
        report_progress(f"seed {one.seed}: model {one.model.hash[:10]} beside the challenger")
        adopt_model(one.model, one.packed, at.cache)
        # Vectors that nobody reads elsewhere go with the workspace; those of the challenger's own encoder are there.
        is_shared = one.model.encoder.hash == seeds[0].model.encoder.hash
        caches = None if is_shared else at.var / "siblings"
        vectors_ID = encode_cached(
            one.model,
            holdout.known.texts,
            at,
            settings.encoder.batch_tokens,
            settings.profiles.chunk_texts,
            caches,
            views=holdout.known.views,
        )
        ridge_lambda = settings.users.lambda_or(one.model.users.ridge_lambda)
        ranker, width = _ranker(one.model, at), one.model.lexical_width
        typical_weight = _typical_weight(one.model, settings)
        profiled = with_vectors(
            holdout, vectors_ID, ridge_lambda, ranker, width, typical_weight, one.model.weighting
        )
        yield learn_recommender(_with_traits(profiled, at).known, profiled.ranker)


def _require_profiles_of(challenger: ModelReference, segments: tuple[Segment, ...], at: Artifacts) -> None:
    """Their names tell of which texts, encoder and head they are."""
    with_views = uses_views(challenger, at.cache)
    wanted = {
        segment_name(file.part, file.content_key(with_views=with_views), challenger.profiles_hash)
        for file in feature_files(at.features)
    }
    if wanted != {segment.name for segment in segments}:
        raise ArtifactMissing(
            f"{at.profiles(CHALLENGER)} holds profiles of another model or of other texts than these",
            remedy=f"run: dvc repro profiles@challenger; without a challenger delete {at.profiles(CHALLENGER)}",
        )


def _identity(split: Split, settings: Settings, at: Artifacts) -> TrainedOn:
    by, params = split.summary.by, settings.split
    return TrainedOn(
        trained_on=identity(at.split),
        trained_until=split.summary.cut,
        held_out_by=hash_rule(by, params.seed, params.test_share),
    )


def _save(report: Report, at: Artifacts) -> None:
    report.save(at.report)
    write_whole(at.metrics, (json.dumps(report.flat_metrics(), indent=2) + "\n").encode())
    for part in report.slices:
        write_whole(at.plots / f"{part.name}_recall_by_k.csv", recall_by_k(part).encode())
        write_whole(at.plots / f"{part.name}_models.csv", by_model(part).encode())
