"""Stage `evaluate`: judge champion and challenger against the floors on one holdout, and look for leaks."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.split import Split
from recsys.evaluation.groups import read_groups
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.judge import judge, learn_models
from recsys.evaluation.leaks import find_leaks, statistics_after_cut
from recsys.evaluation.plots import by_model, recall_by_k
from recsys.evaluation.provenance import contamination, holdout_of
from recsys.evaluation.report import CHALLENGER, CHAMPION, Finding, Report, Robustness
from recsys.evaluation.robustness import judge_robustness
from recsys.evaluation.trained_on import trained_on
from recsys.features.views import Views
from recsys.models.encoding import encode_cached
from recsys.models.reference import ModelReference
from recsys.progress import report_progress
from recsys.ranking.recommender import Recommender, learn_recommender
from recsys.ranking.tasks import Scorer
from recsys.settings import Settings
from recsys.stages.evaluate_inputs import (
    Seed,
    load_challenged,
    load_holdout,
    load_seeds,
    load_sibling,
    read_view_weights,
)
from recsys.storage.atomic import write_whole


def run(settings: Settings, at: Artifacts) -> None:
    """Score all models on one holdout, including the challenger where it has profiles.

    Reads:   at.split, at.features, at.profiles, at.model_reference and at.trained_on of both roles; with
             `finetune.seeds` above 1 the challenger's siblings in at.finetune/seeds
    Writes:  at.report, at.metrics, at.plots (<slice>_recall_by_k.csv, <slice>_models.csv); siblings in at.cache;
             vectors of siblings and of perturbed texts in at.var; profiles of a large catalogue, until it ends
    Raises:  ArtifactMissing where an input is missing or belongs to other data; ConfigError where evaluate.groups names
             no file of groups. A leak raises nothing; it is a finding in the report
    """
    try:
        _save(_judged(settings, at), at)
    finally:
        shutil.rmtree(at.judged(CHAMPION).parent, ignore_errors=True)


def _judged(settings: Settings, at: Artifacts) -> Report:
    split = Split.load(at.split)
    holdout = load_holdout(split, settings, at)
    challenged = load_challenged(holdout, split, settings, at)
    models = learn_models(holdout, challenged, settings.evaluate.rivals)
    leaks = _leaks(holdout, challenged, models, settings.split.near_duplicate_similarity)
    seeds = load_seeds(settings, at) if challenged is not None else ()
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
    holdout_id = holdout_of(at.split, split.summary, settings.split)
    reasons = {role: contamination(one, holdout_id) for role, one in trained.items()}
    return Report(
        model_hash=ModelReference.load(at.model_reference(CHAMPION)).hash,
        challenger_hash=ModelReference.load(at.model_reference(CHALLENGER)).hash if challenged else None,
        ridge_lambda=holdout.known.ridge_lambda,
        challenger_lambda=challenged.known.ridge_lambda if challenged else None,
        prior_weights={
            role: one.known.prior_weight
            for role, one in ((CHAMPION, holdout), (CHALLENGER, challenged))
            if one and one.known.prior_weight
        },
        view_weights=read_view_weights(list(trained), at),
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


def _learn_siblings(
    seeds: Sequence[Seed], holdout: Holdout, settings: Settings, at: Artifacts
) -> Iterator[Scorer]:
    """Learn the recommender of each further training as the challenger's is learned, one at a time."""
    for one in seeds[1:]:
        report_progress(f"seed {one.seed}: model {one.model.hash[:10]} beside the challenger")
        # Nobody else reads these vectors, so they go with the workspace; the challenger's own are there already.
        is_shared = one.model.encoder.hash == seeds[0].model.encoder.hash
        sibling = load_sibling(one, holdout, settings, at, None if is_shared else at.var / "siblings")
        yield learn_recommender(sibling.known, sibling.ranker)


def _save(report: Report, at: Artifacts) -> None:
    report.save(at.report)
    write_whole(at.metrics, (json.dumps(report.flat_metrics(), indent=2) + "\n").encode())
    for part in report.slices:
        write_whole(at.plots / f"{part.name}_recall_by_k.csv", recall_by_k(part).encode())
        write_whole(at.plots / f"{part.name}_models.csv", by_model(part).encode())
