"""The methods that are compared, by name, each from a task to scores of the cold items."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.rivals import dropoutnet, heater
from bench.rivals.choosing import Choice, Rival, choose, choose_ridge, ridge_scores
from bench.rivals.dropoutnet import DropoutNet
from bench.rivals.heater import Heater
from bench.rivals.inputs import Inputs, make_inputs
from bench.rivals.shelf import Shelf
from recsys.evaluation.cold_start import Task
from recsys.storage.atomic import write_whole

VALIDATION_SEED = 20260101
"""Settings are chosen once per training set, for all seeds."""


RIVALS = {
    "dropoutnet": Rival(
        dropoutnet.train,
        DropoutNet(),
        (
            {},
            {"learning_rate": 0.02},
            {"learning_rate": 0.1},
            {"learning_rate": 0.4},
            {"learning_rate": 1.0},
        ),
        ({"dropped": 0.3}, {"dropped": 0.7}, {"l2": 1e-5}),
    ),
    "heater": Rival(
        heater.train,
        Heater(),
        ({}, {"learning_rate": 0.02}, {"learning_rate": 0.1}),
        ({"alpha": 3e-5}, {"alpha": 1e-5}, {"alpha": 1e-5, "l2": 1e-3}, {"alpha": 3e-6}, {"l2": 1e-2}),
    ),
}
"""Eight configurations each."""


@dataclass(frozen=True)
class Scored:
    """Scores of the cold items, and how they came about."""

    scores_UC: NDArray[np.floating]
    settings: dict[str, Any]
    tried: int
    """Configurations tried on validation."""
    validation_ndcg: float
    choosing_s: float
    """Seconds that choosing took, whenever that was."""
    choosing_now_s: float
    """Of these, in this process."""


def score(
    name: str,
    task: Task,
    vectors_ID: NDArray[np.float32],
    seed: int,
    shelf: Shelf,
    on_tried: Callable[[dict[str, Any]], None],
) -> Scored:
    """Choose settings on validation (or read what was chosen for the same training set), learn, score.

    Args:
        name: ridge, or a key of `RIVALS`.
        task: the task.
        vectors_ID: the frozen encoder's.
        seed: of what is learned.
        shelf: what other rows of the same training set have made.
        on_tried: called with the record of each configuration.

    Returns:
        Scores of the cold items for all users.
    """
    if name == "ridge":
        choice = choose_ridge(task, vectors_ID, VALIDATION_SEED)
        scores_UC = ridge_scores(task, vectors_ID, choice.settings["ridge_lambda"])
        return Scored(scores_UC, choice.settings, len(choice.tried), choice.ndcg, 0.0, 0.0)
    rival, training_set = RIVALS[name], training_set_of(task)
    choice, choosing_s, now_s = _chosen(name, training_set, task, vectors_ID, shelf.folder, on_tried)
    asked = np.setdiff1d(np.arange(len(task.item_ids)), task.warm)
    inputs = _inputs(shelf, f"inputs-{training_set}-{seed}", task, vectors_ID, asked, seed)

    def learn() -> dict[str, NDArray[Any]]:
        last = next(rival.train(inputs, replace(rival.authors, **choice.settings), seed, choice.steps))
        return {"users_UE": last.users_UE, "asked_CE": last.asked_CE}

    settings = choice.settings | {"steps": choice.steps}
    learned = shelf.part(f"{name}-{training_set}-{seed}-{_short(repr(settings))}", learn)
    cold_CE = learned["asked_CE"][np.searchsorted(asked, task.cold)]
    scores_UC = learned["users_UE"] @ cold_CE.T
    return Scored(scores_UC, settings, len(choice.tried), choice.ndcg, choosing_s, now_s)


def training_set_of(task: Task) -> str:
    """Names what is learned from: two protocols that share it share choices, factors and nets."""
    pairs = task.interactions.matrix_UI.tocoo()
    content = json.dumps([list(task.item_ids), task.texts, list(task.users)]).encode()
    return _short(content + np.stack([pairs.coords[0], pairs.coords[1]]).astype(np.int64).tobytes())


def _inputs(
    shelf: Shelf, name: str, task: Task, vectors_ID: NDArray[np.float32], asked: NDArray[np.int64], seed: int
) -> Inputs:
    def make() -> dict[str, NDArray[Any]]:
        made = make_inputs(task, vectors_ID, task.warm, asked, seed)
        return {part: getattr(made, part) for part in ("content_WP", "asked_CP", "users_UF", "items_WF")}

    return Inputs(csr_array(task.interactions.matrix_UI[:, task.warm]), **shelf.part(name, make))


def _chosen(
    name: str,
    training_set: str,
    task: Task,
    vectors_ID: NDArray[np.float32],
    folder: Path,
    on_tried: Callable[[dict[str, Any]], None],
) -> tuple[Choice, float, float]:
    """The choice, the seconds it took, and how many of them now."""
    rival = RIVALS[name]
    at = (
        folder / f"choice-{name}-{training_set}-{_short(repr((rival.authors, rival.first, rival.then)))}.json"
    )
    if at.exists():
        found = json.loads(at.read_text())
        return Choice(**(found["choice"] | {"tried": tuple(found["choice"]["tried"])})), found["seconds"], 0.0
    started = time.perf_counter()
    choice = choose(task, vectors_ID, rival, VALIDATION_SEED, on_tried)
    seconds = time.perf_counter() - started
    record = {"choice": asdict(choice), "seconds": seconds}
    write_whole(at, (json.dumps(record, indent=2) + "\n").encode())
    return choice, seconds, seconds


def _short(content: str | bytes) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()[:16]
