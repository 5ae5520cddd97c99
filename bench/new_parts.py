"""What does a new part of the model cost? A new ranker with another λ, then a new head, over a published catalogue.

Each is published as `publish_champion` does it, but for Airflow and MLflow: a workspace with the data of the newest
release, the champion moved in it, then `catch-up`, which runs the stages through the real DVC and swaps the pointer.
Counted is what stage `profiles` says of itself. The ranker is learned from users who like what is alike in profile,
since the catalogue's own interactions follow the alphabet; the head is that of first light with another γ.
"""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recsys.artifacts import Artifacts
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.effects.fetch_champion import catalogue_texts
from recsys.effects.workspace_make import make_release_workspace
from recsys.heads.first_light import pack_first_light
from recsys.models.packed import pack_ranker, remember_model
from recsys.models.parts import RankerPart
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments, load_profiles
from recsys.ranking.learning import ItemWeightsSettings, learn_item_weights
from recsys.settings import Settings
from recsys.storage.opening import open_storage

if TYPE_CHECKING:
    from bench.arrivals import Catalogue

CHAMPION = "champion"
LAMBDA_FACTOR = 2.0
GAMMA_FACTOR = 1.5
FANS, TASTES, LIKED_PER_TASTE, LIKED = 400, 40, 20, 8
"""Users the ranker is learned from, groups of alike items, items of a group, and how many of them a user likes."""


def learned_ranker(
    at: Artifacts, settings: Settings, model: ModelReference, ridge_lambda: float
) -> RankerPart:
    """Item weights between some items, over the model's profiles, from users who like what is near one item."""
    profiles = load_profiles(list_segments(at.profiles(CHAMPION)))
    rng = np.random.default_rng(7)
    centres = rng.choice(len(profiles.ids), TASTES, replace=False)
    nearest = np.argsort(-(profiles.vectors[centres] @ profiles.vectors.T), axis=1)[:, :LIKED_PER_TASTE]
    pairs = [
        (f"u{user}", profiles.ids[row])
        for user in range(FANS)
        for row in rng.choice(nearest[user % TASTES], LIKED, replace=False)
    ]
    users = [f"u{user}" for user in range(FANS)]
    users_R, items_R = (pa.chunked_array([pa.array(one)]) for one in zip(*pairs, strict=True))
    interactions = make_interactions(users_R, items_R, users, profiles.ids)
    texts = ("",) * len(profiles.ids)  # a ranker reads none
    dataset = Dataset(interactions, texts, profiles.vectors, ridge_lambda, 0, model.lexical_width)
    fusion = settings.fusion
    chosen = ItemWeightsSettings(
        ease_lambda=fusion.ease_lambdas[0],
        head_factor=fusion.head_factors[0],
        head_share=settings.evaluate.head_share,
        lift=fusion.lifts[0],
        max_items=fusion.max_weighted_items,
        weights_per_item=fusion.weights_per_item,
    )
    weights = learn_item_weights(dataset, chosen)
    assert weights is not None, "these users agree with the profiles"
    return pack_ranker("item_weights", weights, at.cache / "rankers")


def publish_model(catalogue: "Catalogue", model: ModelReference, number: int) -> dict[str, Any]:
    """Champion moved to pointer swapped: seconds, and what stage `profiles` did."""
    remember_model(model, Artifacts(catalogue.root).cache)
    storage = open_storage(os.environ["RECSYS_STORE"])
    started = time.perf_counter()
    own = make_release_workspace(
        storage, Artifacts(catalogue.root), catalogue.folder / f"own/publish_champion.{number}"
    )
    model.save(own.model_reference(CHAMPION))
    before, os.environ["RECSYS_WORKSPACE"] = os.environ["RECSYS_WORKSPACE"], str(own.root)
    try:
        catalogue.command("catch-up")
    finally:
        os.environ["RECSYS_WORKSPACE"] = before
    seconds = time.perf_counter() - started
    record: dict[str, Any] = json.loads((own.var / "last_encode.json").read_text())
    return record | {"seconds": seconds}


def run_new_parts(catalogue: "Catalogue", size: int, kept: Path) -> dict[str, Any]:
    """Publish a new ranker and λ, then a new head, over a catalogue that `first_load` has published."""
    at = Artifacts(catalogue.root)
    settings = Settings.load(at.params)
    model = ModelReference.load(at.model_reference(CHAMPION))
    assert model.head is not None, "first light joined words to the encoder"
    ridge_lambda = settings.users.ridge_lambda * LAMBDA_FACTOR
    ranker = learned_ranker(at, settings, model, ridge_lambda)
    ranked = publish_model(catalogue, ModelReference.of(model.encoder, model.head, ridge_lambda, ranker), 1)
    print(f"{size:>7,} new ranker and λ: {ranked}", flush=True)
    other = settings.first_light.model_copy(update={"gamma": settings.first_light.gamma * GAMMA_FACTOR})
    texts = catalogue_texts(at, settings)
    head = pack_first_light(model.encoder, texts, at.cache, other, settings.encoder.batch_tokens)
    headed = publish_model(catalogue, ModelReference.of(model.encoder, head, ridge_lambda), 2)
    print(f"{size:>7,} new head: {headed}", flush=True)
    result = {"size": size, "ranker": ranked, "head": headed}
    kept.write_text(json.dumps(result))
    return result
