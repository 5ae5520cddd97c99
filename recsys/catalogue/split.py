"""The holdout: training pairs from before the cut, test pairs from after it, cold and warm items."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from recsys.catalogue.held_out import held_out_by_hash
from recsys.catalogue.known import part_ranks
from recsys.catalogue.near_duplicates import near_duplicates
from recsys.catalogue.opinions import FURTHER, OPINIONS_SCHEMA, WITHDRAWAL, liked, opinions
from recsys.catalogue.params import SplitParams
from recsys.catalogue.weighting import N_LIKES, Scale
from recsys.errors import ArtifactMissing, ConfigError
from recsys.storage.atomic import write_document, write_parquet
from recsys.storage.strings import Strings, distinct, is_among, ordered

TIME = pa.timestamp("us", tz="UTC")
PAIRS_SCHEMA = pa.schema([("user", pa.string()), ("item_id", pa.string()), ("timestamp", TIME)])
ITEMS_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("slice", pa.string()),
        ("left_out", pa.string()),
        ("text_hash", pa.string()),
        ("updated_at", TIME),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
NEAR_DUPLICATE = "text is nearly that of a warm item"
UNKNOWN_TIME = "has interactions at unknown times"
CAME_TOO_LATE = "arrived after the last interaction"
NEVER = np.iinfo(np.int64).max

FEEDBACK = "feedback.parquet"
FEEDBACK_SCHEMA = pa.schema(
    [
        ("side", pa.string()),
        *[OPINIONS_SCHEMA.field(name) for name in ("user", "item_id", "latest", "weight")],
        FURTHER[N_LIKES],
    ]
)
"""And EVENTS where section `weighting` lets events count."""


class SplitSummary(BaseModel):
    """split.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    """time or item-hash."""
    cut: datetime | None
    """Training is what happened before; None without times."""
    n_train_pairs: int
    n_test_pairs: int
    n_test_users: int
    n_cold: int
    """Judged cold items."""
    n_warm: int
    left_out: dict[str, int]
    """Reason -> items that are not judged."""
    scales: dict[str, Scale] = {}
    """How values were read, learned from the training side. Empty, and not written, where values say nothing."""

    @model_serializer(mode="wrap")
    def _without_scales(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `scales` out where it is empty, which keeps the bytes of splits without values."""
        written: dict[str, Any] = plain(self)
        if not self.scales:
            written.pop("scales", None)
        return written


@dataclass(frozen=True)
class Split:
    """One holdout."""

    summary: SplitSummary
    train: pa.Table
    """PAIRS_SCHEMA, users and items as sorted dictionaries: distinct pairs from before the cut."""
    test: pa.Table
    """Likewise: new pairs of users with training history, on judged items."""
    items: pa.Table
    """ITEMS_SCHEMA: every item with the version of its text that judging uses, sorted by id; `left_out` says why
    it is not judged, null where it is."""
    feedback: pa.Table | None = None
    """FEEDBACK_SCHEMA: what is known beyond yes. `train`: opinions as of the cut, dislikes among them; `test`: opinions
    that are newer. None, and not written, where there is nothing but likes that are all alike."""

    def save(self, folder: Path) -> None:
        """Write split.json, train.parquet, test.parquet, items.parquet, and feedback.parquet where there is any."""
        write_parquet(folder / "train.parquet", self.train, schema=PAIRS_SCHEMA)
        write_parquet(folder / "test.parquet", self.test, schema=PAIRS_SCHEMA)
        write_parquet(folder / "items.parquet", self.items)
        (folder / FEEDBACK).unlink(missing_ok=True)
        if self.feedback is not None:
            write_parquet(folder / FEEDBACK, self.feedback)
        write_document(folder / "split.json", self.summary, indent=2)

    @classmethod
    def load(cls, folder: Path) -> "Split":
        """Read what `save` wrote.

        Args:
            folder: artifacts/split.

        Returns:
            The holdout.

        Raises:
            ArtifactMissing: stage `split` has not run.
        """
        if not (folder / "split.json").is_file():
            raise ArtifactMissing(f"{folder} holds no split", remedy="run: dvc repro split")
        summary = SplitSummary.model_validate_json((folder / "split.json").read_text())
        train, test = (_read_coded(folder / f"{name}.parquet") for name in ("train", "test"))
        items = pq.read_table(folder / "items.parquet")
        feedback = _read_coded(folder / FEEDBACK) if (folder / FEEDBACK).is_file() else None
        return cls(summary, train, test, items, feedback)

    def feedback_of(self, side: str) -> pa.Table | None:
        """Opinions of one side, `train` or `test`; None where nothing is known beyond yes."""
        return None if self.feedback is None else self.feedback.filter(pc.equal(self.feedback["side"], side))


def _read_coded(path: Path) -> pa.Table:
    """A file of pairs; users and items are dictionaries, one for all rows."""
    return pq.read_table(path, read_dictionary=["user", "item_id"]).unify_dictionaries()


def split(events: pa.Table, versions: pa.Table, params: SplitParams) -> Split:
    """Divide the accepted data into training and test.

    A pair counts once, at its first time, and only if the user likes the item. Training holds the likes as they stood
    at the cut; the test holds today's likes. By time, the cut leaves `test_share` of the timed pairs after it. By item
    hash, items whose salted hash falls into `test_share` are held out completely, and of the others the same share of
    pairs, so that warm items are judged too. Cold items have no pair before the cut. An item is judged by its newest
    text that is not newer than the cut. Its first text counts as the text it arrived with, whenever the catalogue
    learned of it. Items that are deleted today are left out, and so are those without text: a head is learned and
    judged on texts, and gives the others profiles by their views.

    Args:
        events: interactions with their weights, in order of arrival, as `feedback.weighed` makes them.
        versions: every row of the features: item_id, text, text_hash, updated_at, deleted, part, line.
        params: section `split`.

    Returns:
        The holdout; the same for any order of rows.

    Raises:
        ConfigError: no pair lies before the cut, or too few users can be tested.
    """
    pairs = _liked_pairs(events)
    by = _method(pairs, params)
    cut_us = _cut(pairs, params.test_share) if by == "time" else NEVER
    items = _texts_at(versions, cut_us)
    items = items.filter(pc.not_equal(items["text"], ""))
    alive = items["item_id"].combine_chunks()
    pairs = pairs.filter(is_among(pairs["item_id"], alive))
    if by == "time":
        train, test = _sides_by_time(events, pairs, cut_us)
        train = train.filter(is_among(train["item_id"], alive))
    else:
        train, test = _sides_by_hash(pairs, params)
    if train.num_rows == 0:
        raise ConfigError(
            "split: no interaction lies before the cut",
            remedy="land more interactions, lower split.test_share, or set split.by to item-hash",
        )
    test = test.filter(is_among(test["user"], distinct(train["user"])))
    del events  # a third of a gigabyte for ten million, while texts are compared
    items = _judged(items, pairs, train, test, by)
    items = _without_near_duplicates(items, params.near_duplicate_similarity)
    judged = items.filter(pc.is_null(items["left_out"]))
    test = test.filter(is_among(test["item_id"], judged["item_id"].combine_chunks()))
    cut = datetime.fromtimestamp(cut_us / 1e6, UTC) if by == "time" else None
    summary = _summary(by, cut, train, test, items)
    if summary.n_test_users < params.min_test_users:
        raise ConfigError(
            f"split: {summary.n_test_users} test users, fewer than split.min_test_users = {params.min_test_users}",
            remedy="land more interactions, raise split.test_share, set split.by to item-hash, or lower the minimum",
        )
    return Split(summary, train, test, items.select(ITEMS_SCHEMA.names).cast(ITEMS_SCHEMA))


def _liked_pairs(events: pa.Table) -> pa.Table:
    """Each pair whose latest interaction is a like, with its first known time; sorted by user and item."""
    pairs = liked(opinions(events)).select(PAIRS_SCHEMA.names)
    users, items = ordered(pairs["user"]), ordered(pairs["item_id"])
    order = np.lexsort((np.asarray(items.indices), np.asarray(users.indices)))
    columns = [users, items, pairs["timestamp"].cast(TIME)]
    return pa.table([one.take(pa.array(order)) for one in columns], names=PAIRS_SCHEMA.names)


def _method(pairs: pa.Table, params: SplitParams) -> str:
    if params.by != "auto":
        return params.by
    return "time" if pairs["timestamp"].null_count * 2 < pairs.num_rows else "item-hash"


def _cut(pairs: pa.Table, test_share: float) -> int:
    """The first microsecond that is not training."""
    times = np.sort(pairs["timestamp"].drop_null().cast(pa.int64()).to_numpy())
    if len(times) == 0:
        raise ConfigError("split: no interaction has a timestamp", remedy="set split.by to item-hash or auto")
    return int(times[min(int(len(times) * (1 - test_share)), len(times) - 1)])


def _sides_by_time(events: pa.Table, pairs: pa.Table, cut_us: int) -> tuple[pa.Table, pa.Table]:
    """Likes at the cut, and likes that came after it; pairs of unknown time are in neither.

    A dislike of unknown time ends a like on both sides, because it may have come before the cut.
    """
    times = events["timestamp"].cast(pa.int64())
    is_ending = pc.less_equal(events["weight"], WITHDRAWAL)
    train = _liked_pairs(events.filter(pc.coalesce(pc.less(times, cut_us), is_ending)))
    first = pairs["timestamp"].cast(pa.int64())
    return train, pairs.filter(pc.fill_null(pc.greater_equal(first, cut_us), False))


def _sides_by_hash(pairs: pa.Table, params: SplitParams) -> tuple[pa.Table, pa.Table]:
    """Training and test pairs: items are held out whole, and of the others some pairs."""
    is_test = held_out_by_hash(pairs, params)
    return pairs.filter(pa.array(~is_test)), pairs.filter(pa.array(is_test))


def _texts_at(versions: pa.Table, cut_us: int) -> pa.Table:
    """One row per item that is live today: its newest text at the cut, or else its first."""
    stamps = versions["updated_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    if versions.num_rows == 0:
        return versions.append_column("first", stamps)
    codes, stamp_V = np.asarray(ordered(versions["item_id"]).indices), stamps.to_numpy()
    order = np.lexsort((versions["line"].to_numpy(), part_ranks(versions["part"]), stamp_V, codes))
    codes, stamp_V = codes[order], stamp_V[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    deleted = np.asarray(versions["deleted"].to_numpy(), bool)[order]
    place_V = np.arange(len(codes))
    at_cut = np.maximum.reduceat(np.where(~deleted & (stamp_V <= cut_us), place_V, -1), starts)
    first = np.minimum.reduceat(np.where(deleted, len(codes), place_V), starts)
    newest = np.append(starts[1:], len(codes)) - 1
    alive = ~deleted[newest]
    chosen = np.where(at_cut >= 0, at_cut, first)[alive]
    return versions.take(pa.array(order[chosen])).append_column("first", pa.array(stamp_V[first[alive]]))


def _judged(items: pa.Table, pairs: pa.Table, train: pa.Table, test: pa.Table, by: str) -> pa.Table:
    """Add `slice` and `left_out`."""
    ids = items["item_id"].combine_chunks()
    is_warm, in_test = (is_among(ids, distinct(side["item_id"])) for side in (train, test))
    reasons = np.full(len(ids), None, object)
    times = pairs["timestamp"]
    if by == "time":
        untimed = distinct(pairs.filter(pc.is_null(times))["item_id"])
        reasons[~is_warm & is_among(ids, untimed)] = UNKNOWN_TIME
    if by == "time" or times.null_count == 0:
        last = pc.max(times).cast(pa.int64()).as_py()
        # Nobody could have interacted with it: as a candidate it could only count as a mistake.
        reasons[~is_warm & ~in_test & (items["first"].to_numpy() > last)] = CAME_TOO_LATE
    slices = pa.array(np.where(is_warm, "warm", "cold"), pa.string())
    return items.append_column("slice", slices).append_column("left_out", pa.array(reasons, pa.string()))


def _without_near_duplicates(items: pa.Table, similarity: float) -> pa.Table:
    """Leave out cold items whose text is nearly that of a warm one: they would not really be cold."""
    is_warm = np.asarray(pc.equal(items["slice"], "warm"))
    cold = np.flatnonzero(~is_warm & np.asarray(pc.is_null(items["left_out"])))
    texts = Strings(items["text"])
    found = near_duplicates(texts.take(cold), texts.take(np.flatnonzero(is_warm)), similarity)
    is_near = np.zeros(len(items), bool)
    is_near[cold[[one.a for one in found]]] = True
    left_out = pc.if_else(pa.array(is_near), NEAR_DUPLICATE, items["left_out"])
    return items.set_column(items.column_names.index("left_out"), "left_out", left_out)


def _summary(by: str, cut: datetime | None, train: pa.Table, test: pa.Table, items: pa.Table) -> SplitSummary:
    judged = items.filter(pc.is_null(items["left_out"]))
    n_warm = int(pc.sum(pc.equal(judged["slice"], "warm")).as_py() or 0)
    counted = pc.value_counts(items["left_out"].drop_null()).to_pylist()
    return SplitSummary(
        by=by,
        cut=cut,
        n_train_pairs=train.num_rows,
        n_test_pairs=test.num_rows,
        n_test_users=len(pc.unique(test["user"])),
        n_cold=judged.num_rows - n_warm,
        n_warm=n_warm,
        left_out={
            str(one["values"]): one["counts"] for one in sorted(counted, key=lambda one: str(one["values"]))
        },
    )
