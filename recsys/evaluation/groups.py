"""Groups of users whose mixed lists are judged separately: by the length of their history, and by a file of groups.

Only evaluation reads the file. It contains pseudonyms, no raw user ids, and no profile or list depends on it.
"""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.pseudonyms import PSEUDONYM_FORM
from recsys.errors import ConfigError
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.params import EvaluateParams
from recsys.evaluation.report import GROUP
from recsys.ranking.tasks import RankingTask

# Shape suffix: U users.
COLUMNS = ("user", "group")
GROUP_FORM = re.compile(r"[\w .-]{1,80}")
"""Form of a group's name. Names of groups become names of metrics, and MLflow accepts no others."""
REMEDY = "give a CSV file with the columns user (a pseudonym) and group, or clear evaluate.groups"
BY_HISTORY: Mapping[str, Callable[[NDArray[np.int64], EvaluateParams], NDArray[np.bool_]]] = {
    "short histories": lambda n_items_U, params: n_items_U <= params.short_history,
    "long histories": lambda n_items_U, params: n_items_U > params.short_history,
}
"""Groups by the number of items that users like before the cut."""


def read_groups(path: Path) -> dict[str, str]:
    """Read the file of groups.

    Args:
        path: CSV with the columns user and group.

    Returns:
        Pseudonym -> group.

    Raises:
        ConfigError: the file is missing or lacks a column. Or a line is not a pseudonym with a group, its group cannot
            name a metric, or its pseudonym was there before; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"evaluate.groups: {path} cannot be read: {error}", remedy=REMEDY) from error
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        user, group = ((row.get(name) or "").strip() for name in COLUMNS)
        where = f"evaluate.groups: {path.name}, line {number}"
        if not PSEUDONYM_FORM.fullmatch(user):
            raise ConfigError(f"{where}: user {user[:80]!r} is not a pseudonym", remedy=REMEDY)
        if not group:
            raise ConfigError(f"{where}: the group is empty", remedy=REMEDY)
        if not GROUP_FORM.fullmatch(group):
            raise ConfigError(
                f"{where}: the group {group[:80]!r} cannot name a metric",
                remedy="name it with at most 80 letters, digits, spaces, dots, hyphens and underscores",
            )
        if found.setdefault(user, group) != group:
            raise ConfigError(f"{where}: {user} is in two groups", remedy="keep one line of each user")
    if not found:
        raise ConfigError(f"evaluate.groups: {path} names no user", remedy=REMEDY)
    return found


def parts_by_user(
    holdout: Holdout, whole: RankingTask, group_of: Mapping[str, str], params: EvaluateParams
) -> list[RankingTask]:
    """Divide a slice by its users. Candidates and lists stay the same.

    Args:
        holdout: the holdout.
        whole: a slice.
        group_of: pseudonym -> group; users without one are in none.
        params: section `evaluate`.

    Returns:
        Parts with at least `min_group_users` users: smaller ones have no figures worth showing.
    """
    n_items_U = holdout.known.interactions.n_items_U[whole.users]
    is_in: dict[str, NDArray[np.bool_]] = {
        name: belongs(n_items_U, params) for name, belongs in BY_HISTORY.items()
    }
    groups_U = np.array([group_of.get(holdout.users[user], "") for user in whole.users])
    is_in |= {GROUP + name: groups_U == name for name in sorted({*group_of.values()})}
    return [
        replace(
            whole,
            name=name,
            users=whole.users[in_U],
            relevant_UR=whole.relevant_UR[in_U],
            excluded_UE=whole.excluded_UE[in_U],
        )
        for name, in_U in is_in.items()
        if in_U.sum() >= params.min_group_users
    ]
