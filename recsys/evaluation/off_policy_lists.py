"""Logs of `recsys serve` with lists that explored: what another policy would have earned at those places.

`recsys/serving/exploration.py` writes one line per list that explored: the candidates with the mean and the standard
deviation of their scores, and what was drawn for which place with which probability. Feedback that names the list
writes a line too. A choice is one explored place; its reward is 1 if the user liked the item there. Every policy of
`recsys/ranking/exploring.py` can be asked for the probability that it would have given to the same item.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.feedback import LIKE, weigh
from recsys.catalogue.params import FeedbackParams
from recsys.errors import UnreadableFile
from recsys.evaluation.off_policy import LoggedChoices
from recsys.ranking.exploring import choice_probabilities

# Shape suffixes: N choices, C candidates, F features.
EXPLORED, REWARDED = "explored", "feedback on a list"
"""Messages of the two kinds of lines; all other lines of a log are passed over."""
N_FOLDS = 2
RIDGE = 1e-3


@dataclass(frozen=True)
class Target:
    """The policy whose reward is estimated."""

    policy: str
    """One of `recsys.ranking.exploring.POLICIES`."""
    sigma: float = 1.0
    """Factor on the standard deviations."""
    uniform_share: float = 0.0

    def probabilities(
        self, mean_C: NDArray[np.float64], deviation_C: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What it gives to candidates; `deviation_C` is of σ = 1."""
        return choice_probabilities(self.policy, mean_C, self.sigma * deviation_C, self.uniform_share)


@dataclass(frozen=True)
class ServedLog:
    """What was read."""

    choices: LoggedChoices
    n_lists: int
    n_rewards: int
    """Choices whose item was liked."""
    n_unknown: int
    """Feedback that names a list that the logs do not hold."""


def read_lists(
    paths: Sequence[Path],
    rules: FeedbackParams,
    target: Target,
    report: Callable[[str], None] = lambda line: None,
) -> ServedLog:
    """Read logs of the service. A list or an event that was logged twice counts once.

    Args:
        paths: files of JSON lines.
        rules: section `feedback`: which events are likes.
        target: the policy.
        report: gets a line about what was passed over.

    Returns:
        The choices, with rewards predicted by a linear model of mean and standard deviation that was fitted on the
        other half of the lists.

    Raises:
        UnreadableFile: no list explored, or a line of one is damaged; names file and line.
    """
    lists: dict[str, dict[str, Any]] = {}
    events: dict[str, dict[str, Any]] = {}
    n_other = 0
    for path in paths:
        for place, line in _lines(path):
            message = line.get("message")
            try:
                if message == EXPLORED:
                    lists.setdefault(line["list_id"], _sound(line))
                elif message == REWARDED:
                    events.setdefault(
                        line["event_id"], {key: line[key] for key in ("list_id", "item_id")} | line
                    )
                else:
                    n_other += 1
            except (KeyError, TypeError, ValueError) as fault:
                raise UnreadableFile(
                    f"{path}, line {place}: no list as this version logs them: {fault!r}",
                    remedy="take the line out of the file",
                ) from fault
    if not lists:
        raise UnreadableFile(
            f"{', '.join(map(str, paths))}: no list explored",
            remedy="set serve.explore_policy and serve.explore_share, and keep what `recsys serve` logs",
        )
    report(f"{len(lists):,} lists that explored, {len(events):,} events about them, {n_other:,} other lines")
    liked = _liked(list(events.values()), rules)
    n_unknown = sum(one["list_id"] not in lists for one in events.values())
    choices = _choices(lists, liked, target)
    return ServedLog(choices, len(lists), int(choices.reward_N.sum()), n_unknown)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """JSON objects with their line numbers; a log may hold other lines, and end in half a one."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for place, text in enumerate(file, 1):
                try:
                    line = json.loads(text)
                except ValueError:
                    line = None
                yield place, line if isinstance(line, dict) else {}
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error}", remedy="name a file of log lines") from error


def _sound(line: dict[str, Any]) -> dict[str, Any]:
    """The line; refused where its parts do not fit each other."""
    found = line["candidates"]
    if len({len(found[name]) for name in ("item_ids", "means", "deviations")}) != 1:
        raise ValueError("candidates have columns of several lengths")
    for draw in line["draws"]:
        if not 0 < draw["probability"] <= 1 or draw["item_id"] not in found["item_ids"]:
            raise ValueError(f"a draw that its candidates do not allow: {draw}")
    if len({draw["item_id"] for draw in line["draws"]}) != len(line["draws"]):
        raise ValueError("an item was drawn twice")
    return line


def _liked(events: Sequence[Mapping[str, Any]], rules: FeedbackParams) -> set[tuple[str, str]]:
    """Pairs of a list and an item of it that somebody liked."""
    if not events:
        return set()
    names = pa.chunked_array([pa.array([one.get("event") for one in events], pa.string())])
    values = pa.chunked_array([pa.array([one.get("value") for one in events], pa.float64())])
    weights = weigh(names, values, rules).to_pylist()
    return {
        (one["list_id"], one["item_id"])
        for one, weight in zip(events, weights, strict=True)
        if weight == LIKE
    }


def _choices(
    lists: Mapping[str, Mapping[str, Any]], liked: set[tuple[str, str]], target: Target
) -> LoggedChoices:
    """One row per explored place; the places of a list depend on each other."""
    rows = [row for number, one in enumerate(lists.values()) for row in _places(number, one, liked, target)]
    number_N, reward_N, propensity_N, target_N = (
        np.array(column) for column in list(zip(*rows, strict=True))[:4]
    )
    logged_NF = np.stack([row[4] for row in rows])
    expected_NF = np.stack([row[5] for row in rows])
    predicted_N, expected_N = np.empty(len(rows)), np.empty(len(rows))
    for fold in range(N_FOLDS):
        is_held_N = number_N % N_FOLDS == fold
        fitted_F = _fitted(logged_NF[~is_held_N], reward_N[~is_held_N])
        predicted_N[is_held_N] = logged_NF[is_held_N] @ fitted_F
        expected_N[is_held_N] = expected_NF[is_held_N] @ fitted_F
    return LoggedChoices(reward_N, propensity_N, target_N, number_N.astype(np.int64), predicted_N, expected_N)


def _places(
    number: int, line: Mapping[str, Any], liked: set[tuple[str, str]], target: Target
) -> Iterable[tuple[float, float, float, float, NDArray[np.float64], NDArray[np.float64]]]:
    """Of each explored place: list, reward, propensity, target's probability, features logged and expected."""
    found = line["candidates"]
    mean_C, deviation_C = (np.array(found[name], float) for name in ("means", "deviations"))
    features_CF = np.stack([np.ones(len(mean_C)), mean_C, deviation_C], axis=1)
    left = list(range(len(mean_C)))
    for draw in line["draws"]:
        chosen = left.index(found["item_ids"].index(draw["item_id"]))
        target_C = target.probabilities(mean_C[left], deviation_C[left])
        reward = float((line["list_id"], draw["item_id"]) in liked)
        logged_F = features_CF[left[chosen]]
        yield (
            number,
            reward,
            draw["probability"],
            float(target_C[chosen]),
            logged_F,
            target_C @ features_CF[left],
        )
        del left[chosen]


def _fitted(features_NF: NDArray[np.float64], reward_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares, with a little ridge for features that do not vary; zeros where there are no rows."""
    gram_FF = features_NF.T @ features_NF + RIDGE * np.eye(features_NF.shape[1])
    return np.asarray(np.linalg.solve(gram_FF, features_NF.T @ reward_N))
