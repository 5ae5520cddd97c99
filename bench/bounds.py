"""How far the evidence of a protocol reaches: single signals, the best of three for each user, and trees over all.

`python -m bench.bounds industrial_cold` holds out two random parts of the warm items; the test is never looked at. Each
signal scores the held-out items for every user: words, the encoder, first light, a trained head, the nearest item of
the history by three of them, items bought by the same people, popularity of similar items. Gradient-boosted trees
(LightGBM) learn to rank from all signals of one part and are judged on the other, and the reverse. Where trees gain
little over the head, another way of joining these signals will hardly gain more. The oracle takes, for each user, the
best of three lists after the fact: no method can know which that is.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array, diags_array

from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, require_shared_data
from bench.rivals.encoded import frozen_vectors
from recsys.dataset.dataset import Dataset
from recsys.evaluation.cold_start import make_task
from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.ranking.centroid import tfidf_centroid
from recsys.ranking.dot import ridge_users
from recsys.ranking.metrics import ndcg_at_k
from recsys.ranking.tasks import rank_each
from recsys.settings import Settings
from recsys.validation.sets import COLD, ValidationSet, hold_out_items

# Shape suffixes: U users, I items, H held-out items, N nearest items, F features.
K = 20
SEED = 0
NEAREST = 20
"""Warm items whose popularity stands for that of a similar new item."""
TRAINED = Recipe(lexical_share=0.7, metric_power=0.5, ridge_lambda=100.0, ndcg=None, tried={})
"""The trained head: near the best of the grid on Industrial's folds, fixed here."""
LISTS = ("words", "first light", "head")
"""Those that the oracle chooses from."""
BESIDE = ("words", "head")
"""Those that every signal is compared with, paired over users."""
Signals = dict[str, NDArray[np.float32]]
console = Console()


@dataclass(frozen=True)
class Part:
    """Held-out items with what is known of them."""

    validation: ValidationSet
    signals_UH: Signals

    def ndcg(self, scores_UH: NDArray[np.floating]) -> NDArray[np.float64]:
        """ndcg@K of each user's list."""
        task = self.validation.tasks[COLD]
        row_of = {user: row for row, user in enumerate(task.users.tolist())}
        listed = rank_each(task, lambda users: [("", scores_UH[[row_of[one] for one in users.tolist()]])], K)
        return ndcg_at_k(listed[""], task.relevant_UR, K)

    def features(self) -> NDArray[np.float32]:
        """Every signal, as it is and standardised over the user's candidates, [U * H, 2 F]."""
        found = []
        for scores_UH in self.signals_UH.values():
            deviation_U1 = scores_UH.std(axis=1, keepdims=True)
            centred_UH = scores_UH - scores_UH.mean(axis=1, keepdims=True)
            found += [scores_UH, centred_UH / np.where(deviation_U1 > 0, deviation_U1, 1)]
        return np.stack([one.ravel() for one in found], axis=1)

    def relevant(self) -> NDArray[np.bool_]:
        """Whether the user liked the item, [U * H]."""
        task = self.validation.tasks[COLD]
        return np.asarray((task.relevant_UR[:, :, None] == task.candidates).any(axis=1).ravel())


def main() -> None:
    """Judge all signals on two parts, print a table and write var/bench/bounds.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=[one.name for one in PROTOCOLS])
    parser.add_argument("--max-users", type=int, default=2000, help="users of a part, sampled")
    args = parser.parse_args()
    require_shared_data()
    settings = Settings.load(ROOT / "params.yaml")
    items, log, cold = next(one for one in PROTOCOLS if one.name == args.protocol).files()
    task = make_task(items, log, cold.to_pylist(), settings.features)
    vectors_ID = frozen_vectors(ROOT, task.texts)
    dataset = Dataset(task.interactions, task.texts, vectors_ID, settings.users.ridge_lambda, SEED)
    halves = np.array_split(np.random.default_rng(SEED).permutation(task.warm), 5)[:2]
    parts = []
    for number, held in enumerate(halves, 1):
        validation = hold_out_items(dataset, np.sort(held), SEED, args.max_users)
        if validation is None:
            raise SystemExit(f"{args.protocol}: nobody likes a held-out item and another one")
        parts.append(Part(validation, signals(validation, settings)))
        console.print(f"part {number}: {len(held)} items, {len(validation.tasks[COLD].users)} users")
    report(args.protocol, by_user(parts))


def signals(validation: ValidationSet, settings: Settings) -> Signals:
    """Score the held-out items for the users of a validation set by every signal."""
    dataset, held, users = validation.dataset, validation.held, validation.tasks[COLD].users
    histories_UI = csr_array(dataset.interactions.matrix_UI[users].astype(np.float32))
    words = tfidf_centroid(dataset)
    light = with_head(dataset, Recipe(None, 0.0, 0.0, None, {}, first_light=settings.first_light), settings)
    head = replace(with_head(dataset, TRAINED, settings), ridge_lambda=TRAINED.ridge_lambda)
    words_IV = csr_array(words.vectors_ID)
    cosines_IH = {
        "words": np.asarray((words_IV @ words_IV[held].T).toarray(), np.float32),
        "first light": light.vectors_ID @ light.vectors_ID[held].T,
        "head": head.vectors_ID @ head.vectors_ID[held].T,
    }
    together = together_users(dataset, light, histories_UI)
    found = {
        "words": words.scores(users, held),
        "encoder": ridge_users(dataset).scores(users, held),
        "first light": ridge_users(light).scores(users, held),
        "head": ridge_users(head).scores(users, held),
        "bought together": together @ light.vectors_ID[held].T,
    }
    found |= {f"nearest, {name}": nearest(histories_UI, one) for name, one in cosines_IH.items()}
    warm, shape_UH = dataset.warm, found["words"].shape
    near_NH = warm[np.argsort(-cosines_IH["first light"][warm], axis=0)[:NEAREST]]
    popular_H = np.log1p(dataset.interactions.n_users_I[near_NH]).mean(axis=0)
    length_U1 = np.log(np.diff(histories_UI.indptr))[:, None]
    found |= {"popular nearby": np.broadcast_to(popular_H, shape_UH)}
    found |= {"length of history": np.broadcast_to(length_U1, shape_UH)}
    return {name: np.asarray(scores_UH, np.float32) for name, scores_UH in found.items()}


def with_head(dataset: Dataset, recipe: Recipe, settings: Settings) -> Dataset:
    """The dataset with the profiles of a head learned from it."""
    head = learn_head(dataset, recipe, settings.fusion.model_copy(update={"seed": SEED}))
    profiles_ID = head.profiles(dataset.texts, dataset.vectors_ID)
    return replace(
        dataset, vectors_ID=profiles_ID, lexical_width=head.lexical_width, prior_weight=recipe.prior_weight
    )


def together_users(dataset: Dataset, light: Dataset, histories_UI: csr_array) -> NDArray[np.float32]:
    """Ridge users over first light whose history is what others bought together with it (cosines of the buyers)."""
    bought_UI = dataset.interactions.matrix_UI.astype(np.float32)
    per_root_I = 1 / np.sqrt(np.maximum(dataset.interactions.n_users_I, 1)).astype(np.float32)
    scaled_UI = csr_array(bought_UI @ diags_array(per_root_I))
    cosines_II = csr_array(scaled_UI.T @ scaled_UI)
    cosines_II.setdiag(0)
    b_UD = csr_array(histories_UI @ cosines_II) @ light.vectors_ID
    return ridge_users(light).ridge.weights(b_UD)


def nearest(histories_UI: csr_array, cosines_IH: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest cosine of each held-out item with an item of the user's history, [U, H]."""
    bounds = zip(histories_UI.indptr[:-1], histories_UI.indptr[1:], strict=True)
    return np.stack([cosines_IH[histories_UI.indices[low:high]].max(axis=0) for low, high in bounds])


def by_user(parts: list[Part]) -> dict[str, NDArray[np.float64]]:
    """ndcg@K of the users of both parts by every signal, by trees learned from the other part, and by the oracle."""
    found = {
        name: np.concatenate([part.ndcg(part.signals_UH[name]) for part in parts])
        for name in parts[0].signals_UH
    }
    ranked = []
    for part, other in (parts, parts[::-1]):
        trees = LGBMClassifier(
            n_estimators=80, learning_rate=0.05, num_leaves=8, min_child_samples=200, subsample=0.7,
            subsample_freq=1, colsample_bytree=0.4, random_state=SEED, n_jobs=1, deterministic=True, verbose=-1,
        )  # fmt: skip
        trees.fit(other.features(), other.relevant())
        scores = trees.predict_proba(part.features(), raw_score=True)
        ranked.append(part.ndcg(np.asarray(scores).reshape(part.signals_UH["words"].shape)))
    return found | {
        "trees over all": np.concatenate(ranked),
        "oracle": np.max([found[one] for one in LISTS], axis=0),
    }


def report(protocol: str, ndcg: Mapping[str, NDArray[np.float64]]) -> None:
    """Print means, with differences from words and from the head ± 2 standard errors, and write them."""
    figures: dict[str, float | int | str] = {"users": len(ndcg["head"])}
    table = Table(
        "signal", f"ndcg@{K}", *(f"minus {one}" for one in BESIDE), title=f"{protocol}, held-out warm items"
    )
    for name, ndcg_U in ndcg.items():
        key = f"{protocol}_{name.replace(', ', '_').replace(' ', '_')}"
        figures[f"{key}_ndcg@{K}"] = float(ndcg_U.mean())
        cells = []
        for one in BESIDE:
            gain_U = ndcg_U - ndcg[one]
            mean, twice = float(gain_U.mean()), float(2 * gain_U.std(ddof=1) / np.sqrt(len(gain_U)))
            figures |= {f"{key}_minus_{one}": mean, f"{key}_minus_{one}_2se": twice}
            cells.append(f"{mean:+.4f} ± {twice:.4f}")
        table.add_row(name, f"{ndcg_U.mean():.4f}", *cells)
    console.print(table)
    write_figures("bounds", figures)


if __name__ == "__main__":
    main()
