"""The leak report: four ways in which test data can leak into training, checked without trusting the split.

Each check returns a finding or None; CHECKS is all of them. A report with findings closes the gate.
"""

from collections.abc import Callable, Mapping
from datetime import UTC

import numpy as np
import pyarrow.compute as pc

from recsys.catalogue.near_duplicates import near_duplicates
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.report import Finding
from recsys.profiles.gram import gram_of
from recsys.ranking.dot import RidgeUsers
from recsys.ranking.plain_blend import PlainBlend
from recsys.ranking.recommender import Recommender
from recsys.ranking.tasks import Scorer
from recsys.storage.strings import Strings, distinct, is_among

MAX_EXAMPLES = 5


def cold_item_in_training(
    holdout: Holdout, models: Mapping[str, Scorer], similarity: float
) -> Finding | None:
    """Find training interactions with a cold item, after the cut, or that are in the test side too."""
    cold, ids = holdout.candidates("cold"), Strings(holdout.item_ids)
    trained = distinct(holdout.train["item_id"])
    caught = set(ids.take(cold[is_among(ids.take(cold).column, trained)]))
    caught |= set(ids.take(cold[holdout.known.interactions.n_users_I[cold] > 0]))
    leaked_UI = holdout.known.interactions.matrix_UI.multiply(holdout.test.matrix_UI).tocoo()
    caught |= set(ids.take(np.unique(leaked_UI.col[leaked_UI.data != 0])))
    if holdout.cut is not None:
        late = holdout.train.filter(pc.greater_equal(holdout.train["timestamp"], holdout.cut))
        caught |= set(distinct(late["item_id"]).to_pylist())
    return _finding(
        "cold-item-in-training", "items have training interactions that belong to the test", caught
    )


def near_duplicate_text(holdout: Holdout, models: Mapping[str, Scorer], similarity: float) -> Finding | None:
    """Find judged cold items whose text nearly equals that of a warm item."""
    texts, cold = Strings(holdout.known.texts), holdout.candidates("cold")
    warm = np.flatnonzero(holdout.slice_of_item == "warm")
    found = near_duplicates(texts.take(cold), texts.take(warm), similarity)
    caught = {holdout.item_ids[cold[one.a]] for one in found}
    return _finding("near-duplicate-text", "cold items have nearly the text of a warm item", caught)


def text_newer_than_cut(holdout: Holdout, models: Mapping[str, Scorer], similarity: float) -> Finding | None:
    """Find judged items whose text was changed after the cut, although there is an older version.

    The first version is not a leak: the item arrived with it.
    """
    if holdout.cut is None:
        return None
    cut = np.datetime64(holdout.cut.astimezone(UTC).replace(tzinfo=None), "us")
    # Nothing is newer or older than an unknown time (NaT).
    is_late_I = (holdout.updated_at > cut) & (holdout.updated_at > holdout.oldest_text)
    caught = set(Strings(holdout.item_ids).take(np.flatnonzero(holdout.is_judged & is_late_I)))
    return _finding(
        "text-newer-than-cut", "items are judged by a text that was written after the cut", caught
    )


def statistics_after_cut(holdout: Holdout, models: Mapping[str, Scorer], similarity: float) -> Finding | None:
    """Find models that learned from items without interactions before the cut.

    Each model reports the items it learned from. In addition, the Gram matrix of ridge users is recomputed and compared
    bit by bit.
    """
    warm = np.flatnonzero(holdout.slice_of_item == "warm")
    caught = {name for name, model in models.items() if np.setdiff1d(model.learned_from, warm).size}
    expected = gram_of(holdout.known.vectors_ID, warm)
    caught |= {
        name
        for name, model in models.items()
        if (ridge := _ridge_of(model)) and not np.array_equal(ridge.ridge.gram, expected)
    }
    return _finding("statistics-after-cut", "models learned statistics from items after the cut", caught)


def _ridge_of(model: Scorer) -> RidgeUsers | None:
    if isinstance(model, Recommender):
        return model.users
    if isinstance(model, PlainBlend):
        return _ridge_of(model.parts[1])
    return model if isinstance(model, RidgeUsers) else None


Check = Callable[[Holdout, Mapping[str, Scorer], float], Finding | None]
CHECKS: tuple[Check, ...] = (
    cold_item_in_training,
    near_duplicate_text,
    text_newer_than_cut,
    statistics_after_cut,
)


def find_leaks(holdout: Holdout, models: Mapping[str, Scorer], similarity: float) -> tuple[Finding, ...]:
    """Run all checks.

    Args:
        holdout: the holdout.
        models: name -> learned scorer.
        similarity: Jaccard similarity from which two texts count as one.

    Returns:
        Findings; none for a clean holdout.
    """
    found = (check(holdout, models, similarity) for check in CHECKS)
    return tuple(one for one in found if one is not None)


def _finding(kind: str, words: str, caught: set[str]) -> Finding | None:
    return (
        Finding(kind=kind, n=len(caught), words=words, examples=tuple(sorted(caught)[:MAX_EXAMPLES]))
        if caught
        else None
    )
