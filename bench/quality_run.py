"""One run of one method, in a process of its own: its ranked lists and its word. Started by `bench.quality`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench.figures import ROOT
from bench.protocols import PROTOCOLS, TOP
from bench.quality_rows import FIRST_LIGHT, HOME, METHODS, OURS
from recsys.storage.atomic import write_parquet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recsys.evaluation.cold_start import Task

console = Console(stderr=True)


def main() -> None:
    """Rank with one method, and write its settings and costs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=[one.name for one in PROTOCOLS])
    parser.add_argument("method", choices=[name for name in METHODS if name != OURS])
    parser.add_argument("seed", type=int)
    parser.add_argument("run", type=Path, help="RUN.parquet to write")
    parser.add_argument("record", type=Path, help="JSON to write")
    args = parser.parse_args()
    record = rank(args.protocol, args.method, args.seed, args.run)
    args.record.write_text(json.dumps(record))


def rank(protocol: str, method: str, seed: int, run: Path) -> dict[str, Any]:
    """Write the ranked lists; return the settings that made them."""
    import numpy as np

    from bench.rivals.floors import chance, encoder_centroid, lists, tfidf_centroid

    items, interactions, cold = next(one for one in PROTOCOLS if one.name == protocol).files()
    plain = {"settings": {}, "tried": 0, "validation_ndcg": None, "choosing_seconds": None}
    if method == "tfidf_centroid":
        write_parquet(run, tfidf_centroid(items, interactions, cold, TOP))
        return plain
    from recsys.evaluation.cold_start import make_task
    from recsys.settings import Settings

    task = make_task(items, interactions, cold.to_pylist(), Settings.load(ROOT / "params.yaml").features)
    cold_ids = np.array(task.item_ids, object)[task.cold]
    if method == "random":
        write_parquet(run, lists(task.users, cold_ids, chance(task, seed), TOP))
        return plain
    from bench.rivals.encoded import frozen_vectors

    vectors = frozen_vectors(ROOT, task.texts)
    if method == "encoder_centroid":
        write_parquet(run, lists(task.users, cold_ids, encoder_centroid(task, vectors), TOP))
        return plain
    if method == "plain_blend":
        from bench.rivals.floors import plain_blend

        scores_UC, ridge_lambda = plain_blend(task, vectors)
        write_parquet(run, lists(task.users, cold_ids, scores_UC, TOP))
        return plain | {"settings": {"ridge_lambda": ridge_lambda}}
    if method == FIRST_LIGHT:
        return plain | {"settings": first_light(task, vectors, run)}
    import torch

    from bench.rivals.methods import score
    from bench.rivals.shelf import Shelf

    torch.set_num_threads(1)
    shelf = Shelf(HOME / "shelf")
    found = score(
        method, task, vectors, seed, shelf, lambda tried: console.print(f"  {tried}", soft_wrap=True)
    )
    write_parquet(run, lists(task.users, cold_ids, found.scores_UC, TOP))
    return {
        "settings": found.settings,
        "tried": found.tried,
        "validation_ndcg": found.validation_ndcg,
        "choosing_seconds": round(found.choosing_s, 1),
        "other_seconds": shelf.borrowed_s - found.choosing_now_s,
        "other_peak_mib": shelf.peak_mib,
    }


def first_light(task: "Task", vectors_ID: "NDArray[np.float32]", run: Path) -> dict[str, Any]:
    """What is recommended before anything is trained; words and landmarks come from the warm items' texts alone."""
    from recsys.evaluation.cold_start import rank_cold
    from recsys.heads.from_texts import learn_over_vectors
    from recsys.settings import Settings

    params = Settings.load(ROOT / "params.yaml")
    warm_texts = [task.texts[row] for row in task.warm]
    head = learn_over_vectors(warm_texts, lambda places: vectors_ID[task.warm[places]], params.first_light)
    if head is None:
        raise ValueError(f"{len(warm_texts)} texts are too few for first light, or have no word")
    profiles_ID = head.profiles(task.texts, vectors_ID)
    users = params.users
    ranked = rank_cold(
        task,
        profiles_ID,
        users.ridge_lambda,
        TOP,
        head.lexical_width,
        prior_weight=users.prior_weight,
    )
    write_parquet(run, ranked)
    return {
        "width": head.dim,
        "lexical_share": head.kernel.lexical_share,
        "ridge_lambda": users.ridge_lambda,
        "prior_weight": users.prior_weight,
    }


if __name__ == "__main__":
    main()
