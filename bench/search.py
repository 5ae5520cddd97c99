"""Search by words, by profiles, and by both: a real release of each collection, asked every query.

`python -m bench.search` lands the collection in a workspace of its own, publishes it at first light, and asks as the
service does. The weight of words for one half of the queries is chosen on the other half; beside it, once for all, by
queries that are made from the texts alone, as training does it where a team has no judged queries. Collections:
Cranfield (binary relevance), and kdconv-zh, whose queries name their item or do not.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT, SHARED_DATA, write_figures
from bench.own_release import opened, published

if TYPE_CHECKING:
    from recsys.validation.temperature import Case

HOME = ROOT / "var" / "bench" / "search"
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ALONE = {"profiles": 0.0, "bm25": 1.0}
K = 10
ROUNDS = 2000


@dataclass(frozen=True)
class Query:
    """A query and what it should find."""

    text: str
    relevant: frozenset[str]
    group: str
    """Judged apart."""


def cranfield() -> tuple[list[dict[str, object]], list[Query]]:
    """Catalogue rows and queries; an item that somebody judged relevant at all is relevant."""
    folder = SHARED_DATA / "search-cranfield"
    items = [row for row in _rows(folder / "items.parquet") if row["title"] or row["description"]]
    relevant: dict[str, set[str]] = {}
    for row in _rows(folder / "qrels.parquet"):
        if int(str(row["relevance"])) >= 1:
            relevant.setdefault(str(row["query_id"]), set()).add(str(row["item_id"]))
    found = [(str(row["query_id"]), str(row["query"])) for row in _rows(folder / "queries.parquet")]
    return items, [Query(text, frozenset(relevant[key]), "all") for key, text in found if key in relevant]


def kdconv() -> tuple[list[dict[str, object]], list[Query]]:
    """The Chinese items, and the test queries that name their item, or do not."""
    folder = SHARED_DATA / "kdconv-zh"
    items = [{**row, "updated_at": "2026-01-01"} for row in _rows(folder / "items.parquet")]
    groups = {"True": "named", "False": "unnamed"}
    queries = [
        Query(str(row["query"]), frozenset([str(row["item_id"])]), groups[str(row["name_in_query"])])
        for row in _rows(folder / "queries_qrels.parquet")
        if row["split"] == "test"
    ]
    return items, queries


COLLECTIONS = {"cranfield": cranfield, "kdconv": kdconv}


def main() -> None:
    """Build what is missing, ask, and write var/bench/search.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--collection", action="append", choices=COLLECTIONS, help="default: all; may be repeated"
    )
    parser.add_argument("--fresh", action="store_true", help="build the releases anew")
    arguments = parser.parse_args()
    # Of the encoder and the vectors that the releases were made with.
    os.environ["RECSYS_CACHE"] = str(HOME / "cache")
    figures: dict[str, float] = {}
    for name in arguments.collection or COLLECTIONS:
        items, queries = COLLECTIONS[name]()
        store = published(HOME / name, HOME / "cache", {"catalogue/items": items}, fresh=arguments.fresh)
        made, temperature = chosen_by_made_queries(HOME / name / "workspace", store)
        figures |= {f"{name}_{key}": value for key, value in measured(store, queries, made).items()}
        fit = calibrated(store, queries, made, temperature)
        figures |= {f"{name}_{key}": value for key, value in fit.items()}
    write_figures("search", figures)


def chosen_by_made_queries(workspace: Path, store: Path) -> tuple[float, float | None]:
    """Weight of words and temperature that training would choose at first light, which has no real query."""
    from recsys.artifacts import Artifacts
    from recsys.features.text import feature_files
    from recsys.heads.from_texts import fit_words, learn_from_texts
    from recsys.heads.headed import HeadedEncoder, query_profiles
    from recsys.models.encoding import encode_cached
    from recsys.models.opening import open_vectors
    from recsys.models.reference import ModelReference
    from recsys.settings import Settings
    from recsys.validation.queries import make_queries
    from recsys.validation.searching import choose_lexical_weight, make_slice
    from recsys.validation.temperature import choose_temperature, make_cases

    at, settings = Artifacts(workspace), Settings.load(ROOT / "params.yaml")
    search = settings.search
    model = ModelReference.of(opened(store, HOME / "cache/releases").manifest.model.encoder)
    texts = [
        text for file in feature_files(at.features) for text in pq.read_table(file.path)["text"].to_pylist()
    ]
    texts = [text for text in texts if text]
    queries, left = make_queries(
        texts, np.arange(len(texts)), search.max_queries, search.hidden_share, search.seed
    )
    for row, text in left.items():
        texts[row] = text
    vectors_ID = encode_cached(model, texts, at, settings.encoder.batch_tokens, 4096, HOME / "cache/vectors")
    head = learn_from_texts(texts, vectors_ID, fit_words(texts, settings.first_light), settings.first_light)
    encoder = HeadedEncoder(open_vectors(model, HOME / "cache", settings.encoder.batch_tokens), head, "made")
    queries_QD = query_profiles(encoder, [query.text for query in queries], head.lexical_width)
    profiles_ID = head.profiles(texts, vectors_ID)
    made = make_slice(texts, profiles_ID, queries, queries_QD, k1=search.k1, b=search.b)
    found = choose_lexical_weight(made, search.lexical_weights, search.lexical_weight, search.standard_errors)
    print("made queries:", dict(found.means))
    weight = search.lexical_weight if found.value is None else found.value
    return weight, choose_temperature(make_cases(made, weight)).value


def calibrated(
    store: Path, queries: Sequence[Query], weight: float, temperature: float | None
) -> dict[str, float]:
    """How well probabilities fit judged queries.

    Args:
        store: holds the release.
        queries: what to ask.
        weight: of words.
        temperature: chosen by made queries.

    Returns:
        Cross-entropy in nats: `uniform` with equal probabilities, `1` at temperature 1, `made` at this temperature,
        and `chosen` at one that was chosen by the other half of the queries. For temperature 1, `made` and `in_sample`,
        which was chosen by these very queries, by how much the probability of an item and how often it is looked for
        differ, on average over ten bins with as much probability each.
    """
    from recsys.validation.queries import Query as Judged
    from recsys.validation.searching import SearchSlice
    from recsys.validation.temperature import choose_temperature, make_cases

    recommender = opened(store, HOME / "cache/releases")
    profiles = recommender.profiles
    item_ids, lexical = profiles.latest.item_ids, profiles.lexical
    assert lexical is not None
    vectors_ID = profiles.searcher.vectors_of(np.arange(len(item_ids)))
    judged, shares, cosines = [], [], []
    for query in queries:
        rows, found = lexical.shares(query.text)
        shares_I = np.zeros(len(item_ids), np.float32)
        shares_I[rows] = found
        shares.append(shares_I)
        cosines.append(vectors_ID @ recommender.texts.of_query(query.text))
        known = [row for item in query.relevant if (row := item_ids.row_of(item)) is not None]
        judged.append(Judged(query.text, dict.fromkeys(known, 1.0)))
    cases = make_cases(SearchSlice(tuple(judged), tuple(shares), tuple(cosines)), weight)
    own = choose_temperature(cases)
    figures = {f"cross_entropy_{name}": loss for name, loss in own.losses.items()}
    if temperature is not None:
        figures["cross_entropy_made"] = float(np.mean([case.loss(temperature) for case in cases]))
    for name, value in {"1": 1.0, "made": temperature, "in_sample": own.value}.items():
        if value is not None:
            figures |= {
                f"temperature_{name}": value,
                f"calibration_error_{name}": _calibration_error(cases, value),
            }
    shown = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps(shown, indent=1))
    return shown


def _calibration_error(cases: Sequence["Case"], temperature: float) -> float:
    """Expected calibration error over bins of equal probability mass, relative to that mass, in [0, 2]."""
    from recsys.retrieval.fusing import probabilities

    said_N = np.concatenate([probabilities(case.scores_C, temperature) for case in cases])
    right_N = np.concatenate([case.target_C for case in cases])
    order = np.argsort(said_N)
    bins = np.minimum((np.cumsum(said_N[order]) / said_N.sum() * 10).astype(int), 9)
    differences = [
        abs(said_N[order][bins == one].sum() - right_N[order][bins == one].sum()) for one in range(10)
    ]
    return float(sum(differences) / said_N.sum())


def measured(store: Path, queries: Sequence[Query], made: float) -> dict[str, float]:
    """ndcg@10 of each way, and the paired difference of both together from each alone.

    Args:
        store: holds the release.
        queries: what to ask.
        made: weight of words that was chosen without them.

    Returns:
        Figures by name.
    """
    encoded: dict[str, NDArray[np.float32]] = {}
    ndcg = {weight: _ndcg(store, queries, weight, encoded) for weight in {*ALONE.values(), *WEIGHTS, made}}
    even_Q = np.arange(len(queries)) % 2 == 0
    fused_Q = np.empty(len(queries))
    figures = {"queries": float(len(queries)), "lexical_weight_made": made}
    for half, others_Q in (("even", ~even_Q), ("odd", even_Q)):  # no query has a say in its own weight
        means = {weight: float(ndcg[weight][others_Q].mean()) for weight in WEIGHTS}
        chosen = max(WEIGHTS, key=means.__getitem__)
        fused_Q[~others_Q] = ndcg[chosen][~others_Q]
        figures[f"lexical_weight_{half}"] = chosen
    for group in sorted({query.group for query in queries}):
        mine = np.array([query.group == group for query in queries])
        figures |= {
            f"{group}_fused": float(fused_Q[mine].mean()),
            f"{group}_made": float(ndcg[made][mine].mean()),
        }
        ends = interval(ndcg[made][mine] - fused_Q[mine])
        figures |= {
            f"{group}_made_gain_over_fused_{end}": one for end, one in zip(("low", "high"), ends, strict=True)
        }
        for name, weight in ALONE.items():
            low, high = interval(fused_Q[mine] - ndcg[weight][mine])
            figures |= {f"{group}_{name}": float(ndcg[weight][mine].mean())}
            figures |= {f"{group}_gain_over_{name}_low": low, f"{group}_gain_over_{name}_high": high}
    shown = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps(shown, indent=1))
    print(
        "all queries by weight:", {weight: round(float(values.mean()), 4) for weight, values in ndcg.items()}
    )
    return shown


def _ndcg(
    store: Path, queries: Sequence[Query], weight: float, encoded: dict[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """ndcg@10 of each query with this weight of words; queries that are in `encoded` are not encoded again."""
    from recsys.serving.answers import ListRequest
    from recsys.serving.text_profiles import TextProfiles

    class Remembering(TextProfiles):
        def of_query(self, text: str) -> NDArray[np.float32]:
            if text not in encoded:
                encoded[text] = super().of_query(text)
            return encoded[text]

    recommender = opened(store, HOME / "cache/releases", {"lexical_weight": weight})
    recommender.texts = Remembering(recommender.manifest, recommender.profiles.files)
    gain_K = 1 / np.log2(np.arange(2, K + 2))
    found = []
    for query in queries:
        listed = [one.item_id for one in recommender.search(query.text, ListRequest(k=K)).items]
        hits = np.array([item in query.relevant for item in listed], float)
        found.append(float(hits @ gain_K[: len(hits)] / gain_K[: len(query.relevant)].sum()))
    return np.array(found)


def interval(differences_Q: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the bootstrap means."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences_Q, (ROUNDS, len(differences_Q))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(path).to_pylist()
    return found


if __name__ == "__main__":
    main()
