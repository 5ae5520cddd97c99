"""Ranker `mlp`: a first ranker recalls candidates, then event heads rank the best of them again.

The first ranker is `item_weights`, or `dot` where there are none; it is stored in the same file. What the heads read of
a user and a candidate is listed in `shortlist.py`. All of it exists for items that arrive after training.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.dataset.trait_names import NONE, RELATIONS, TraitNames
from recsys.errors import EncoderError
from recsys.ranking.dot import Dot
from recsys.ranking.event_heads import WEIGHTS, EventHeads, Predicted
from recsys.ranking.item_weights import ARRAYS, ItemWeights
from recsys.ranking.ranker import RankedItems
from recsys.ranking.shortlist import FEATURES, Shortlist
from recsys.ranking.traits import PER_TRAIT
from recsys.storage.arrays import npz_bytes, read_arrays
from recsys.storage.atomic import write_whole

if TYPE_CHECKING:
    from recsys.ranking.event_learning import MlpSettings

# Shape suffixes: C candidates of one user.
FILE = "mlp.npz"
PLAIN_VERSION, TRAITS_VERSION, MLP_VERSION = 1, 2, 3
"""Version 1 has no traits, version 2 has some. In version 3 the set `relations` is what has landed, and no attribute of
that name. A ranker is written in the lowest version that fits. Raise the versions when the same file would order lists
differently, and let `load` refuse older files."""
TRAITS = ("trait_sets", "trait_numbers")
"""Arrays of the names of traits, in UTF-8."""
FIRST = "first_"
"""Before the names of the arrays of the first ranker."""
NAMES = ("mlp_version", "depth", "purchase_weight", "calibration_E2", "is_learned_E", *WEIGHTS)
DEPTH_LIMIT = 100_000


@dataclass(frozen=True)
class Mlp:
    """A first ranker, and the heads that rank its best candidates again."""

    n_files: ClassVar[int] = 1

    first: ItemWeights | Dot
    heads: EventHeads
    depth: int
    """Candidates that are ranked again."""
    purchase_weight: float
    """Lists are ordered by P(click) (1 - this + this * P(purchase | click))."""

    traits: TraitNames = NONE
    """The traits that the heads read beside the features of every shortlist, see `traits.py`."""

    @classmethod
    def learn(cls, dataset: Dataset, settings: "MlpSettings") -> "Mlp | None":
        """Learn the first ranker from all interactions; the heads come with the settings, see `MlpSettings`.

        Args:
            dataset: with the profiles that scores are made of.
            settings: what validation chose and learned.

        Returns:
            None where there is too little to learn from.
        """
        from recsys.ranking.event_learning import learn_mlp

        return learn_mlp(dataset, settings)

    @property
    def second(self) -> "Mlp":
        """What ranks again: the heads."""
        return self

    def scores(self, shortlist: Shortlist) -> NDArray[np.float32]:
        """P(click), or with `purchase_weight` partly P(purchase), of one user's candidates, [C]."""
        found = self.predict(shortlist)
        score_C = found.click_C
        if self.purchase_weight and found.purchase_C is not None:
            score_C = score_C * (1 - self.purchase_weight + self.purchase_weight * found.purchase_C)
        return score_C.astype(np.float32)

    def predict(self, shortlist: Shortlist) -> Predicted:
        """P(click), P(purchase | click) and value of one user's candidates."""
        dim = len(self.heads.weights["projection_DP"])
        if self.heads.weights["projection_DP"].size and len(shortlist.user_D) != dim:
            raise EncoderError(
                f"the ranker was learned over profiles of {dim} dimensions, these have {len(shortlist.user_D)}",
                remedy="train the model again: dvc repro finetune",
            )
        return self.heads.predict(shortlist)

    def growth(self, n_items: int) -> float:
        """Of the first ranker."""
        return self.first.growth(n_items)

    def over(self, item_ids: Collection[str]) -> RankedItems:
        """The first ranker over the items of a catalogue."""
        return self.first.over(item_ids)

    def save(self, folder: Path) -> tuple[Path]:
        """Write mlp.npz. The same ranker gives the same bytes."""
        first = self.first.arrays() if isinstance(self.first, ItemWeights) else _no_weights()
        arrays: dict[str, Any] = {
            "mlp_version": np.array(_version(self.traits), np.int64),
            "depth": np.array(self.depth, np.int64),
            "purchase_weight": np.array(self.purchase_weight, np.float64),
            **self.heads.arrays(),
            **(_written(self.traits) if self.traits else {}),
            **{f"{FIRST}{name}": array for name, array in first.items()},
        }
        write_whole(folder / FILE, npz_bytes({name: arrays[name] for name in sorted(arrays)}))
        return (folder / FILE,)

    @classmethod
    def load(cls, files: Sequence[Path]) -> "Mlp":
        """Read what `save` wrote.

        Args:
            files: the one file.

        Returns:
            The ranker.

        Raises:
            EncoderError: it is missing or damaged, was written by a newer version, or has learned from an attribute
                called `relations`.
        """
        (path,) = files
        try:
            saved = read_arrays(path, (*NAMES, *(f"{FIRST}{name}" for name in ARRAYS)), optional=TRAITS)
            version = _number(saved["mlp_version"], "iu")
            if version > MLP_VERSION:
                raise EncoderError(
                    f"{path} is of version {version}, newest known is {MLP_VERSION}",
                    remedy="update Firstlight",
                )
            found = cls._of(saved)
            if RELATIONS in found.traits.sets and version < MLP_VERSION:
                raise EncoderError(
                    f"{path} has learned from an attribute {RELATIONS!r}, which now names what lands in relations/",
                    remedy="rename the attribute if ranker.sets should have it, and train again: dvc repro finetune",
                )
            return found
        except (OSError, KeyError, TypeError, ValueError, MemoryError) as error:
            raise EncoderError(
                f"{path} holds no readable ranker: {error}",
                remedy=f"delete {path.parent} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error

    @classmethod
    def _of(cls, saved: Mapping[str, NDArray[Any]]) -> "Mlp":
        """Build the ranker from its arrays; ValueError where they do not fit together."""
        first = {name: saved[f"{FIRST}{name}"] for name in ARRAYS}
        depth = int(_number(saved["depth"], "iu"))
        purchase_weight = _number(saved["purchase_weight"], "f")
        if not 1 <= depth <= DEPTH_LIMIT or not 0 <= purchase_weight <= 1:
            raise ValueError(f"depth {depth} or purchase_weight {purchase_weight} is out of bounds")
        sets, numbers = (_names(saved.get(name)) for name in TRAITS)
        traits = TraitNames(sets, numbers)
        return cls(
            ItemWeights.of(first) if len(first["digests"]) else Dot(),
            EventHeads.of(saved, len(FEATURES) + PER_TRAIT * len(traits)),
            depth,
            purchase_weight,
            traits,
        )


def _version(traits: TraitNames) -> int:
    if not traits:
        return PLAIN_VERSION
    return MLP_VERSION if RELATIONS in traits.sets else TRAITS_VERSION


def _written(traits: TraitNames) -> dict[str, NDArray[Any]]:
    named = zip(TRAITS, (traits.sets, traits.numbers), strict=True)
    return {array: np.array([name.encode() for name in names], "S") for array, names in named}


def _names(array: NDArray[Any] | None) -> tuple[str, ...]:
    """Names of traits; ValueError where they are none."""
    if array is None:
        return ()
    if array.ndim != 1 or array.dtype.kind != "S":
        raise ValueError("its names of traits are no texts")
    return tuple(name.decode() for name in array.tolist())


def _no_weights() -> dict[str, NDArray[Any]]:
    """The arrays of a first ranker that has none: `dot`."""
    return {name: np.zeros(0, np.float32) for name in ARRAYS}


def _number(value: NDArray[Any], kinds: str) -> float:
    if value.shape != () or value.dtype.kind not in kinds:
        raise ValueError("it lacks a number where one belongs")
    return float(value)
