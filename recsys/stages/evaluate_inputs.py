"""Reads the inputs of stage `evaluate`: the holdout with each model's profiles, λ, ranker and traits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from recsys.artifacts import Artifacts
from recsys.catalogue.split import Split
from recsys.dataset.traits import traits_at
from recsys.errors import ArtifactMissing
from recsys.evaluation.holdout import Holdout, make_holdout, with_profiles, with_vectors
from recsys.evaluation.report import CHALLENGER, CHAMPION, JudgedSeed
from recsys.features.text import feature_files, read_features
from recsys.features.views_file import views_at
from recsys.heads.head_file import view_weights
from recsys.models.encoding import encode_cached
from recsys.models.opening import uses_views
from recsys.models.packed import adopt_model, ranker_file
from recsys.models.reference import REFERENCE, ModelReference
from recsys.profiles.items import Segment, list_segments, segment_name
from recsys.profiles.params import UsersParams
from recsys.ranking.ranker import Ranker
from recsys.ranking.rankers import ranker_class
from recsys.settings import Settings
from recsys.storage.strings import Strings
from recsys.training.seeds import SEEDS, TrainedSeeds, folder_of

READ = ("item_id", "text", "tags", "updated_at", "deleted", "part", "line")
"""Columns of the features."""


@dataclass(frozen=True)
class Seed:
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


def load_holdout(split: Split, settings: Settings, at: Artifacts) -> Holdout:
    """Read the split's holdout, with the champion's profiles and λ.

    Args:
        split: the split.
        settings: all of params.yaml.
        at: the workspace.

    Returns:
        The holdout.

    Raises:
        ArtifactMissing: the profiles are of another encoder or of other data.
    """
    champion = ModelReference.load(at.model_reference(CHAMPION))
    holdout = make_holdout(
        split,
        read_features(at.features, READ),
        list_segments(at.profiles(CHAMPION)),
        settings.users.lambda_or(champion.users.ridge_lambda),
        settings.evaluate.seed,
        _ranker(champion, at),
        champion.lexical_width,
        _typical_weight(champion, settings),
        partial(views_at, at.features),
        champion.weighting,
        _prior_weight(champion, settings),
        at.judged(CHAMPION),
    )
    return with_traits(holdout, at)


def load_challenged(holdout: Holdout, split: Split, settings: Settings, at: Artifacts) -> Holdout | None:
    """Read the challenger's profiles and λ for the same holdout.

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
        _prior_weight(challenger, settings),
        at.judged(CHALLENGER),
    )
    return with_traits(challenged, at)


def load_seeds(settings: Settings, at: Artifacts) -> tuple[Seed, ...]:
    """Read the trainings of the challenger.

    Args:
        settings: all of params.yaml.
        at: the workspace.

    Returns:
        The challenger, then its siblings; empty where `finetune.seeds` is 1.

    Raises:
        ArtifactMissing: they are of another challenger, or of another number of seeds.
    """
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
        Seed(one.seed, ModelReference.load(folder / REFERENCE), folder)
        for one, folder in zip(trained.siblings, packed, strict=True)
    ]
    return (Seed(trained.seeds[0].seed, challenger, at.finetune / "packed"), *siblings)


def load_sibling(
    seed: Seed, holdout: Holdout, settings: Settings, at: Artifacts, caches: Path | None
) -> Holdout:
    """The same holdout with profiles and λ of a further training.

    Args:
        seed: the training.
        holdout: with the champion's.
        settings: all of params.yaml.
        at: the workspace; the model's parts are added to its cache.
        caches: where vectors of its encoder are cached; None: with those that other stages read.

    Returns:
        The holdout.

    Raises:
        ArtifactMissing: the model's files are missing.
    """
    model = seed.model
    adopt_model(model, seed.packed, at.cache)
    vectors_ID = encode_cached(
        model,
        holdout.known.texts,
        at,
        settings.encoder.batch_tokens,
        settings.profiles.chunk_texts,
        caches,
        views=holdout.known.views,
    )
    profiled = with_vectors(
        holdout,
        vectors_ID,
        settings.users.lambda_or(model.users.ridge_lambda),
        _ranker(model, at),
        model.lexical_width,
        _typical_weight(model, settings),
        model.weighting,
        _prior_weight(model, settings),
    )
    return with_traits(profiled, at)


def read_view_weights(roles: Sequence[str], at: Artifacts) -> dict[str, dict[str, float]]:
    """Read the weights of the views that each model's head joins.

    Args:
        roles: champion, challenger.
        at: the workspace.

    Returns:
        Role -> view -> weight, without models that join no view.
    """
    models = {role: ModelReference.load(at.model_reference(role)) for role in roles}
    heads = {role: model.head for role, model in models.items() if model.head is not None}
    weights = {role: view_weights(at.cache / "heads" / head.hash) for role, head in heads.items()}
    return {role: found for role, found in weights.items() if found}


def with_traits(holdout: Holdout, at: Artifacts) -> Holdout:
    """Add the traits that the holdout's ranker reads, from the versions that the split chose.

    Args:
        holdout: with the ranker.
        at: the workspace.

    Returns:
        The holdout; the same where its ranker reads none.
    """
    second = holdout.ranker.second
    if second is None or not second.traits:
        return holdout
    items = Split.load(at.split).items
    rows_I = Strings(items["item_id"]).rows_in(Strings(holdout.item_ids).column)
    places = items.select(["part", "line"]).take(pa.array(rows_I))
    traits = traits_at(at.data, places, holdout.known.views, second.traits)
    return replace(holdout, known=replace(holdout.known, traits=traits))


def _typical_weight(model: ModelReference, settings: Settings) -> float:
    """The weight that releases of the model have: the one that validation chose, or that of params.yaml."""
    chosen = model.search.typical_weight if model.search else None
    return settings.search.typical_weight if chosen is None else chosen


def _prior_weight(model: ModelReference, settings: Settings) -> float:
    """The weight of the users' prior that releases of the model have."""
    return settings.users.prior_or(model.users.ridge_lambda, model.users.prior_weight, settings.privacy)


def _ranker(model: ModelReference, at: Artifacts) -> Ranker:
    """The ranker of a model."""
    kind = ranker_class(model.ranker.name, len(model.ranker.files))
    return kind.load([ranker_file(model, at.cache, file.name) for file in model.ranker.files[: kind.n_files]])


def _require_profiles_of(challenger: ModelReference, segments: tuple[Segment, ...], at: Artifacts) -> None:
    """Refuse profiles of other texts, or of another encoder or head: their names tell."""
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
