"""Hyper-parameters by validation: a share of the warm items, by stable hash, is held out as if cold.

The published validation items of CiteULike are not used for choosing: in protocol D they are test items.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.rivals.inputs import Inputs, make_inputs
from bench.rivals.towers import Embedded
from recsys.catalogue.held_out import hash_share
from recsys.dataset.histories import PAD
from recsys.evaluation.cold_start import Task
from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from recsys.ranking.metrics import ndcg_at_k
from recsys.retrieval.exact import top_k

# Shape suffixes: U users, V users of the validation, R padded relevant items, I all items, D encoder.
SHARE = 0.2
K = 20
MAX_USERS = 2000
MAX_RIDGE_USERS = 5000
CHECK_STEPS = 100
TRIAL_CHECKS = 2
"""All configurations train so far; the best `FINALISTS` go on."""
FINALISTS = 2
PATIENCE = 3
"""Checks without a better validation until training stops."""
MAX_STEPS = 1500
RIDGE_LAMBDAS = (1.0, 3.0, 10.0, 30.0, 100.0)

Train = Callable[[Inputs, Any, int, int], Iterator[Embedded]]


@dataclass(frozen=True)
class Validation:
    """A validation fold: warm items that are held out cold."""

    known: NDArray[np.int64]
    """Item rows to learn from."""
    asked: NDArray[np.int64]
    """Item rows held out."""
    users: NDArray[np.int64]
    """Users who interacted with items on both sides, or a sample of them."""
    relevant_VR: NDArray[np.int64]

    def ndcg(self, users_UE: NDArray[np.float32], asked_CE: NDArray[np.float32]) -> float:
        """Mean ndcg@20 of inner products; FloatingPointError where a vector is not finite."""
        if not (np.isfinite(users_UE).all() and np.isfinite(asked_CE).all()):
            raise FloatingPointError("an embedding is not finite")
        ranked = top_k(users_UE[self.users], asked_CE, min(K, len(asked_CE))).rows_UK
        return float(ndcg_at_k(ranked, self.relevant_VR, ranked.shape[1]).mean())


@dataclass(frozen=True)
class Rival:
    """A learned method, and what is tried of it."""

    train: Train
    authors: Any
    """A dataclass of settings, as the authors have them."""
    first: tuple[dict[str, float], ...]
    """Changes to these that are tried first; {} is the authors' own."""
    then: tuple[dict[str, float], ...]
    """Changes to the best of the first."""


@dataclass(frozen=True)
class Choice:
    """What won on validation, and all that was tried."""

    settings: dict[str, float]
    steps: int
    ndcg: float
    tried: tuple[dict[str, Any], ...]
    """settings, best ndcg, its step."""


def hold_out(task: Task, seed: int, max_users: int = MAX_USERS) -> Validation:
    """Hold out a share of the warm items.

    Args:
        task: only its warm items are looked at.
        seed: of the hash, and of the sample of users.
        max_users: sampled where there are more.

    Returns:
        The validation.

    Raises:
        ValueError: nobody interacted with items on both sides.
    """
    warm = task.warm
    held = np.array([hash_share(seed, task.item_ids[row]) < SHARE for row in warm], bool)
    met_UA = task.interactions.matrix_UI[:, warm[held]]
    users = np.flatnonzero(
        (task.interactions.matrix_UI[:, warm[~held]].sum(axis=1) > 0) & (met_UA.sum(axis=1) > 0)
    )
    if len(users) == 0:
        raise ValueError("too little is warm to hold anything out")
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
    wanted = met_UA[users]
    n_V = np.diff(wanted.indptr)
    relevant_VR = np.full((len(users), n_V.max()), PAD, np.int64)
    relevant_VR[np.arange(n_V.max()) < n_V[:, None]] = wanted.indices
    return Validation(warm[~held], warm[held], users, relevant_VR)


class Trial:
    """One configuration in training, with the best that it was on validation."""

    def __init__(self, settings: Any, training: Iterator[Embedded], validation: Validation) -> None:  # noqa: ANN401
        self.settings = settings
        self.ndcg, self.steps = 0.0, CHECK_STEPS
        self._training, self._validation = training, validation
        self._at = 0
        self._ended = False

    def go_on(self, max_steps: int) -> None:
        """Train until `max_steps`, or until validation stops improving. If it diverges, the best step so far counts."""
        try:
            while not self._ended and self._at < max_steps:
                found = next(self._training)
                self._at = found.step
                ndcg = self._validation.ndcg(found.users_UE, found.asked_CE)
                if ndcg > self.ndcg:
                    self.ndcg, self.steps = ndcg, found.step
                self._ended = found.step - self.steps >= PATIENCE * CHECK_STEPS
        except FloatingPointError:
            self._ended = True

    def record(self) -> dict[str, Any]:
        """For the record."""
        return {"settings": asdict(self.settings), "ndcg@20": round(self.ndcg, 6), "steps": self.steps}


def choose(
    task: Task,
    vectors_ID: NDArray[np.float32],
    rival: Rival,
    seed: int,
    on_tried: Callable[[dict[str, Any]], None],
) -> Choice:
    """Train every configuration for a while, and the best of them until validation gets no better.

    Args:
        task: the task.
        vectors_ID: the frozen encoder's.
        rival: what to train.
        seed: of validation, inputs and training.
        on_tried: called with the record of each trial.

    Returns:
        The best setting and its best step.
    """
    validation = hold_out(task, seed)
    inputs = make_inputs(task, vectors_ID, validation.known, validation.asked, seed)

    def tried(base: Any, changes: tuple[dict[str, float], ...]) -> list[Trial]:  # noqa: ANN401
        all_settings = [replace(base, **change) for change in changes]
        trials = [Trial(one, rival.train(inputs, one, seed, CHECK_STEPS), validation) for one in all_settings]
        for trial in trials:
            trial.go_on(TRIAL_CHECKS * CHECK_STEPS)
            on_tried(trial.record())
        return trials

    trials = tried(rival.authors, rival.first)
    trials += tried(max(trials, key=lambda one: one.ndcg).settings, rival.then)
    for trial in sorted(trials, key=lambda one: -one.ndcg)[:FINALISTS]:
        trial.go_on(MAX_STEPS)
        on_tried(trial.record())
    best = max(trials, key=lambda one: one.ndcg)
    return Choice(asdict(best.settings), best.steps, best.ndcg, tuple(one.record() for one in trials))


def choose_ridge(task: Task, vectors_ID: NDArray[np.float32], seed: int) -> Choice:
    """λ of the ridge over frozen profiles, the method `encoder ridge`. Its users have no prior: that is Firstlight's.

    Args:
        task: the task.
        vectors_ID: the frozen encoder's.
        seed: of the validation.

    Returns:
        The choice; there are no steps.
    """
    validation = hold_out(task, seed, MAX_RIDGE_USERS)
    known_WD, asked_CD = vectors_ID[validation.known], vectors_ID[validation.asked]
    b_UD = task.interactions.matrix_UI[:, validation.known] @ known_WD.astype(np.float64)
    gram = gram_of(known_WD)
    tried: list[dict[str, Any]] = []
    for ridge_lambda in RIDGE_LAMBDAS:
        ndcg = validation.ndcg(Ridge(gram, ridge_lambda).weights(b_UD), asked_CD)
        tried.append({"settings": {"ridge_lambda": ridge_lambda}, "ndcg@20": round(ndcg, 6), "steps": 0})
    winner = max(tried, key=lambda one: one["ndcg@20"])
    return Choice(winner["settings"], 0, winner["ndcg@20"], tuple(tried))


def ridge_scores(task: Task, vectors_ID: NDArray[np.float32], ridge_lambda: float) -> NDArray[np.float32]:
    """Scores [U, C]; users without a history get what suits the mean of all tastes.

    Args:
        task: the task.
        vectors_ID: the frozen encoder's.
        ridge_lambda: λ.

    Returns:
        Scores of the cold items.
    """
    b_UD = task.interactions.matrix_UI @ vectors_ID.astype(np.float64)
    n_U = np.diff(task.interactions.matrix_UI.indptr)
    b_UD[n_U == 0] = (b_UD[n_U > 0] / n_U[n_U > 0, None]).mean(axis=0)
    weights_UD = Ridge(gram_of(vectors_ID[task.warm]), ridge_lambda).weights(b_UD)
    return weights_UD @ vectors_ID[task.cold].T
