"""How good are the first lists of a new user, who likes nothing yet, or one, two or five items?

`python -m bench.new_users` lands MovieLens-100K without the interactions of 300 users and without those with the cold
fifth of the films (protocol ml100k-cold), trains head and ranker, publishes, and asks the release as the service does:
a new user who likes the first 0, 1, 2 or 5 of five films drawn for them. All their other films are relevant.

Two lists: `mixed` holds all films but the user's five, as a new user gets it. `cold` holds the cold films alone: nobody
likes them, so popularity says nothing about them. Floors: popularity among the users of the release; the mean of the
encoder's vectors of what the user likes (centroid), which nothing liked leaves without an order.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT, write_figures
from bench.own_release import opened, published
from bench.protocols import ml100k, require_shared_data

HOME = ROOT / "var" / "bench" / "new_users"
USERS, SEED = 300, 20260101
CUTS = (0, 1, 2, 5)
DRAWN = max(CUTS)
K = 20
ROUNDS = 2000
LISTS = ("mixed", "cold")


@dataclass(frozen=True)
class NewUser:
    """Somebody whom the release does not know."""

    drawn: tuple[str, ...]
    """Warm items; the first n of them are liked."""
    relevant: Mapping[str, frozenset[str]]
    """By list: all others."""


@dataclass(frozen=True)
class World:
    """What lands, and who comes later."""

    items: list[dict[str, object]]
    interactions: list[dict[str, object]]
    users: tuple[NewUser, ...]
    cold: frozenset[str]


def world() -> World:
    """Draw the new users among those with more than five warm items and a cold one."""
    items, log, cold_ids = ml100k()
    cold = frozenset(cold_ids.to_pylist())
    liked: dict[str, list[str]] = {}
    for row in log.select(["user_id", "item_id"]).to_pylist():
        liked.setdefault(row["user_id"], []).append(row["item_id"])
    rng = np.random.default_rng(SEED)
    fit = [user for user, some in sorted(liked.items()) if _counts(some, cold)]
    drawn = sorted(rng.permutation(len(fit))[:USERS].tolist())
    new = {fit[place] for place in drawn}
    users = []
    for user in sorted(new):
        warm = [item for item in sorted(liked[user]) if item not in cold]
        known = tuple(warm[place] for place in rng.permutation(len(warm))[:DRAWN].tolist())
        relevant = frozenset(liked[user]) - set(known)
        users.append(NewUser(known, {"mixed": relevant, "cold": relevant & cold}))
    kept = [
        {"user_id": row["user_id"], "item_id": row["item_id"], "event": "view", "timestamp": row["timestamp"]}
        for row in log.to_pylist()
        if row["user_id"] not in new and row["item_id"] not in cold
    ]
    return World(_catalogue(items), kept, tuple(users), cold)


def main() -> None:
    """Build what is missing, ask, and write var/bench/new_users.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fresh", action="store_true", help="build the release anew")
    fresh = parser.parse_args().fresh
    require_shared_data()
    made = world()
    landing = {"catalogue/films": made.items, "interactions/ratings": made.interactions}
    store = published(HOME / "work", HOME / "cache", landing, trained=True, fresh=fresh)
    figures = measured(store, made)
    print(json.dumps(figures, indent=1))
    write_figures("new_users", figures)


def measured(store: Path, made: World) -> dict[str, float]:
    """ndcg@20 by list and cut, of the release and of the floors, with paired intervals of the differences."""
    from recsys.serving.answers import ListRequest, Taste

    recommender = opened(store, HOME / "cache" / "releases")
    ids = list(recommender.profiles.latest.item_ids)
    row_of = {one: row for row, one in enumerate(ids)}
    vectors_ID, popular_I = _vectors(ids), recommender.popular.likes_I
    figures: dict[str, float] = {"users": len(made.users)}
    for name in LISTS:
        allowed = [one for one in ids if name == "mixed" or one in made.cold]
        for cut in CUTS:
            found: dict[str, list[float]] = {}
            for user in made.users:
                candidates = [one for one in allowed if one not in user.drawn]
                request = ListRequest(k=K, candidates=candidates)
                likes = user.drawn[:cut]
                listed = {"": [one.item_id for one in recommender.recommend(Taste(likes), request).items]}
                rows_C = np.array([row_of[one] for one in candidates])
                if name == "mixed":
                    listed["popular"] = _best(candidates, popular_I[rows_C])
                if likes:
                    mean_D = vectors_ID[[row_of[one] for one in likes]].mean(axis=0)
                    listed["centroid"] = _best(candidates, vectors_ID[rows_C] @ mean_D)
                for method, one in listed.items():
                    found.setdefault(method, []).append(ndcg(one, user.relevant[name]))
            figures |= _compared("" if name == "mixed" else "cold_", cut, found)
    return figures


def ndcg(listed: Sequence[str], relevant: frozenset[str]) -> float:
    """ndcg@20 with binary relevance."""
    gain_K = 1 / np.log2(np.arange(2, K + 2))
    hits = np.array([item in relevant for item in listed[:K]], float)
    return float(hits @ gain_K[: len(hits)] / gain_K[: len(relevant)].sum())


def _compared(prefix: str, cut: int, found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    own_U = np.array(found[""])
    figures = {f"new_user_{prefix}ndcg20_{cut}": round(float(own_U.mean()), 4)}
    for method in sorted(set(found) - {""}):
        floor_U = np.array(found[method])
        figures[f"new_user_{prefix}{method}_ndcg20_{cut}"] = round(float(floor_U.mean()), 4)
        means = np.random.default_rng(0).choice(own_U - floor_U, (ROUNDS, len(own_U))).mean(axis=1)
        for end, value in zip(("low", "high"), np.quantile(means, (0.025, 0.975)), strict=True):
            figures[f"new_user_{prefix}gain_over_{method}_{cut}_{end}"] = round(float(value), 4)
    return figures


def _best(candidates: Sequence[str], scores_C: NDArray[np.floating]) -> list[str]:
    """The best of them; of equal ones the smaller id."""
    order = np.lexsort((np.array(candidates, object), -scores_C))[:K]
    return [candidates[place] for place in order.tolist()]


def _vectors(ids: Sequence[str]) -> NDArray[np.float32]:
    """The encoder's own vectors, before any head: the stages have cached them."""
    from recsys.artifacts import Artifacts
    from recsys.features.text import feature_files
    from recsys.models.encoding import encode_cached
    from recsys.models.reference import ModelReference

    at = Artifacts(HOME / "work" / "workspace")
    model = ModelReference.load(at.model_reference("champion"))
    rows = [row for file in feature_files(at.features) for row in pq.read_table(file.path).to_pylist()]
    text_of = {row["item_id"]: row["text"] for row in rows}
    return encode_cached(
        ModelReference.of(model.encoder),
        [text_of[one] for one in ids],
        at,
        2048,
        4096,
        HOME / "cache" / "vectors",
    )


def _counts(liked: Sequence[str], cold: frozenset[str]) -> bool:
    n_cold = sum(item in cold for item in liked)
    return len(liked) - n_cold > DRAWN and n_cold > 0


def _catalogue(items: pa.Table) -> list[dict[str, object]]:
    """The fields that profiles read; a film's genres are its tags."""
    return [
        {
            "item_id": row["item_id"],
            "title": row["title"],
            "description": row["description"],
            "tags": row["genres"] or [],
            "updated_at": "2026-01-01",
        }
        for row in items.select(["item_id", "title", "description", "genres"]).to_pylist()
    ]


if __name__ == "__main__":
    main()
