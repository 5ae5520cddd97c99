"""Exploration: some places of a user's list go to new items, so that users can click what nobody has clicked yet.

A *new* item has no interaction in the release. Each place of a list explores with probability `share`. It then goes to
one of the new items that the list would not show otherwise, drawn by a policy of `recsys/ranking/exploring.py`. All
other items keep their order and move down. So the probability of each choice is known exactly: `share` times the draw's
probability for a drawn item, 1 - `share` for one that the ranker put there.

Draws depend on the request's id, its user and all its other values, so a repeated request gets the same list. Each new
request needs its own id: two requests of one user with the same id count as one. The items that the last `REMEMBERED`
requests could draw from are kept. A restarted process, or another one, may have other items with budget left, and then
draws from those.

Budgets are counted per release in the memory of one process: after a restart, or with the next release, they begin at
0. With n workers an item gets at most n times its budget between two releases.
"""

import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.exploring import choice_probabilities
from recsys.serving.answers import Answer, Draw, Exploration, ListRequest, NewCandidates, Scored
from recsys.serving.new_items import NewItems
from recsys.serving.params import ServeParams

# Shape suffixes: I live items, K places, C candidates, D dimension.
REMEMBERED = 10_000
NO_POLICY = "none"
USER_GROUPS = 1000
"""Number of groups of users in the log. Lists of one user depend on each other, so `off-policy` resamples whole groups;
and the log does not reveal whose list it was."""


@dataclass(frozen=True)
class Question:
    """Whose list explores, and what may be in it."""

    query_D: NDArray[np.float32]
    history: Sequence[int]
    exclude: frozenset[int]
    """Rows that must not be in the list, and those that are in it anyway."""
    allowed_I: NDArray[np.bool_] | None
    wanted: ListRequest
    text: str = ""
    """Words about the user."""

    def key(self, release: str, seed: str, n_places: int) -> bytes:
        """Key of the draws: the same request has the same key, any other request another one."""
        words = [release, seed, self.wanted.whose, self.text, n_places, [*self.history], sorted(self.exclude)]
        hashed = sha256(json.dumps(words).encode())
        if self.allowed_I is not None:
            hashed.update(np.packbits(self.allowed_I).tobytes())
        return hashed.digest()


class Explorer:
    """Puts new items into lists. One per process; may be shared between threads.

    Args:
        params: section `serve`; its policy is not `none`.
    """

    def __init__(self, params: ServeParams) -> None:
        self._params = params
        self._remembered: OrderedDict[bytes, tuple[int, tuple[int, ...]]] = OrderedDict()
        """Requests with an id -> how many items could be drawn, and their rows where any place explored."""
        self._lock = threading.Lock()

    def explore(self, answer: Answer, new: NewItems, question: Question) -> Answer:
        """Give places of a list to new items.

        Args:
            answer: the list as the ranker has it.
            new: items of the same release.
            question: what the list answers.

        Returns:
            The list with `exploration`; of the same length.
        """
        seed = question.wanted.request_id or uuid.uuid4().hex
        key = question.key(answer.release, seed, len(answer.items))
        coins_K2 = np.random.default_rng(int.from_bytes(key[:16])).random((len(answer.items), 2))
        explores_K = coins_K2[:, 0] < self._params.explore_share
        while True:
            n_open, only = self._remembered.get(key, (None, None))
            open_I = new.open(question.exclude, question.allowed_I, self._params.explore_budget, only)
            rows, candidates = list[int](), NO_CANDIDATES
            if explores_K.any() and open_I.any():
                rows, candidates = new.best(
                    question.query_D, question.history, open_I, self._params.explore_pool
                )
            drawn = self._drawn(explores_K, coins_K2[:, 1], candidates)
            if only is not None or new.spend(
                [rows[place] for _, place, _ in drawn], self._params.explore_budget
            ):
                break
        if n_open is None:
            n_open = min(int(open_I.sum()), self._params.explore_pool)
            if question.wanted.request_id:
                self._remember(key, (n_open, tuple(rows)))
        return self._with(answer, candidates, drawn, n_open, key, question.wanted.whose)

    def _drawn(
        self, explores_K: NDArray[np.bool_], coin_K: NDArray[np.float64], candidates: NewCandidates
    ) -> list[tuple[int, int, float]]:
        """For each explored place: the place from 0, the candidate, and its probability given the places before."""
        left, found = list(range(len(candidates.item_ids))), []
        for place in np.flatnonzero(explores_K)[: len(left)].tolist():
            probability_C = choice_probabilities(
                self._params.explore_policy,
                candidates.mean_C[left],
                self._params.explore_sigma * candidates.deviation_C[left],
                self._params.explore_uniform,
            )
            ends_C = probability_C.cumsum()
            chosen = min(int(np.searchsorted(ends_C, coin_K[place] * ends_C[-1], "right")), len(left) - 1)
            found.append((place, left[chosen], float(probability_C[chosen])))
            del left[chosen]
        return found

    def _with(
        self,
        answer: Answer,
        candidates: NewCandidates,
        drawn: Sequence[tuple[int, int, float]],
        n_open: int,
        key: bytes,
        whose: str,
    ) -> Answer:
        """The list with what was drawn."""
        share = self._params.explore_share
        by_place = {place: (candidate, probability) for place, candidate, probability in drawn}
        ranked, items, propensities, draws = iter(answer.items), list[Scored](), list[float](), list[Draw]()
        for place in range(len(answer.items)):
            can_explore = len(draws) < n_open
            if place in by_place:
                candidate, probability = by_place[place]
                item = Scored(candidates.item_ids[candidate], float(candidates.mean_C[candidate]))
                draws.append(Draw(place + 1, item.item_id, probability))
                propensities.append(share * probability)
            else:
                item = next(ranked)
                propensities.append(1 - share if can_explore else 1.0)
            items.append(item)
        ids = json.dumps([item.item_id for item in items])
        list_id = sha256(key + ids.encode()).hexdigest()[:32]
        exploration = Exploration(list_id, tuple(propensities), tuple(draws), candidates, user_group(whose))
        return Answer(answer.release, tuple(items), answer.basis, answer.unknown, exploration)

    def _remember(self, key: bytes, could_draw: tuple[int, tuple[int, ...]]) -> None:
        with self._lock:
            self._remembered[key] = could_draw
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)

    def log_fields(self, answer: Answer) -> dict[str, Any]:
        """What the log keeps of a list that explored, for `recsys off-policy`.

        Args:
            answer: has an exploration.

        Returns:
            JSON.
        """
        found = answer.exploration
        assert found is not None
        params = self._params
        return {
            "list_id": found.list_id,
            "user_group": found.user_group,
            "release": answer.release,
            "policy": {
                name: getattr(params, f"explore_{name}") for name in ("policy", "share", "sigma", "uniform")
            },
            "items": [one.item_id for one in answer.items],
            "propensities": list(found.propensities),
            "draws": [vars(draw) for draw in found.draws],
            "candidates": {
                "item_ids": list(found.candidates.item_ids),
                "means": found.candidates.mean_C.tolist(),
                "deviations": found.candidates.deviation_C.tolist(),
            },
        }


NO_CANDIDATES = NewCandidates((), np.empty(0), np.empty(0))


def user_group(whose: str) -> int | None:
    """The number of a user's group in the log, from 0; None for an unnamed user.

    Args:
        whose: the user's pseudonym.

    Returns:
        The same on every worker.
    """
    key = f"explored\0{whose}".encode("utf-8", "surrogatepass")
    return int.from_bytes(sha256(key).digest()[:8]) % USER_GROUPS if whose else None
