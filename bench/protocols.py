"""Public cold-start protocols: their plain files, and the judge that knows nothing of this project."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.figures import JUDGE, ROOT, SHARED_DATA

TOP = 150
"""Length of the lists that the judge asks for."""
COLD_SHARE = 0.2
"""Of the items, where the protocol is our own."""
SPLIT_SEED = 20260101
"""Of a random share: as in the file that splits MovieLens' movies."""
OWN_SIDES = ("ml100k-newest-released", "ml100k-newest-rated", "lastfm-cold")
"""Protocols whose positives and candidates the judge is told, see `bench/judging.py`."""


@dataclass(frozen=True)
class Protocol:
    """One task of the judge, and the figures that are reported."""

    name: str
    judge: str
    """The judge's name of it; one of `OWN_SIDES` where the judge does not know it."""
    figures: tuple[str, ...]
    """Headline first."""
    files: Callable[[], tuple[pa.Table, pa.Table, pa.Array]]
    """Makes items, interactions and the ids of the cold items."""


def citeulike(train: str, *cold: str) -> Callable[[], tuple[pa.Table, pa.Table, pa.Array]]:
    """Titles only: the tags come from the users who saved the item."""

    def make() -> tuple[pa.Table, pa.Table, pa.Array]:
        folder = SHARED_DATA / "citeulike-a"
        candidates = [pq.read_table(folder / f"split_{name}.parquet")["item_id"] for name in cold]
        return (
            pq.read_table(folder / "items.parquet", columns=["item_id", "title"]),
            pq.read_table(folder / f"split_{train}.parquet"),
            pc.unique(pa.chunked_array([chunk for one in candidates for chunk in one.chunks])),
        )

    return make


def ml100k() -> tuple[pa.Table, pa.Table, pa.Array]:
    """Every rating; a fifth of the movies is cold."""
    folder = SHARED_DATA / "ml-100k-multimodal"
    sides = pq.read_table(folder / "split_item_cold_random20_seed20260101.parquet")
    return (
        pq.read_table(folder / "items.parquet"),
        pq.read_table(folder / "interactions.parquet"),
        sides.filter(sides["is_cold"])["item_id"].combine_chunks(),
    )


def ml100k_newest(by: str) -> Callable[[], tuple[pa.Table, pa.Table, pa.Array]]:
    """Every rating; the newest fifth of the movies is cold, by release date or by first rating.

    Args:
        by: release_date, where a movie without one is old; or first_rating.
    """

    def make() -> tuple[pa.Table, pa.Table, pa.Array]:
        folder = SHARED_DATA / "ml-100k-multimodal"
        items, log = (pq.read_table(folder / f"{name}.parquet") for name in ("items", "interactions"))
        if by == "first_rating":
            first = log.group_by("item_id").aggregate([("timestamp", "min")])
            place = pc.index_in(items["item_id"], value_set=first["item_id"].combine_chunks())
            times = first["timestamp_min"].take(place)
        else:
            times = pc.strptime(items["release_date"], format="%d-%b-%Y", unit="s", error_is_null=True)
        dated = pa.table({"item_id": items["item_id"], "time": times})
        ordered = pc.sort_indices(dated, [("time", "descending", "at_end"), ("item_id", "ascending")])
        n_cold = round(COLD_SHARE * items.num_rows)
        return items, log, items["item_id"].take(ordered[:n_cold]).combine_chunks()

    return make


def industrial() -> tuple[pa.Table, pa.Table, pa.Array]:
    """Cold items are those that the train part does not know."""
    folder = SHARED_DATA / "amazon-industrial-2018"
    log = pq.read_table(folder / "interactions.parquet")
    warm = pc.unique(log.filter(pc.equal(log["split"], "train"))["item_id"])
    cold = log.filter(pc.invert(pc.is_in(log["item_id"], value_set=warm)))
    return pq.read_table(folder / "items.parquet"), log, pc.unique(cold["item_id"])


def lastfm() -> tuple[pa.Table, pa.Table, pa.Array]:
    """Artists by texts that a language model wrote, and pairs of both parts of the data; a random fifth is cold."""
    folder = SHARED_DATA / "lastfm-colakg"
    texts = pq.read_table(folder / "items_llm_text.parquet", columns=["text_key", "llm_text"])
    log = pq.read_table(folder / "interactions.parquet", columns=["user", "item"])
    items = texts.rename_columns(["item_id", "text"])
    ids = pc.take(items["item_id"], pc.sort_indices(items["item_id"])).combine_chunks()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(ids))
    return items, log.rename_columns(["user_id", "item_id"]), ids.take(order[: round(COLD_SHARE * len(ids))])


PROTOCOLS = (
    Protocol(
        "citeulike_H",
        "citeulike-H",
        ("ndcg@20", "recall@20", "recall@100"),
        citeulike("dropoutnet_train", "heater_cold_test"),
    ),
    Protocol(
        "citeulike_D",
        "citeulike-D",
        ("recall@100", "ndcg@20"),
        citeulike("dropoutnet_train", "heater_cold_test", "heater_cold_valid"),
    ),
    Protocol(
        "citeulike_G",
        "citeulike-G",
        ("precision@20", "ndcg@20"),
        citeulike("gar_train", "gar_cold_test", "gar_cold_valid"),
    ),
    Protocol("ml100k_cold", "ml100k-cold", ("ndcg@20", "recall@20"), ml100k),
    Protocol(
        "ml100k_newest_released",
        "ml100k-newest-released",
        ("ndcg@20", "recall@20"),
        ml100k_newest("release_date"),
    ),
    Protocol(
        "ml100k_newest_rated", "ml100k-newest-rated", ("ndcg@20", "recall@20"), ml100k_newest("first_rating")
    ),
    Protocol("industrial_cold", "industrial-cold", ("ndcg@20", "recall@20"), industrial),
    Protocol("lastfm_cold", "lastfm-cold", ("ndcg@20", "recall@20"), lastfm),
)


def require_shared_data() -> None:
    """End with a word where the shared data sets are not beside the checkout."""
    if not SHARED_DATA.is_dir():
        sys.exit(
            f"{SHARED_DATA} is not here: this benchmark needs the shared data sets and the judge beside them"
        )


def judged(protocol: str, run: Path, *more: str) -> dict[str, dict[str, float]]:
    """Mean, low and high by metric, from the judge.

    Args:
        protocol: the judge's name of it.
        run: ranked lists, parquet; the judge's answer is left beside it as .json.
        more: further arguments for the judge.

    Returns:
        What the judge says of each metric.
    """
    scored = run.with_suffix(".json")
    judge = ["-m", "bench.judging"] if protocol in OWN_SIDES else [str(JUDGE)]
    command = [sys.executable, *judge, protocol, str(run), "--json", str(scored), *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    found: dict[str, dict[str, float]] = json.loads(scored.read_text())["metrics"]
    return found
