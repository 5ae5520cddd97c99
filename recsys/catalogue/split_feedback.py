"""What a holdout knows beyond yes: how strong likes are, how often and when they came last, and dislikes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.feedback import learn_scales, weigh, weighed
from recsys.catalogue.held_out import held_out_by_hash
from recsys.catalogue.opinions import DISLIKE, FURTHER, WITHDRAWAL, opinions
from recsys.catalogue.params import FeedbackParams, SplitParams, WeightingParams
from recsys.catalogue.split import FEEDBACK_SCHEMA, Split
from recsys.catalogue.weighting import EVENTS, N_LIKES
from recsys.storage.strings import UNKNOWN, Strings, distinct, is_among

# Shape suffix: R interactions.
TRAIN, TEST = "train", "test"


def with_feedback(
    found: Split,
    interactions: pa.Table,
    feedback: FeedbackParams,
    weighting: WeightingParams,
    params: SplitParams,
) -> Split:
    """Add what is known of each pair. Train and test pairs stay.

    Strengths are learned from the training side alone. It holds opinions as of the cut. The test side holds today's
    opinions of its likes; and dislikes of judged items that came after the cut (by item hash: of held-out pairs), of
    users with a training history.

    Args:
        found: what `split` made of these interactions.
        interactions: in INTERACTIONS_SCHEMA.
        feedback: section `feedback`.
        weighting: section `weighting`.
        params: section `split`.

    Returns:
        The split with `feedback` and `scales`; unchanged where all likes are alike and there is no dislike.
    """
    is_before_R = _before(found, interactions, feedback, params)
    scales = learn_scales(interactions.select(["event", "value"]).filter(pa.array(is_before_R)), feedback)
    weights = weigh(interactions["event"], interactions["value"], feedback)
    if not (scales or weighting.reads_more_than_likes or pc.any(pc.equal(weights, DISLIKE)).as_py()):
        return found
    before = interactions.filter(pa.array(is_before_R))
    further = (N_LIKES, *([EVENTS] if any(weighting.event_weights) else []))
    train = opinions(weighed(before, feedback, scales, further))
    train = train.filter(pc.not_equal(train["weight"], WITHDRAWAL))
    today = opinions(weighed(interactions, feedback, scales, further))
    is_like = pc.and_(pc.greater(today["weight"], WITHDRAWAL), _is_among(today, found.test))
    judged = found.items.filter(pc.is_null(found.items["left_out"]))["item_id"].combine_chunks()
    is_dislike = pc.and_(pc.less(today["weight"], WITHDRAWAL), pa.array(is_among(today["item_id"], judged)))
    is_known = is_among(today["user"], distinct(found.train["user"]))
    is_dislike = pc.and_(is_dislike, pa.array(is_known))
    held = interactions.filter(pa.array(~is_before_R))
    is_new = pc.and_(_is_among(today, held), pc.invert(_is_among(today, before)))
    test = today.filter(pc.or_(is_like, pc.and_(is_dislike, is_new)))
    schema = pa.schema([*FEEDBACK_SCHEMA, *(FURTHER[name] for name in further if name == EVENTS)])
    sides = [
        side.append_column("side", pa.repeat(name, side.num_rows)).select(schema.names)
        for name, side in ((TRAIN, train), (TEST, test))
    ]
    return replace(
        found,
        summary=found.summary.model_copy(update={"scales": scales}),
        feedback=pa.concat_tables([side.cast(schema) for side in sides]),
    )


def _before(
    found: Split, interactions: pa.Table, feedback: FeedbackParams, params: SplitParams
) -> NDArray[np.bool_]:
    """Which interactions the training side may know of, as `split` divides them."""
    if found.summary.by == "time":
        is_ending = pc.less_equal(weigh(interactions["event"], interactions["value"], feedback), WITHDRAWAL)
        is_earlier = pc.less(
            interactions["timestamp"], pa.scalar(found.summary.cut, interactions["timestamp"].type)
        )
        return np.asarray(pc.coalesce(is_earlier, is_ending))
    return ~held_out_by_hash(interactions, params)


def _is_among(pairs: pa.Table, others: pa.Table) -> pa.Array:
    """Which pairs of user and item are pairs of another table."""
    users, items = (Strings(distinct(others[name])) for name in ("user", "item_id"))
    user_R, item_R = users.rows_in(pairs["user"]), items.rows_in(pairs["item_id"])
    key_R, known = (
        user * max(1, len(items)) + item
        for user, item in (
            (user_R, item_R),
            (users.rows_in(others["user"]), items.rows_in(others["item_id"])),
        )
    )
    return pa.array((user_R != UNKNOWN) & (item_R != UNKNOWN) & np.isin(key_R, known))
