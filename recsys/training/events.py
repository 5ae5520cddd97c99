"""What event heads learn from besides interactions: purchases, their values, and impressions."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.catalogue.coded_rows import coded_rows
from recsys.catalogue.folding import folded
from recsys.catalogue.kinds import IMPRESSIONS, INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.dataset.interactions import Interactions
from recsys.ranking.event_examples import Events
from recsys.storage.strings import UNKNOWN, distinct, is_among

# Shape suffixes: U users, I items, R rows of interactions, S rows of impressions.


def read_events(
    data: Path, interactions: Interactions, cut: datetime | None, purchase_events: Iterable[str]
) -> Events | None:
    """Read what `events_of` needs from the accepted parts.

    Args:
        data: the folder of the parts.
        interactions: of the training side.
        cut: as in `events_of`.
        purchase_events: names of events.

    Returns:
        The events.
    """
    names = ["user", "item_id", "timestamp"]
    rows, shown = _columns(data, INTERACTIONS, [*names, "event", "value"]), _columns(data, IMPRESSIONS, names)
    return events_of(rows, shown, interactions, cut, purchase_events)


def events_of(
    rows: pa.Table,
    shown: pa.Table,
    interactions: Interactions,
    cut: datetime | None,
    purchase_events: Iterable[str],
) -> Events | None:
    """Find purchases, values and impressions of the pairs of the training side.

    Args:
        rows: user, item_id, event, value and timestamp of accepted interactions, in order of arrival.
        shown: user, item_id and timestamp of accepted impressions.
        interactions: of the training side; rows of other pairs are ignored.
        cut: rows from then on are ignored; interactions without a time are not. None: the split knows no time. Then no
            impression is read: where its click is a test pair, it would count as not clicked.
        purchase_events: names of events, in any case.

    Returns:
        The events; None where no pair was bought, none has a value, and nothing is known to have been shown. A pair's
        value is the last that arrived.
    """
    rows, shown = _before(rows, cut, untimed=True), _before(shown, cut, untimed=False)
    user_R, item_R = interactions.rows_in(rows)
    is_pair_R = (user_R != UNKNOWN) & (item_R != UNKNOWN)
    if is_pair_R.any():
        pairs_P = interactions.matrix_UI[user_R[is_pair_R], item_R[is_pair_R]]
        is_pair_R[is_pair_R] = np.asarray(pairs_P).ravel() > 0
    wanted = {folded(one) for one in purchase_events}
    bought = [one for one in distinct(rows["event"]).to_pylist() if folded(one) in wanted]
    is_bought_R = is_pair_R & is_among(rows["event"], pa.array(bought, pa.string()))
    value_R = rows["value"].to_numpy().astype(np.float64)
    has_value_R = is_pair_R & np.isfinite(value_R)
    shape = interactions.matrix_UI.shape
    purchases_UI = _last(user_R, item_R, np.ones(len(user_R)), is_bought_R, shape)
    values_UI = _last(user_R, item_R, value_R, has_value_R, shape)
    user_S, item_S = interactions.rows_in(shown)
    is_known_S = (user_S != UNKNOWN) & (item_S != UNKNOWN)
    shown_UI = _last(user_S, item_S, np.ones(len(user_S)), is_known_S, shape)
    found = Events(purchases_UI, values_UI, shown_UI)
    return None if purchases_UI is None and values_UI is None and shown_UI is None else found


def _columns(data: Path, kind: str, names: list[str]) -> pa.Table:
    """Some columns of all accepted rows of a kind, in order of arrival."""
    return coded_rows(list_parts(data, kind), kind, names)


def _before(rows: pa.Table, cut: datetime | None, *, untimed: bool) -> pa.Table:
    """Rows from before the cut. Without a cut, or where a row has no time: all rows, or none."""
    if cut is None:
        return rows if untimed else rows.slice(0, 0)
    before = pc.less(rows["timestamp"], pa.scalar(cut, rows.schema.field("timestamp").type))
    return rows.filter(pc.fill_null(before, untimed))


def _last(
    user_R: NDArray[np.integer],
    item_R: NDArray[np.integer],
    value_R: NDArray[np.float64],
    is_wanted_R: NDArray[np.bool_],
    shape: tuple[int, int],
) -> csr_array | None:
    """The last value of each pair among some rows; None without rows."""
    rows = np.flatnonzero(is_wanted_R)[::-1]
    if not len(rows):
        return None
    pair_R = user_R[rows].astype(np.int64) * shape[1] + item_R[rows]
    _, first = np.unique(pair_R, return_index=True)
    kept = rows[first]
    return csr_array((value_R[kept], (user_R[kept], item_R[kept])), shape=shape)
