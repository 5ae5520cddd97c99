"""Arrivals for `bench/monitor.py`: ordinary ones, and the same with a planted drift.

A maker draws the arrivals of one replay. `ordinary(place)` is the arrival at a place of the history; `planted(place,
kind, share)` is one of which a share of the rows is of the planted kind.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT, SHARED_DATA
from bench.monitor_worlds import World
from recsys.catalogue.languages import language_of_each
from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.samples import interaction_counts, sample_users
from recsys.monitoring.signals import number_column
from recsys.storage.atomic import write_whole

START = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = "price"
NEW_BLOCKS = 10
"""An item counts as new in so many arrivals of interactions."""
ARRIVALS_OF_EVENTS = 82
DAY = 86_400
"""Seconds."""
FILES = 3
"""Landed files of a release."""


class Maker(Protocol):
    """Draws the arrivals of one replay."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of drift that can be planted."""
        ...

    def ordinary(self, place: int) -> Arrival:
        """An arrival as the others are."""
        ...

    def planted(self, place: int, kind: str, share: float) -> Arrival:
        """An arrival of which a share is of the planted kind."""
        ...


class Items:
    """Draws arrivals out of a catalogue, without one category, which is planted as a new one.

    Args:
        made: the catalogue.
        history: `mixed`, random draws; `suppliers`, mostly from two random categories.
        size: items of an arrival.
        generator: draws.
    """

    def __init__(self, made: World, history: str, size: int, generator: np.random.Generator) -> None:
        self.made, self.history, self.size, self.generator = made, history, size, generator
        hidden = int(generator.integers(made.category.max() + 1))
        self.known = np.flatnonzero(made.category != hidden)
        self.hidden = np.flatnonzero(made.category == hidden)
        self.languages = {kind: _detected(texts) for kind, texts in made.texts.items()}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Texts, categories, vectors and prices; tags where the catalogue has any."""
        found = ("language", "category", "truncated", "boilerplate", "encoder", "price")
        return (*found, "tags") if any(self.made.tags) else found

    def ordinary(self, place: int) -> Arrival:
        """An arrival as the catalogue is."""
        return self._arrival(place, [("plain", self._draw(self.size))])

    def planted(self, place: int, kind: str, share: float) -> Arrival:
        """A share of the planted kind, the rest as the catalogue is."""
        n = max(1, round(share * self.size))
        rest = ("plain", self._draw(self.size - n))
        if kind == "category":
            return self._arrival(place, [("plain", self._some(self.hidden, n)), rest])
        rows = self._some(np.arange(len(self.made.texts[kind])), n) if kind == "language" else self._draw(n)
        return self._arrival(place, [(kind, rows), rest])

    def _draw(self, n: int) -> NDArray[np.int64]:
        if self.history == "mixed":
            return self._some(self.known, n)
        category = self.made.category[self.known]
        two = self.generator.choice(np.unique(category), 2, replace=False)
        n_two = round(0.7 * n)
        own = self._some(self.known[np.isin(category, two)], n_two)
        return np.concatenate([own, self._some(np.setdiff1d(self.known, own), n - n_two)])

    def _some(self, rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        return self.generator.choice(rows, n, replace=n > len(rows))

    def _arrival(self, place: int, drawn: Sequence[tuple[str, NDArray[np.int64]]]) -> Arrival:
        pairs = [(kind, int(row)) for kind, rows in drawn for row in rows]
        order = self.generator.permutation(len(pairs))
        pairs = [pairs[at] for at in order]
        texts = [self.made.texts_of(kind)[row] for kind, row in pairs]
        rows = pa.table(
            {
                "item_id": [str(row) for _, row in pairs],
                "text": texts,
                "chars": [len(text) for text in texts],
                "language": pa.array([self._language(kind, row) for kind, row in pairs], pa.string()),
                "tags": pa.array([self._tags(kind, row) for kind, row in pairs], pa.list_(pa.string())),
                "fields": [["title"] for _ in pairs],
                "vector": list(np.stack([self.made.vectors_of(kind)[row] for kind, row in pairs])),
                number_column(PRICE): pa.array([self._price(kind, row) for kind, row in pairs], pa.float64()),
            }
        )
        return _arrival(place, rows, {})

    def _language(self, kind: str, row: int) -> str | None:
        return self.languages.get(kind, self.languages["plain"])[row]

    def _tags(self, kind: str, row: int) -> list[str]:
        """Tags of an item; planted: the same ones as another department writes them."""
        tags = self.made.tags[row % len(self.made.tags)]  # planted Chinese texts are more than films
        return [f"dept. {tag}" for tag in tags] if kind == "tags" else tags

    def _price(self, kind: str, row: int) -> float:
        """Price of an item; planted: in cents."""
        return float(self.made.prices[row % len(self.made.prices)]) * (100 if kind == "price" else 1)


class Events:
    """Consecutive blocks of MovieLens' ratings. Ratings of 4 and more are the event `like`, others are `view`.

    Args:
        history: `sessions`, in their real order, from a random time on: a user rates all films at once, so that a block
            has few users; `traffic`, in random order, a block a day.
        size: events of an arrival.
        generator: draws the order or the first event, and which items count as new when.
        sample_rows: users of an arrival that are compared, at most.
    """

    def __init__(self, history: str, size: int, generator: np.random.Generator, sample_rows: int) -> None:
        rows = _ratings()
        self.size, n = size, ARRIVALS_OF_EVENTS * size
        if history == "traffic":
            some = rows.take(pa.array(generator.permutation(len(rows))[:n]))
            times = np.sort(generator.integers(0, DAY * ARRIVALS_OF_EVENTS, n))
            self.rows = some.set_column(
                some.schema.get_field_index("timestamp"), "timestamp", pa.array(times)
            )
        else:
            self.rows = rows.slice(int(generator.integers(len(rows) - n)), n)
        items = np.unique(rows["item_id"].to_numpy(zero_copy_only=False))
        born = generator.integers(-NEW_BLOCKS, ARRIVALS_OF_EVENTS, len(items))
        self.born = dict(zip(items.tolist(), born.tolist(), strict=True))
        self.generator = generator
        self.seed, self.sample_rows = int(generator.integers(1 << 32)), sample_rows

    kinds = ("event", "scale", "bots", "lost", "exposure")

    def ordinary(self, place: int) -> Arrival:
        """The block at this place."""
        return self._arrival(place, self.rows.slice(place * self.size, self.size), "")

    def planted(self, place: int, kind: str, share: float) -> Arrival:
        """The block at this place with the drift in all of it; `share` is 1."""
        rows = self.rows.slice(place * self.size, self.size)
        if kind == "lost":  # three of four events
            rows = rows.take(pa.array(np.sort(self.generator.permutation(len(rows))[: len(rows) // 4])))
        if kind == "bots":  # one user behind three of four events
            is_bot = pa.array(self.generator.random(len(rows)) < 0.75)
            rows = rows.set_column(0, "user_id", pc.if_else(is_bot, "bot", rows["user_id"]))
        return self._arrival(place, rows, kind)

    def _arrival(self, place: int, rows: pa.Table, kind: str) -> Arrival:
        value = rows["rating"].to_numpy().astype(np.float64)
        table = pa.table(
            {
                "user": rows["user_id"],
                "item_id": rows["item_id"],
                "event": np.where(value >= 4, "purchase" if kind == "event" else "like", "view").tolist(),
                "value": value * (2 if kind == "scale" else 1),
                "timestamp": pa.array(rows["timestamp"].to_numpy() * 1_000_000, pa.timestamp("us")),
            }
        )
        new = frozenset(item for item, born in self.born.items() if 0 <= place - born < NEW_BLOCKS)
        name = f"{self.seed}-{place}"
        sample = sample_users(table, name, self.sample_rows, frozenset() if kind == "exposure" else new)
        return _arrival(place, sample, interaction_counts(table))


class Releases:
    """Simulated releases: ages spread by a factor of e^.3 around a minute, recall of indexes around .985 ± .003.

    Args:
        generator: draws.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    kinds = ("age", "recall")

    def ordinary(self, place: int) -> Arrival:
        """A release."""
        return self._arrival(place, "")

    def planted(self, place: int, kind: str, share: float) -> Arrival:
        """A release four times as old when published, or whose index finds .03 fewer neighbours; `share` is 1."""
        return self._arrival(place, kind)

    def _arrival(self, place: int, kind: str) -> Arrival:
        ages = 60 * np.exp(0.3 * self.generator.standard_normal(FILES)) * (4 if kind == "age" else 1)
        recall = min(1.0, 0.985 + 0.003 * self.generator.standard_normal()) - 0.03 * (kind == "recall")
        return _arrival(
            place, pa.table({}), {"age": float(np.log2(1 + np.median(ages))), "recall": float(recall)}
        )


def _arrival(place: int, rows: pa.Table, counts: Mapping[str, float]) -> Arrival:
    name, at = f"{place:06d}", START + timedelta(days=place)
    return Arrival(name=name, parts=(name,), at=at, n_rows=len(rows), rows=rows, counts=counts)


@cache
def _detected(texts: tuple[str, ...]) -> list[str | None]:
    """Languages, kept in a file: detecting those of all kinds takes as long as many replays."""
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
    path = ROOT / "var/bench/monitor" / f"languages-{digest}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(language_of_each(texts)).encode())
    found: list[str | None] = json.loads(path.read_text())
    return found


@cache
def _ratings() -> pa.Table:
    """MovieLens 100k by time; of equal times in the order of the file."""
    found = pq.read_table(SHARED_DATA / "ml-100k-multimodal" / "interactions.parquet")
    times = found["timestamp"].to_numpy()
    return found.take(pa.array(np.argsort(times, kind="stable"))).combine_chunks()
