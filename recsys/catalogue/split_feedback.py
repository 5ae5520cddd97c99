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
    before = interactions.filter(pa.array(is_before_R))
    scales = learn_scales(before, feedback)
    weights = weigh(interactions["event"], interactions["value"], feedback)
    if not (scales or weighting.reads_more_than_likes or pc.any(pc.equal(weights, DISLIKE)).as_py()):
        return found
    further = (N_LIKES, *([EVENTS] if any(weighting.event_weights) else []))
    train = opinions(weighed(before, feedback, scales, further))
    train = train.filter(pc.not_equal(train["weight"], WITHDRAWAL))
    today = opinions(weighed(interactions, feedback, scales, further))
    is_like = pc.and_(pc.greater(today["weight"], WITHDRAWAL), _is_among(today, found.test))
    judged = found.items.filter(pc.is_null(found.items["left_out"]))["item_id"].combine_chunks()
    is_dislike = pc.and_(pc.less(today["weight"], WITHDRAWAL), pc.is_in(today["item_id"], value_set=judged))
    is_dislike = pc.and_(is_dislike, pc.is_in(today["user"], value_set=pc.unique(found.train["user"])))
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
    both = pa.concat_tables([one.select(["user", "item_id"]) for one in (pairs, others)])
    codes = [both[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in both.column_names]
    key = codes[0].astype(np.int64) * (int(codes[1].max(initial=0)) + 1) + codes[1]
    return pa.array(np.isin(key[: pairs.num_rows], key[pairs.num_rows :]))
