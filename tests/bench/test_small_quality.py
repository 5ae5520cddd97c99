"""The small version of `make bench-quality`: what ships against floors on two worlds that need no data set."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.figures import ROOT
from bench.rivals.encoded import frozen_vectors
from bench.rivals.floors import encoder_centroid, lists, tfidf_centroid
from recsys.dataset.histories import PAD
from recsys.evaluation.cold_start import make_task
from recsys.ranking.metrics import ndcg_at_k
from recsys.settings import Settings

pytestmark = pytest.mark.slow

TOPICS = (
    "guitar violin piano drum trumpet cello flute banjo orchestra melody saxophone harp",
    "lion tiger zebra elephant giraffe monkey leopard rhino safari wolf bear panther",
    "kidney surgery hospital doctor nurse clinic vaccine patient therapy disease diagnosis medicine",
    "galaxy planet telescope comet orbit asteroid astronaut rocket moon nebula satellite star",
    "bread cheese butter pasta soup pizza salad cake recipe oven chocolate noodle",
    "soccer tennis hockey baseball golf rugby boxing basketball referee stadium athlete coach",
    "castle knight sword king queen dragon armor kingdom throne prince wizard crown",
    "engine brake wheel gearbox truck motorcycle tire diesel clutch driver garage sedan",
    "ocean whale coral dolphin shark seaweed lobster octopus tide reef squid harbor",
    "court lawyer judge jury verdict crime prison police evidence attorney trial law",
    "snow glacier blizzard ski frost avalanche ice winter sled igloo mitten hail",
    "software compiler database server network keyboard algorithm processor browser laptop program code",
)
BRANDS = tuple(
    a + b for a in ("vep", "zel", "quin", "mab", "tor", "lix") for b in ("ano", "etra", "usk", "ifex")
)
N_ITEMS, N_USERS, TOP, K = 1200, 500, 150, 20


def world(by_brand):
    """Titles of a brand or none and words of a topic; users who care for two topics, or for three brands.

    Histories are short. Of the cold items, half of what a user cares for is wanted, so that lists can be told apart.
    """
    rng = np.random.default_rng(7)
    topic_I, brand_I = rng.integers(len(TOPICS), size=N_ITEMS), rng.integers(len(BRANDS), size=N_ITEMS)
    titles = [" ".join(rng.choice(TOPICS[topic].split(), 2, replace=False)) for topic in topic_I]
    if by_brand:
        titles = [f"{BRANDS[brand]} {title}" for brand, title in zip(brand_I, titles, strict=True)]
    kind_I, n_kinds, n_liked = (brand_I, len(BRANDS), 3) if by_brand else (topic_I, len(TOPICS), 2)
    liked_UK = rng.random((N_USERS, n_kinds)).argsort(axis=1)[:, :n_liked]
    likes_UI = (liked_UK[:, :, None] == kind_I).any(axis=1)
    cold_I = rng.random(N_ITEMS) < 0.2
    chance_UI = np.where(likes_UI, np.where(cold_I, 0.5, 0.1 if by_brand else 0.04), 0.004)
    return titles, rng.random(likes_UI.shape) < chance_UI, cold_I


@pytest.fixture(scope="module", params=[False, True], ids=["meaning", "brand"])
def ndcgs(request, tmp_path_factory):
    """Mean ndcg@20 on cold items by method, from the same files."""
    titles, matrix_UI, cold_I = world(request.param)
    folder = tmp_path_factory.mktemp("small")
    ids = np.array([f"i{n:04}" for n in range(N_ITEMS)], object)
    u, i = np.nonzero(matrix_UI)
    items = pa.table({"item_id": ids, "title": titles})
    interactions = pa.table({"user_id": [f"u{one:04}" for one in u], "item_id": ids[i]})
    cold = pa.table({"item_id": ids[cold_I]})
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP)]
    for name, table in (("items", items), ("interactions", interactions), ("cold", cold)):
        pq.write_table(table, folder / f"{name}.parquet")
        command += [f"--{name}", str(folder / f"{name}.parquet")]
    subprocess.run([*command, "--out", str(folder / "run.parquet")], cwd=ROOT, check=True)
    task = make_task(
        items, interactions, cold["item_id"].to_pylist(), Settings.load(ROOT / "params.yaml").features
    )
    scores_UC = encoder_centroid(task, frozen_vectors(ROOT, task.texts))
    runs = {
        "firstlight": pq.read_table(folder / "run.parquet"),
        "TF-IDF centroid": tfidf_centroid(items, interactions, cold["item_id"].combine_chunks(), TOP),
        "encoder centroid": lists(task.users, ids[task.cold], scores_UC, TOP),
    }
    return {name: ndcg(run, task.users, matrix_UI[np.unique(u)] & cold_I) for name, run in runs.items()}


def ndcg(run, users, relevant_UI):
    """Of users who have something to find."""
    rows = {user: row for row, user in enumerate(users)}
    ranked_UK = np.full((len(users), K), PAD)
    for user, item, rank in zip(
        *(run[name].to_pylist() for name in ("user_id", "item_id", "rank")), strict=True
    ):
        if rank <= K:
            ranked_UK[rows[user], rank - 1] = int(item[1:])
    relevant_UR = np.full((len(users), relevant_UI.sum(axis=1).max()), PAD)
    for row, relevant in enumerate(relevant_UI):
        relevant_UR[row, : relevant.sum()] = np.flatnonzero(relevant)
    has_relevant = relevant_UI.any(axis=1)
    return float(ndcg_at_k(ranked_UK[has_relevant], relevant_UR[has_relevant], K).mean())


def test_what_ships_beats_every_floor_where_meaning_carries_the_taste_and_where_a_brand_does(ndcgs):
    ours = ndcgs.pop("firstlight")
    assert ours > max(ndcgs.values()), (ours, ndcgs)
