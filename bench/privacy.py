"""What noise in the matrix of all users costs: ndcg@20 on cold items by ε.

`python -m bench.privacy ml100k_cold citeulike_H` learns once on each protocol, as `recsys benchmark cold-start` does,
and ranks with the matrix that a release would hold at each ε, δ = 1e-7: three secrets, so three draws of the noise.
The judge is that of `bench.quality`. Beside it stand other ways to the same ε:

- all items: X holds the whole catalogue. That tells nothing of users, but cold items take part in the matrix.
- none: no matrix, a user is the plain sum of what they like.
- noise on the matrix: each user counts with at most KEPT liked items, so the Frobenius norm of XᵀX moves by at most
  KEPT; Gaussian noise on each entry of its upper half, and negative eigenvalues become 0.

Everything else is as without noise: head and λ are learned from clicks, and not private.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, TOP, Protocol, judged, require_shared_data
from recsys.artifacts import Artifacts
from recsys.effects.benchmark_cold_start import Files, Learned, learn_cold_start
from recsys.profiles.gram import gram_of
from recsys.profiles.privacy import are_liked, noise_scale, noisy_sums
from recsys.settings import Settings

HOME = ROOT / "var" / "bench" / "privacy"
EPSILONS = (8.0, 4.0, 2.0, 1.0, 0.5)
DELTA = 1e-7
N_DRAWS = 3
KEPT = 10


def main() -> None:
    """Learn, rank, judge, and write var/bench/privacy.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in PROTOCOLS]
    parser.add_argument("protocol", nargs="*", default=["ml100k_cold", "citeulike_H"], choices=names)
    parser.add_argument("--minutes", type=float, default=60.0, help="about how long learning may take")
    args = parser.parse_args()
    require_shared_data()
    settings = Settings.load(ROOT / "params.yaml")
    with_noise = settings.privacy.model_copy(
        update={"epsilon": max(EPSILONS)}
    )  # so users are chosen without a prior
    figures: dict[str, float | int | str] = {"delta": DELTA, "draws": N_DRAWS}
    for protocol in (one for one in PROTOCOLS if one.name in args.protocol):
        learned = learn_cold_start(
            _files(protocol),
            Artifacts(ROOT),
            settings.model_copy(update={"privacy": with_noise}),
            minutes=args.minutes,
            seed=0,
            report=print,
            report_progress=lambda _: None,
        )
        figures |= {f"{protocol.name}_{name}": value for name, value in _measured(protocol, learned).items()}
        write_figures("privacy", figures)


def _files(protocol: Protocol) -> Files:
    folder = HOME / protocol.name
    folder.mkdir(parents=True, exist_ok=True)
    items, interactions, cold = protocol.files()
    for name, table in (
        ("items", items),
        ("interactions", interactions),
        ("cold", pa.table({"item_id": cold})),
    ):
        pq.write_table(table, folder / f"{name}.parquet")
    return Files(folder / "items.parquet", folder / "interactions.parquet", folder / "cold.parquet")


def _measured(protocol: Protocol, learned: Learned) -> dict[str, float]:
    """ndcg@20 of each way, and how many items are in X."""
    vectors_ID, warm = learned.profiles_ID, learned.task.warm
    run = HOME / f"{protocol.name}.parquet"

    def ndcg(name: str, gram: NDArray[np.float64]) -> dict[str, float]:
        pq.write_table(learned.rank(TOP, gram), run)
        found = judged(protocol.judge, Path(run))["ndcg@20"]
        print(
            f"{protocol.name}, {name}: {found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]",
            flush=True,
        )
        return {name: found["mean"]}

    dim = vectors_ID.shape[1]
    figures = ndcg("exact", gram_of(vectors_ID[warm])) | {"exact_in_x": float(len(warm))}
    figures |= ndcg("all_items", gram_of(vectors_ID)) | ndcg("none", np.zeros((dim, dim)))
    pairs = _pairs(learned)
    for epsilon in EPSILONS:
        sigma = noise_scale(epsilon, DELTA)
        draws, sizes = list[float](), list[int]()
        for draw in range(N_DRAWS):
            secret = f"draw {draw} of this benchmark".encode()
            sums = noisy_sums(pairs, pa.array(learned.task.item_ids, pa.string()), sigma, secret)
            in_x = are_liked(sums.sums_I, sigma)
            draws += ndcg(f"epsilon_{epsilon:g}_draw_{draw}", gram_of(vectors_ID[in_x])).values()
            sizes.append(int(in_x.sum()))
        figures |= {
            f"epsilon_{epsilon:g}": float(np.mean(draws)),
            f"epsilon_{epsilon:g}_in_x": float(np.mean(sizes)),
        }
        noisy = _noisy_matrix(vectors_ID, pairs, learned.task.item_ids, KEPT * sigma)
        figures |= ndcg(f"noise_on_the_matrix_{epsilon:g}", noisy)
    return figures


def _pairs(learned: Learned) -> pa.Table:
    """User and item of each like."""
    matrix = learned.task.interactions.matrix_UI.tocoo()
    users, items = pa.array(learned.task.users, pa.string()), pa.array(learned.task.item_ids, pa.string())
    return pa.table({"user": users.take(pa.array(matrix.row)), "item_id": items.take(pa.array(matrix.col))})


def _noisy_matrix(
    vectors_ID: NDArray[np.float32], pairs: pa.Table, item_ids: Sequence[str], sigma: float
) -> NDArray[np.float64]:
    kept: dict[str, list[str]] = {}
    for user, item in zip(pairs["user"].to_pylist(), pairs["item_id"].to_pylist(), strict=True):
        if len(of_user := kept.setdefault(user, [])) < KEPT:
            of_user.append(item)
    liked = {item for of_user in kept.values() for item in of_user}
    exact_DD = gram_of(vectors_ID[[item in liked for item in item_ids]])
    upper_DD = np.triu(np.random.default_rng(0).normal(scale=sigma, size=exact_DD.shape))
    values_D, vectors_DD = np.linalg.eigh(exact_DD + upper_DD + np.triu(upper_DD, 1).T)
    return np.asarray((vectors_DD * np.maximum(values_D, 0)) @ vectors_DD.T)


if __name__ == "__main__":
    main()
