"""Effect `compare`: the clicks of two groups of users, beside what the gate had predicted. It changes nothing."""

from dataclasses import dataclass

import numpy as np

from recsys.errors import ConfigError, ReleaseError
from recsys.evaluation.always_valid import MIN_USERS, GroupSums, difference
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.serving.feedback import FeedbackStore
from recsys.serving.params import ServeParams
from recsys.serving.trials import GroupCounts, last_other, read_trial, trials_of
from recsys.storage.protocol import Storage

METRIC = "ndcg@20"


@dataclass(frozen=True)
class Predicted:
    """What the manifest of a release says about its model, from before it was published."""

    ndcg: dict[str, float]
    """Slice and metric, such as `cold/ndcg@20` -> value; empty where the model was not judged."""
    gate: str | None
    """`open` or `closed`; None where there was no decision about the model."""
    reasons: tuple[str, ...]
    """Why the gate was closed."""
    holdout: str | None
    """SHA-256 of the training data of the judged models. Figures of different holdouts cannot be compared."""


@dataclass(frozen=True)
class Side:
    """One group of users."""

    release: str | None
    """Release id; None: whatever was current during the trial."""
    n_users: int
    n_lists: int
    n_items: int
    n_clicks: int
    """Clicks, where each user counts with at most as many clicks as lists."""
    click_through: float
    """Clicks per list, in [0, 1]."""
    standard_error: float
    """Clustered by user."""
    predicted: Predicted | None
    """None where the store no longer has the release."""


@dataclass(frozen=True)
class Comparison:
    """B against A."""

    trial: str
    """Release that the share of users got."""
    a: Side
    b: Side
    difference: float
    """Click-through of B minus that of A."""
    low: float
    high: float
    """Ends of the always-valid interval, which may be looked at at any time (`evaluation/always_valid.py`)."""
    alpha: float
    n_moved: int
    """Users who were in both groups, since the share was changed; they count in neither."""
    verdict: str


def compare(
    storage: Storage, store: FeedbackStore, params: ServeParams, a: str | None = None, b: str | None = None
) -> Comparison:
    """Compare the click-through of a trial's two groups. Safe to repeat, at any time.

    Args:
        storage: where releases live.
        store: the feedback store.
        params: section `serve`.
        a: a release; None: whatever was current during the trial.
        b: another one; None: the release of the latest trial.

    Returns:
        Both sides, and the difference.

    Raises:
        ConfigError: no trial was counted with these releases.
        StorageError: the feedback store or the release store cannot be reached.
    """
    trial = _trial(store, a, b)
    counted = read_trial(store, trial, b if trial == a else a)
    others, tried = _sums(counted.others), _sums(counted.tried)
    is_reversed = trial == a
    found = difference(
        *((tried, others) if is_reversed else (others, tried)), params.compare_alpha, params.compare_effect
    )
    releases = ReleaseStore(storage)
    other = b if is_reversed else a
    judged = other or last_other(store, trial)
    other_side = _side(other, counted.others, others, _predicted(releases, judged) if judged else None)
    tried_side = _side(trial, counted.tried, tried, _predicted(releases, trial))
    low, high = float(found.low), float(found.high)
    return Comparison(
        trial=trial,
        a=tried_side if is_reversed else other_side,
        b=other_side if is_reversed else tried_side,
        difference=float(found.value),
        low=low,
        high=high,
        alpha=params.compare_alpha,
        n_moved=counted.n_moved,
        verdict=_verdict(low, high, min(len(counted.others.lists_U), len(counted.tried.lists_U))),
    )


def _trial(store: FeedbackStore, a: str | None, b: str | None) -> str:
    known = trials_of(store)
    named = [one for one in (a, b) if one is not None]
    found = [one for one in known if b is None or one in named]
    if not found:
        which = " and ".join(named) or "any release"
        raise ConfigError(
            f"no trial of {which} was counted in the feedback store {store.where}",
            remedy="recsys serve --share 0.05 --share-release RELEASE; users must be named in requests",
        )
    return found[0]


def _sums(group: GroupCounts) -> GroupSums:
    return GroupSums.of(group.lists_U, group.clicks_U)


def _side(release: str | None, group: GroupCounts, sums: GroupSums, predicted: Predicted | None) -> Side:
    return Side(
        release=release,
        n_users=len(group.lists_U),
        n_lists=int(group.lists_U.sum()),
        n_items=group.n_items,
        n_clicks=int(np.minimum(group.clicks_U, group.lists_U).sum()),
        click_through=float(sums.rate),
        standard_error=float(np.sqrt(sums.variance)),
        predicted=predicted,
    )


def _predicted(releases: ReleaseStore, release: str) -> Predicted | None:
    try:
        manifest = releases.manifest(release)
    except ReleaseError:  # it was collected meanwhile
        return None
    decision = manifest.decision or {}
    return Predicted(
        ndcg=_ndcg(manifest),
        gate={True: "open", False: "closed"}.get(decision.get("open")),  # type: ignore[arg-type]
        reasons=tuple(decision.get("reasons", ())),
        holdout=decision.get("holdout"),
    )


def _ndcg(manifest: Manifest) -> dict[str, float]:
    """The model's own figures; those of other models have longer names, such as `floors/random/cold/ndcg@20`."""
    figures = manifest.metrics or {}
    own = [name for name in figures if name.count("/") == 1 and name.endswith(f"/{METRIC}")]
    return {name: float(figures[name]) for name in own if figures[name] is not None}


def _verdict(low: float, high: float, n_users: int) -> str:
    if n_users < MIN_USERS:
        return f"too few users: {n_users} in the smaller group, of {MIN_USERS} at least"
    if low > 0:
        return "B is clicked on more"
    return "A is clicked on more" if high < 0 else "no difference is sure yet"
