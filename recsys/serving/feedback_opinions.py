"""A user's opinions with the feedback that the release does not hold yet, by the release's own rules."""

from collections.abc import Sequence

import pyarrow as pa

from recsys.catalogue.feedback import NO_SCALES, weighed_in_order
from recsys.catalogue.opinions import FURTHER, OPINIONS_SCHEMA, opinions
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.weighting import Scales
from recsys.serving.feedback_events import Event

_COLUMNS = pa.schema(
    [*[OPINIONS_SCHEMA.field(name) for name in ("user", "item_id", "timestamp")]]
    + [("event", pa.string()), ("value", pa.float64())]
)


def merge(
    before: pa.Table, given: Sequence[Event], params: FeedbackParams, scales: Scales = NO_SCALES
) -> pa.Table:
    """Add events to a user's opinions. The next release, which holds the events, gives the same ones.

    Args:
        before: `Histories.opinions_of` the user.
        given: the user's events from `FeedbackStore.of`, in order of arrival.
        params: section `feedback`, as the release was made with.
        scales: of the release's model: how strong likes are by their values.

    Returns:
        In OPINIONS_SCHEMA, one row per item, by first time; `liked_items` and `disliked_items` read it.
    """
    if not given:
        return before
    names = ("user", "item_id", "at", "event", "value")
    columns = [[getattr(event, name) for event in given] for name in names]
    arrived = pa.table(
        [
            pa.chunked_array([pa.array(column, field.type)])
            for column, field in zip(columns, _COLUMNS, strict=True)
        ],
        schema=_COLUMNS,
    )
    further = [name for name in before.column_names if name in FURTHER]
    return opinions(pa.concat_tables([before, weighed_in_order(arrived, params, scales, further)]))
