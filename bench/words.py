"""Exact words alone: TF-IDF as a head reads texts, by the languages and scripts of the catalogue, and as before that.

`python -m bench.words` ranks the items of each collection of `bench.search` by the TF-IDF cosine with the query.
Before, English stop words were left out everywhere, and a catalogue whose script has no blanks gave characters alone.
That the new reading cuts runs of one and two characters was chosen on the dialogues of kdconv's split `dev`, not on
these.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.figures import explain, write_figures
from bench.search import COLLECTIONS, K, Query, interval
from recsys.encoders.analyzer import Analyzer, analyzer_for
from recsys.encoders.tfidf import fit_tfidf
from recsys.features.text import join_fields

UNSPACED_BEFORE = Analyzer(characters=(1, 2))
MAX_CHARS = 4000


def main() -> None:
    """Rank by both, and write var/bench/words.json."""
    explain(__doc__)
    figures: dict[str, float] = {}
    for name, read in COLLECTIONS.items():
        items, queries = read()
        texts = [join_fields([str(row["title"]), str(row["description"])], MAX_CHARS) for row in items]
        ids = [str(row["item_id"]) for row in items]
        now = analyzer_for(texts)
        before = UNSPACED_BEFORE if now.cuts_runs else Analyzer()
        ndcg = {one: _ndcg(ids, texts, queries, one) for one in {now, before}}
        for group in sorted({query.group for query in queries}):
            mine = np.array([query.group == group for query in queries])
            low, high = interval((ndcg[now] - ndcg[before])[mine])
            found = {key: float(ndcg[one][mine].mean()) for key, one in (("before", before), ("now", now))}
            print(f"{name}, {group}: {found['before']:.4f} -> {found['now']:.4f} [{low:+.4f}, {high:+.4f}]")
            figures |= {f"{name}_{group}_{key}": value for key, value in found.items()}
            figures |= {f"{name}_{group}_low": low, f"{name}_{group}_high": high}
    write_figures("words", figures)


def _ndcg(
    ids: Sequence[str], texts: Sequence[str], queries: Sequence[Query], analyzer: Analyzer
) -> NDArray[np.float64]:
    """ndcg@10 of each query; items without any of its words are not listed."""
    encoder = fit_tfidf(texts, analyzer)
    scores_QI = (encoder.encode([query.text for query in queries]) @ encoder.encode(texts).T).toarray()
    gain_K = 1 / np.log2(np.arange(2, K + 2))
    found = []
    for query, scores_I in zip(queries, scores_QI, strict=True):
        listed = [row for row in np.argsort(-scores_I, kind="stable")[:K].tolist() if scores_I[row] > 0]
        hits = np.array([ids[row] in query.relevant for row in listed], float)
        found.append(float(hits @ gain_K[: len(hits)] / gain_K[: len(query.relevant)].sum()))
    return np.array(found)


if __name__ == "__main__":
    main()
