"""The endpoint that a good engineer writes in an afternoon: FastAPI, uvicorn, sentence-transformers, HNSW and bm25s.

It knows what a release knows, which `export` lays out for it: profiles, histories, Gram matrix, item weights, and what
answers show of items. `/recommend` ranks the same candidates as Firstlight by the same rule, without what the user
likes, and shows the same fields. `/search` joins BM25 with the nearest items by the encoder's own vectors. It has none
of the rest: filters, feedback, limits, keys, swaps, figures, a log line for each answer.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field
from scipy.sparse import coo_array, load_npz, save_npz

from recsys.ranking.item_weights import UNKNOWN, WeightedItems

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FOLDER = "PLAIN_ENDPOINT_FOLDER"
POOL = 100
WORDS_WEIGHT = 0.7


K = Annotated[int, Field(ge=1, le=1000)]


class RecommendRequest(BaseModel):
    """Who, and how many."""

    user: str
    k: K = 10


class SearchRequest(BaseModel):
    """What, and how many."""

    query: str
    k: K = 10


class Item(BaseModel):
    """What an answer shows of an item."""

    item_id: str
    score: float
    title: str | None
    description: str | None
    tags: list[str]
    image: str | None
    attributes: dict[str, str | float | list[str]]


class ItemList(BaseModel):
    """An answer."""

    items: list[Item]


def export(store: str, users: Sequence[str], key: str, folder: Path, expansion: int) -> None:
    """Lay a release's content out as plain files, and index it.

    Args:
        store: the release store.
        users: raw ids.
        key: of their pseudonyms.
        folder: gets the files; an index that lies there is kept, since it takes minutes to build.
        expansion: efSearch, with which the index has the recall of ours.
    """
    import bm25s  # type: ignore[import-untyped]
    import faiss

    from recsys import Release
    from recsys.catalogue.pseudonyms import Pseudonyms
    from recsys.settings import Settings, shipped_params

    folder.mkdir(parents=True, exist_ok=True)
    release = Release.open(store, cache=folder / "cache")
    profiles, ranked = release._profiles, release._recommender._ranked  # noqa: SLF001  the rival may look inside
    details = release._recommender.items.details_of(release.items)  # noqa: SLF001
    shown = [{"item_id": one, **detail} for one, detail in zip(release.items, details, strict=True)]
    (folder / "shown.json").write_text(json.dumps(shown))
    if (folder / "texts.index").exists():
        return
    vectors = profiles.searcher.vectors_of(np.arange(len(release.items)))
    titles = [one["title"] or "" for one in shown]
    pseudonyms = Pseudonyms(key)
    histories = {
        user: profiles.latest.item_ids.rows_of(profiles.histories.items_of(pseudonyms.of(user))).tolist()
        for user in users
    }
    inverse = profiles.ridge(1.0).weights(np.eye(vectors.shape[1]))
    (folder / "histories.json").write_text(json.dumps(histories))
    np.savez(folder / "arrays.npz", vectors=vectors, inverse=inverse.astype(np.float32))
    assert isinstance(ranked._items, WeightedItems)  # noqa: SLF001
    _export_weights(ranked._items, ranked.growth, len(vectors), folder)  # noqa: SLF001
    bm25 = bm25s.BM25()
    bm25.index(bm25s.tokenize(titles, show_progress=False), show_progress=False)
    bm25.save(str(folder / "bm25"))
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    encoded = _encoder(Settings.load(shipped_params()).encoder.source).encode(titles, batch_size=64)
    for name, matrix in (
        ("profiles", vectors),
        ("texts", encoded / np.linalg.norm(encoded, axis=1)[:, None]),
    ):
        index = faiss.IndexHNSWFlat(matrix.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        index.add(np.ascontiguousarray(matrix, np.float32))
        index.hnsw.efSearch = expansion
        faiss.write_index(index, str(folder / f"{name}.index"))


def _export_weights(items: WeightedItems, growth: float, n_items: int, folder: Path) -> None:
    """Item weights as one sparse matrix, from items of a history to the items that are all scored."""
    scored = items.groups.scored
    row_of_place = np.full(len(items.weights.digests_T), -1)
    known = np.flatnonzero(items.place_I != UNKNOWN)
    row_of_place[items.place_I[known]] = known
    column_of = np.full(n_items, -1)
    column_of[scored] = np.arange(len(scored))
    weights = coo_array(items.weights.weights_TT)
    rows, columns = row_of_place[weights.row], row_of_place[weights.col]
    here = (rows >= 0) & (columns >= 0)
    matrix = coo_array(
        (weights.data[here], (rows[here], column_of[columns[here]])), shape=(n_items, len(scored))
    )
    save_npz(folder / "weights.npz", matrix.tocsr())
    factor_I = np.where(items.place_I != UNKNOWN, items.weights.factor_T[items.place_I], 1)
    np.savez(folder / "ranker.npz", scored=scored, factor=(factor_I * growth).astype(np.float32))


def _encoder(source: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    from recsys.encoders.source import find_source

    return SentenceTransformer(str(find_source(source)), device="cpu")


def create() -> FastAPI:
    """The application, from the folder that PLAIN_ENDPOINT_FOLDER names."""
    import bm25s
    import faiss
    import torch

    from recsys.settings import Settings, shipped_params

    folder = Path(os.environ[FOLDER])
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    shown = json.loads((folder / "shown.json").read_text())
    histories = json.loads((folder / "histories.json").read_text())
    arrays, ranker = np.load(folder / "arrays.npz"), np.load(folder / "ranker.npz")
    vectors, inverse = arrays["vectors"], arrays["inverse"]
    scored, factor = ranker["scored"], ranker["factor"]
    weights, scored_vectors, is_scored = (
        load_npz(folder / "weights.npz"),
        vectors[scored],
        np.zeros(len(shown), bool),
    )
    is_scored[scored] = True
    profiles, texts = (faiss.read_index(str(folder / f"{name}.index")) for name in ("profiles", "texts"))
    encoder = _encoder(Settings.load(shipped_params()).encoder.source)
    bm25 = bm25s.BM25.load(str(folder / "bm25"))
    app = FastAPI()

    def answer(rows: np.ndarray, scores: np.ndarray) -> ItemList:
        found = zip(rows.tolist(), scores.tolist(), strict=True)
        return ItemList(items=[Item(**shown[row], score=score) for row, score in found])

    @app.get("/readyz")
    def ready() -> dict[str, int]:
        return {"worker": os.getpid()}

    @app.post("/v1/recommend")
    def recommend(request: RecommendRequest) -> ItemList:
        history = histories[request.user]
        user = inverse @ vectors[history].sum(axis=0)
        dots, near = profiles.search(user[None], POOL + len(history))
        others = ~is_scored[near[0]] & ~np.isin(near[0], history)
        rows = np.concatenate([scored, near[0][others]])
        scores = np.concatenate(
            [
                scored_vectors @ user * factor[scored] + weights[history].sum(axis=0),
                dots[0][others] * factor[near[0][others]],
            ]
        )
        scores[np.isin(rows, history)] = -np.inf
        best = np.argpartition(-scores, request.k)[: request.k]
        best = best[np.argsort(-scores[best])]
        return answer(rows[best], scores[best])

    @app.post("/v1/search")
    def search(request: SearchRequest) -> ItemList:
        query = encoder.encode([request.query], normalize_embeddings=True, show_progress_bar=False)
        dots, near = texts.search(query, POOL)
        words, by_words = bm25.retrieve(
            bm25s.tokenize([request.query], show_progress=False), k=POOL, show_progress=False
        )[::-1]
        total: dict[int, float] = dict(
            zip(near[0].tolist(), ((1 - WORDS_WEIGHT) * dots[0]).tolist(), strict=True)
        )
        for row, score in zip(
            by_words[0].tolist(), (WORDS_WEIGHT * words[0] / max(words.max(), 1e-9)).tolist(), strict=True
        ):
            total[row] = total.get(row, 0.0) + score
        rows = np.array(sorted(total, key=lambda row: -total[row])[: request.k])
        return answer(rows, np.array([total[row] for row in rows.tolist()]))

    return app


def main() -> None:
    """Serve a folder that `export` made."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    os.environ[FOLDER] = args.folder
    uvicorn.run(
        "bench.rivals.plain_endpoint:create",
        factory=True,
        port=args.port,
        workers=args.workers,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
