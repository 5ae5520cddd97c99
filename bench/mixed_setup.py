"""What the mixed benchmark asks: warm pairs held out beside the cold items, heads, and practices that saw neither."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.figures import ROOT, SHARED_DATA
from bench.protocols import PROTOCOLS
from bench.rivals.encoded import frozen_vectors
from recsys.dataset.dataset import Known, Shop
from recsys.dataset.histories import only_pairs
from recsys.encoders.head import KernelHead
from recsys.evaluation.cold_start import Task, make_task
from recsys.heads.budget import within
from recsys.heads.learning import Recipe, learn_head
from recsys.heads.params import FusionParams
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.validation.choosing import choose_recipe
from recsys.validation.practice import Practice, practices
from recsys.validation.weighing import choose_item_weights

# Shape suffixes: U all users, I items, D width of a profile.
HOME = ROOT / "var" / "bench" / "mixed"
NAMES = ("ml100k_cold", "industrial_cold", "citeulike_H")
WARM_SHARE = 0.2
"""Of the pairs with warm items, held out."""
MAX_USERS = 2000
K = 20
BUDGET_S = 30 * 60
SEED = 0


@dataclass(frozen=True)
class Setup:
    """One protocol. What takes long is made when it is asked for, and kept under HOME."""

    name: str
    settings: Settings
    task: Task
    """Its histories are what may be learned from."""
    wanted_UI: csr_array
    """1 where a pair is asked for, with a warm or a cold item."""

    @cached_property
    def warm(self) -> NDArray[np.int64]:
        """Rows of items with a pair to learn from."""
        return self.task.warm

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """Those with a history and something asked for on both sides, or a sample of them."""
        n_U = np.diff(self.task.histories_UI.indptr)
        asked = [self.wanted_UI[:, rows].sum(axis=1) > 0 for rows in (self.warm, self.task.cold)]
        users = np.flatnonzero((n_U > 0) & asked[0] & asked[1])
        if len(users) > MAX_USERS:
            users = np.sort(np.random.default_rng(SEED).choice(users, MAX_USERS, replace=False))
        return users

    @cached_property
    def bare(self) -> Known:
        """Over the frozen encoder."""
        vectors_ID, task = frozen_vectors(ROOT, self.task.texts), self.task
        tags, seed = ((),) * len(task.texts), self.settings.split.seed
        return Known(vectors_ID, task.texts, tags, task.histories_UI, self._alone.ridge_lambda, seed)

    @cached_property
    def head(self) -> Known:
        """Over the head that ships; where validation wants none, over the frozen encoder."""
        return self._over_head("head", self.bare)

    @cached_property
    def learned(self) -> KernelHead | None:
        """The head itself, which item weights are learned beside; None where validation wants none."""
        return None if self.recipe.lexical_share is None else learn_head(self.shop, self.recipe, self.fusion)

    @cached_property
    def bare_practices(self) -> tuple[Practice, ...]:
        """Of the pairs to learn from."""
        return practices(self.bare)

    @cached_property
    def head_practices(self) -> tuple[Practice, ...]:
        """The same, each over a head that was learned without what it holds out."""
        return tuple(
            replace(one, known=self._over_head(f"practice{number}", one.known))
            for number, one in enumerate(self.bare_practices)
        )

    @cached_property
    def recipe(self) -> Recipe:
        """As `benchmark cold-start` chooses it: on cold items of the training side's own."""
        return self._chosen("recipe", self.fusion.width)

    @cached_property
    def recipe_with_weights(self) -> Recipe:
        """With what stage `finetune` chooses on warm and mixed lists of the training side's own."""
        return self._written(
            "recipe_with_weights",
            lambda: choose_item_weights(
                self.shop,
                self._folds[0],
                self.recipe,
                self.fusion,
                self.settings.users.ridge_lambda,
                K,
                MAX_USERS,
            ),
        )

    @property
    def _alone(self) -> Recipe:
        return self._chosen("alone", 0)

    def _chosen(self, name: str, width: int) -> Recipe:
        params, lambdas = self.fusion.model_copy(update={"width": width}), self.settings.users.lambdas
        return self._written(
            name, lambda: choose_recipe(self.shop, self._folds, params, lambdas, K, MAX_USERS)
        )

    @cached_property
    def _folds(self) -> tuple[NDArray[np.int64], ...]:
        return tuple(self.task.folds(self.settings.split.seed).values())

    @cached_property
    def fusion(self) -> FusionParams:
        """As `benchmark cold-start` cuts it to its time."""
        task = self.task
        return within(BUDGET_S, len(task.warm), len(task.users), len(self._folds), self.settings.fusion)

    @property
    def shop(self) -> Shop:
        """Over the frozen encoder."""
        return self._shop_of(self.task.histories_UI)

    def _shop_of(self, histories_UI: csr_array) -> Shop:
        return Shop(self.task.item_ids, self.task.texts, frozen_vectors(ROOT, self.task.texts), histories_UI)

    def _over_head(self, name: str, bare: Known) -> Known:
        """The same as a head sees it that was learned from these interactions; kept below HOME."""
        path = HOME / self.name / f"{name}.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, **self._profiles(bare.histories_UI))
            temporary.replace(path)
        with np.load(path) as kept:
            return replace(
                bare,
                vectors_ID=kept["vectors_ID"],
                ridge_lambda=float(kept["ridge_lambda"]),
                lexical_width=int(kept["lexical_width"]),
            )

    def _profiles(self, histories_UI: csr_array) -> dict[str, Any]:
        shop, recipe = self._shop_of(histories_UI), self.recipe
        if recipe.lexical_share is None:
            return {"vectors_ID": shop.vectors_IL, "ridge_lambda": recipe.ridge_lambda, "lexical_width": 0}
        head = learn_head(shop, recipe, self.fusion)
        vectors_ID = head.profiles(shop.texts, shop.vectors_IL)
        users = {"ridge_lambda": recipe.lambda_of(head), "lexical_width": head.lexical_width}
        return {"vectors_ID": vectors_ID, **users}

    def _written(self, name: str, make: Callable[[], Recipe]) -> Recipe:
        path = HOME / self.name / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            found = make()
            words = vars(found) | {"tried": dict(found.tried), "lists": dict(found.lists)}
            write_whole(path, (json.dumps(words, indent=2) + "\n").encode())
        return Recipe(**json.loads(path.read_text()))


def make_setup(name: str) -> Setup:
    """Read a protocol's files, and hold a fifth of its warm pairs out."""
    settings = Settings.load(ROOT / "params.yaml")
    items, interactions, cold = next(one for one in PROTOCOLS if one.name == name).files()
    whole = make_task(items, interactions, cold.to_pylist(), settings.features)
    held = np.random.default_rng(SEED).random(whole.histories_UI.nnz) < WARM_SHARE
    task = replace(whole, histories_UI=only_pairs(whole.histories_UI, ~held))
    asked = only_pairs(whole.histories_UI, held) + _cold_pairs(name, interactions, whole)
    return Setup(name, settings, task, csr_array(asked))


def _cold_pairs(name: str, interactions: pa.Table, task: Task) -> csr_array:
    """1 where somebody met a cold item."""
    if name == "citeulike_H":  # its interactions hold none
        interactions = pq.read_table(SHARED_DATA / "citeulike-a" / "split_heater_cold_test.parquet")
    user_P, item_P = (
        pc.fill_null(pc.index_in(interactions[column], value_set=pa.array(ids, pa.string())), -1).to_numpy()
        for column, ids in (("user_id", task.users), ("item_id", task.item_ids))
    )
    kept = (user_P >= 0) & np.isin(item_P, task.cold)
    pairs = np.unique(np.stack([user_P[kept], item_P[kept]]), axis=1)
    return csr_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=task.histories_UI.shape)
