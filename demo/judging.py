"""Judge the published profiles of new films against ratings that were withheld."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from demo.data import Film, Rating
from recsys import Release
from recsys.artifacts import Artifacts
from recsys.baselines.baselines import BASELINES
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import PAD
from recsys.dataset.interactions import make_interactions
from recsys.features.text import feature_files
from recsys.profiles.history_files import history_files, load_histories
from recsys.ranking.metrics import recall_at_k
from recsys.ranking.tasks import rank
from recsys.settings import Settings

# Shape suffixes: U users, I items, R padded relevant items.
CHAMPION = "ridge"
MODELS = {
    "random": "random order",
    "same_category": "popularity of the same genres",
    "tfidf_centroid": "TF-IDF centroid",
    "encoder_centroid": "encoder centroid",
    CHAMPION: "published profiles (ridge)",
}
"""Scorer -> its name in the demo; the published profiles come last."""


@dataclass(frozen=True)
class Judged:
    """Mean recall@k over users, by scorer."""

    k: int
    n_users: int
    n_candidates: int
    recall: dict[str, float]


def judge_cold(
    release: Release,
    at: Artifacts,
    settings: Settings,
    films: tuple[Film, ...],
    withheld: tuple[Rating, ...],
    pseudonyms: Pseudonyms,
    models: tuple[str, ...] = tuple(MODELS),
) -> Judged:
    """Rank all cold films for every user with a history, by published profiles and by floors.

    Args:
        release: its profiles are judged; it holds the films.
        at: the workspace that it was published from; it has texts and histories.
        settings: its params.
        films: the cold candidates.
        withheld: their ratings, which never landed. Each makes the film relevant to its user.
        pseudonyms: of the workspace.
        models: names of MODELS.

    Returns:
        Recall at `evaluate.k` of the champion and of each floor.
    """
    known = _known(release, at, settings)
    row_of_item = {item: row for row, item in enumerate(known.item_ids)}
    candidates = np.array(sorted(row_of_item[film.item_id] for film in films), np.int64)
    row_of_user = {user: row for row, user in enumerate(known.interactions.users)}
    relevant: dict[int, list[int]] = {}
    for rating in withheld:
        row = row_of_user.get(pseudonyms.of(rating.user_id))
        if row is not None:
            relevant.setdefault(row, []).append(row_of_item[rating.item_id])
    users = np.array(sorted(relevant), np.int64)
    relevant_UR = np.full((len(users), max(map(len, relevant.values()))), PAD, np.int64)
    for place, user in enumerate(users):
        relevant_UR[place, : len(relevant[user])] = relevant[user]
    k = settings.evaluate.k
    found = {}
    for name in models:
        ranked = rank(BASELINES[name](known), users, candidates, k)
        found[name] = float(np.mean(recall_at_k(ranked.rows_UK, relevant_UR, k)))
    return Judged(k, len(users), len(candidates), found)


def _known(release: Release, at: Artifacts, settings: Settings) -> Dataset:
    """What the release holds and was made of."""
    ids = release.items
    features = pa.concat_tables([pq.read_table(file.path) for file in feature_files(at.features)])
    columns = (features[name].to_pylist() for name in ("item_id", "text", "tags"))
    newest = {item: (text, tuple(tags or ())) for item, text, tags in zip(*columns, strict=True)}
    histories = load_histories([file.path for file in history_files(at.users / "histories")])
    known = Dataset(
        vectors_ID=np.stack([release.profile(item) for item in ids]),
        texts=tuple(newest[item][0] for item in ids),
        tags=pa.array([newest[item][1] for item in ids], pa.list_(pa.string())),
        interactions=make_interactions(
            histories.pairs["user"], histories.pairs["item_id"], histories.users, ids
        ),
        ridge_lambda=release.ridge_lambda,
        seed=settings.evaluate.seed,
        lexical_width=release.manifest.model.lexical_width,
    )
    return known
