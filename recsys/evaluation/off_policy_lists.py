"""Logs of `recsys serve` with lists that explored: what another policy would have earned at those places.

`recsys/serving/exploration.py` writes one line per list that explored: the candidates with the mean and the standard
deviation of their scores, what was drawn for which place with which probability, and in which of 1,000 groups the user
is. Feedback that names the list writes a line too. A choice is one explored place; its reward is 1 if the user liked
the item there. Every policy of `recsys/ranking/exploring.py` can compute the probability that it would have given to
the same item.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recsys.catalogue.feedback import weigh
from recsys.catalogue.opinions import LIKE
from recsys.catalogue.params import FeedbackParams
from recsys.errors import UnreadableFile
from recsys.evaluation.off_policy import LoggedChoices
from recsys.ranking.exploring import choice_probabilities

# Shape suffixes: N choices, C candidates, F features.
EXPLORED, REWARDED = "explored", "feedback on a list"
"""Messages of the two kinds of lines; all other lines of a log are skipped."""
N_FOLDS = 2
RIDGE = 1e-3
Number = Annotated[float, Field(allow_inf_nan=False)]
LINE = ConfigDict(frozen=True, strict=True)
"""Settings of the models of log lines. Keys that a model does not name are ignored."""


class LoggedDraw(BaseModel):
    """A place that explored."""

    model_config = LINE

    item_id: str
    probability: float = Field(gt=0, le=1)


class LoggedCandidates(BaseModel):
    """The candidates of a draw; the three lists have one entry for each."""

    model_config = LINE

    item_ids: list[str]
    means: list[Number]
    deviations: list[Annotated[Number, Field(ge=0)]]


class LoggedList(BaseModel):
    """A line about a list that explored. Parts that do not fit each other are refused."""

    model_config = LINE

    list_id: str
    user_group: int | None = None
    """Group of the user; None where the request named nobody, or where the line is older than groups."""
    draws: list[LoggedDraw] = Field(min_length=1)
    candidates: LoggedCandidates

    @model_validator(mode="after")
    def _fits(self) -> Self:
        found, drawn = self.candidates, [draw.item_id for draw in self.draws]
        if not len(found.item_ids) == len(found.means) == len(found.deviations) == len(set(found.item_ids)):
            raise ValueError("candidates have columns of several lengths, or an item twice")
        if not set(drawn) <= set(found.item_ids):
            raise ValueError(f"items were drawn that are no candidates: {drawn}")
        if len(set(drawn)) != len(drawn):
            raise ValueError("an item was drawn twice")
        return self


class LoggedEvent(BaseModel):
    """A line about feedback that names a list. Two lines that say the same count once."""

    model_config = LINE

    list_id: str
    item_id: str
    event: str
    value: Number | None = None


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
    n_alone: int
    """Lists of unnamed users: each is resampled alone."""
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
        other half of the users.

    Raises:
        UnreadableFile: no list explored, or a line of one is damaged; names file and line.
    """
    lists: dict[str, LoggedList] = {}
    events: set[LoggedEvent] = set()
    n_other = 0
    for path in paths:
        for place, line in _lines(path):
            message = line.get("message")
            try:
                if message == EXPLORED:
                    found = LoggedList.model_validate(line)
                    lists.setdefault(found.list_id, found)
                elif message == REWARDED:
                    events.add(LoggedEvent.model_validate(line))
                else:
                    n_other += 1
            except ValidationError as fault:
                raise UnreadableFile(
                    f"{path}, line {place}: {_first_fault(fault)}", remedy="remove the line from the file"
                ) from fault
    if not lists:
        raise UnreadableFile(
            f"{', '.join(map(str, paths))}: no list explored",
            remedy="set serve.explore_policy and serve.explore_share, and keep what `recsys serve` logs",
        )
    report(f"{len(lists):,} lists that explored, {len(events):,} events about them, {n_other:,} other lines")
    choices = _choices(list(lists.values()), _liked(list(events), rules), target)
    return ServedLog(
        choices=choices,
        n_lists=len(lists),
        n_rewards=int(choices.reward_N.sum()),
        n_alone=sum(one.user_group is None for one in lists.values()),
        n_unknown=sum(one.list_id not in lists for one in events),
    )


def _first_fault(fault: ValidationError) -> str:
    """Where in the line, and what."""
    first = fault.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


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


def _liked(events: Sequence[LoggedEvent], rules: FeedbackParams) -> set[tuple[str, str]]:
    """Pairs of a list and an item of it that somebody liked."""
    names = pa.chunked_array([pa.array([one.event for one in events], pa.string())])
    values = pa.chunked_array([pa.array([one.value for one in events], pa.float64())])
    weights = weigh(names, values, rules).to_pylist()
    return {(one.list_id, one.item_id) for one, weight in zip(events, weights, strict=True) if weight == LIKE}


def _choices(lists: Sequence[LoggedList], liked: set[tuple[str, str]], target: Target) -> LoggedChoices:
    """One row per explored place. Rows of one user depend on each other, so they share a group and a fold."""
    group_of = dict[str | int, int]()
    rows = []
    for one in lists:
        whose = one.list_id if one.user_group is None else one.user_group
        group = group_of.setdefault(whose, len(group_of))
        rows += [(group, *place) for place in _places(one, liked, target)]
    group_N, reward_N, propensity_N, target_N = (
        np.array(column) for column in list(zip(*rows, strict=True))[:4]
    )
    logged_NF = np.stack([row[4] for row in rows])
    expected_NF = np.stack([row[5] for row in rows])
    predicted_N, expected_N = np.empty(len(rows)), np.empty(len(rows))
    for fold in range(N_FOLDS):
        is_held_N = group_N % N_FOLDS == fold
        fitted_F = _fitted(logged_NF[~is_held_N], reward_N[~is_held_N])
        predicted_N[is_held_N] = logged_NF[is_held_N] @ fitted_F
        expected_N[is_held_N] = expected_NF[is_held_N] @ fitted_F
    return LoggedChoices(reward_N, propensity_N, target_N, group_N.astype(np.int64), predicted_N, expected_N)


def _places(
    line: LoggedList, liked: set[tuple[str, str]], target: Target
) -> Iterator[tuple[float, float, float, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield, for each explored place: reward, propensity, the target's probability, features logged and expected."""
    found = line.candidates
    mean_C, deviation_C = np.array(found.means), np.array(found.deviations)
    features_CF = np.stack([np.ones(len(mean_C)), mean_C, deviation_C], axis=1)
    left = list(range(len(mean_C)))
    for draw in line.draws:
        chosen = left.index(found.item_ids.index(draw.item_id))
        target_C = target.probabilities(mean_C[left], deviation_C[left])
        reward = float((line.list_id, draw.item_id) in liked)
        logged_F = features_CF[left[chosen]]
        yield reward, draw.probability, float(target_C[chosen]), logged_F, target_C @ features_CF[left]
        del left[chosen]


def _fitted(features_NF: NDArray[np.float64], reward_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares, with a little ridge for features that do not vary; zeros where there are no rows."""
    gram_FF = features_NF.T @ features_NF + RIDGE * np.eye(features_NF.shape[1])
    return np.asarray(np.linalg.solve(gram_FF, features_NF.T @ reward_N))
