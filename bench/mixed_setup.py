"""What the mixed benchmark asks: warm pairs held out beside the cold items, heads, and tuning_sets that saw neither."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.sparse import csr_array

from bench.figures import ROOT, SHARED_DATA
from bench.protocols import PROTOCOLS
from bench.rivals.encoded import frozen_vectors
from recsys.catalogue.weighting import Weighting
from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample
from recsys.dataset.interactions import Interactions, make_interactions
from recsys.dataset.traits import Traits
from recsys.evaluation.cold_start import Task, make_task
from recsys.heads.budget import within
from recsys.heads.kernel_head import KernelHead
from recsys.heads.learning import learn_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.settings import Settings
from recsys.stages.finetune import tail_rule
from recsys.storage.atomic import write_whole
from recsys.validation.choosing import choose_recipe
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import tuning_sets
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
RECIPES = TypeAdapter(Recipe)


@dataclass(frozen=True)
class Setup:
    """One protocol. What takes long is made when it is asked for, and kept under HOME."""

    name: str
    settings: Settings
    task: Task
    """Its histories are what may be learned from."""
    relevant_UI: csr_array
    """1 where a pair is asked for, with a warm or a cold item."""
    traits: Traits = field(default_factory=Traits)
    """Of the items, for learned rankers that read them."""

    @cached_property
    def warm(self) -> NDArray[np.int64]:
        """Rows of items with a pair to learn from."""
        return self.task.warm

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """Those with a history and something asked for on both sides, or a sample of them."""
        n_U = self.task.interactions.n_items_U
        has_relevant = [self.relevant_UI[:, rows].sum(axis=1) > 0 for rows in (self.warm, self.task.cold)]
        return sample(np.flatnonzero((n_U > 0) & has_relevant[0] & has_relevant[1]), MAX_USERS, SEED)

    @cached_property
    def bare(self) -> Dataset:
        """Over the frozen encoder, with the λ that validation chose for it."""
        return replace(self.dataset, ridge_lambda=self._alone.ridge_lambda, seed=self.settings.split.seed)

    @cached_property
    def head(self) -> Dataset:
        """Over the head that ships; where validation wants none, over the frozen encoder."""
        return self._over_head("head", self.bare)

    @cached_property
    def learned(self) -> KernelHead | None:
        """The head itself, which item weights are learned beside; None where validation wants none."""
        return None if not self.recipe.has_head else learn_head(self.dataset, self.recipe, self.fusion)

    @cached_property
    def bare_tuning(self) -> tuple[ValidationSet, ...]:
        """Of the pairs to learn from."""
        return tuning_sets(self.bare)

    @cached_property
    def head_tuning(self) -> tuple[ValidationSet, ...]:
        """The same, each over a head that was learned without what it holds out."""
        return tuple(
            replace(one, dataset=self._over_head(f"tuning{number}", one.dataset))
            for number, one in enumerate(self.bare_tuning)
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
                self.weighted,
                self._folds[0],
                self.recipe,
                self.fusion,
                self.settings.first_light,
                self.settings.users.untrained,
                K,
                MAX_USERS,
                tail_rule(self.settings),
            ),
        )

    @property
    def weighted(self) -> Dataset:
        """`dataset` with likes that count as the recipe says."""
        return replace(self.dataset, weighting=Weighting(alike=self.recipe.alike))

    @property
    def _alone(self) -> Recipe:
        return self._chosen("alone", 0)

    def _chosen(self, name: str, width: int) -> Recipe:
        params, lambdas = self.fusion.model_copy(update={"width": width}), self.settings.users.lambdas
        return self._written(
            name,
            lambda: choose_recipe(
                self.dataset,
                self._folds,
                params,
                lambdas,
                K,
                MAX_USERS,
                first_light=self.settings.first_light,
                priors=self.settings.users.prior_weights,
            ),
        )

    @cached_property
    def _folds(self) -> tuple[NDArray[np.int64], ...]:
        return tuple(self.task.folds(self.settings.split.seed).values())

    @cached_property
    def fusion(self) -> FusionParams:
        """As `benchmark cold-start` cuts it to its time."""
        task = self.task
        fusion = self.settings.fusion.for_items(len(task.item_ids))
        return within(BUDGET_S, len(task.warm), len(task.users), len(self._folds), fusion)

    @cached_property
    def dataset(self) -> Dataset:
        """Over the frozen encoder."""
        vectors_ID, users = frozen_vectors(ROOT, self.task.texts), self.settings.users
        return Dataset(
            self.task.interactions,
            self.task.texts,
            vectors_ID,
            users.ridge_lambda,
            self.settings.fusion.seed,
            traits=self.traits,
        )

    @cached_property
    def _made(self) -> Path:
        """Folder of what this code and these params make. What others made is deleted when it is first needed."""
        home, key = HOME / self.name / "made", code_and_params()
        if not (home / key).is_dir():
            shutil.rmtree(home, ignore_errors=True)
            (home / key).mkdir(parents=True)
        return home / key

    def _over_head(self, name: str, bare: Dataset) -> Dataset:
        """The same as a head sees it that was learned from these interactions; kept below HOME."""
        path = self._made / f"{name}.npz"
        if not path.exists():
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, **self._profiles(bare.interactions))
            temporary.replace(path)
        with np.load(path) as kept:
            return replace(
                bare,
                vectors_ID=kept["vectors_ID"],
                ridge_lambda=float(kept["ridge_lambda"]),
                lexical_width=int(kept["lexical_width"]),
                prior_weight=self.recipe.prior_weight,
                weighting=self.weighted.weighting,
            )

    def _profiles(self, interactions: Interactions) -> dict[str, Any]:
        dataset, recipe = replace(self.dataset, interactions=interactions), self.recipe
        if not recipe.has_head:
            return {"vectors_ID": dataset.vectors_ID, "ridge_lambda": recipe.ridge_lambda, "lexical_width": 0}
        head = learn_head(dataset, recipe, self.fusion)
        vectors_ID = head.profiles(dataset.texts, dataset.vectors_ID, dataset.views)
        users = {"ridge_lambda": recipe.lambda_of(head), "lexical_width": head.lexical_width}
        return {"vectors_ID": vectors_ID, **users}

    def _written(self, name: str, make: Callable[[], Recipe]) -> Recipe:
        path = self._made / f"{name}.json"
        if not path.exists():
            write_whole(path, RECIPES.dump_json(make(), indent=2) + b"\n")
        return RECIPES.validate_json(path.read_bytes())


def code_and_params() -> str:
    """Hash (16 hex digits) of the package's code and of params.yaml: other heads may come of others."""
    files = [*sorted((ROOT / "recsys").rglob("*.py")), ROOT / "params.yaml", Path(__file__)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def make_setup(name: str) -> Setup:
    """Read a protocol's files, and hold a fifth of its warm pairs out."""
    settings = Settings.load(ROOT / "params.yaml")
    items, interactions, cold = next(one for one in PROTOCOLS if one.name == name).files()
    whole = make_task(items, interactions, cold.to_pylist(), settings.features)
    known = whole.interactions
    held = np.random.default_rng(SEED).random(known.matrix_UI.nnz) < WARM_SHARE
    task = replace(whole, interactions=known.only_pairs(~held))
    relevant = known.only_pairs(held).matrix_UI + _cold_pairs(name, interactions, whole)
    return Setup(name, settings, task, csr_array(relevant))


def _cold_pairs(name: str, interactions: pa.Table, task: Task) -> csr_array:
    """1 where somebody interacted with a cold item."""
    if name == "citeulike_H":  # its interactions hold none
        interactions = pq.read_table(SHARED_DATA / "citeulike-a" / "split_heater_cold_test.parquet")
    is_cold_R = pc.is_in(
        interactions["item_id"], value_set=pa.array(np.array(task.item_ids, object)[task.cold])
    )
    cold = interactions.filter(is_cold_R)
    return make_interactions(cold["user_id"], cold["item_id"], task.users, task.item_ids).matrix_UI
