"""Samples of landed files: the rows that monitoring compares. Drawn once and stored, a file per landed file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.languages import language_of_each
from recsys.catalogue.parts import Part
from recsys.errors import DataDamaged
from recsys.features.text import FeatureFile
from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.horizon import Landed
from recsys.monitoring.signals import code, number_column
from recsys.profiles.completion import directions
from recsys.profiles.items import Segment
from recsys.storage.checksums import key_of
from recsys.storage.tables import map_arrow, write_arrow

VERSION = 4
"""Part of every key; raised when the same rows would give another sample."""
SUFFIX = ".sample.arrow"
SHOWN_CHARS = 1000
"""Texts are cut to this length in a sample; the recorded length is that of the whole text."""
AT_ONCE = 16_384
"""Rows of a file that are read at once."""
USER_ROWS = 100
"""Interactions of a user that are compared."""
SECOND, MINUTE = 1_000_000, 60_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Walked:
    """A catalogue part with its texts and profiles."""

    part: Part
    feature: FeatureFile
    segment: Segment

    @property
    def made_of(self) -> str:
        """Hash of the inputs of its samples: rows, texts, profiles."""
        return f"{self.part.arrival.rows_sha256} {self.feature.key} {self.segment.name}"


def sample_path(folder: Path, landed: Landed, made_of: str, rows: int, numbers: Sequence[str] = ()) -> Path:
    """Path of a landed file's sample; the name holds a hash of everything that the sample depends on."""
    key = key_of([VERSION, landed.record.part, made_of, rows, list(numbers)])
    return folder / f"{landed.record.part}-{key}{SUFFIX}"


def write_catalogue_samples(
    walked: Walked, missing: Mapping[str, Path], n: int, numbers: Sequence[str], lexical_width: int
) -> None:
    """Draw samples of landed files whose rows lie in one part. Items that wait for a profile are left out.

    Args:
        walked: the part.
        missing: landed file -> where its sample is written.
        n: rows of a sample.
        numbers: columns of the catalogue with numbers.
        lexical_width: of the profiles. Their directions are kept: with a constant in it, an item that resembles
            nothing would look near to all.
    """
    rows = walked.segment.rows(["item_id", "deleted", "part", "line"])
    live = rows.slice(0, len(walked.segment.vectors()))
    origin = live["part"].combine_chunks()
    waits = np.asarray(live["deleted"].to_numpy(zero_copy_only=False), bool)
    places_of = {
        name: np.flatnonzero(pc.equal(origin, name).to_numpy(zero_copy_only=False) & ~waits)
        for name in missing
    }
    drawn = {name: _draw(of_file, name, n) for name, of_file in places_of.items()}
    places = np.unique(np.concatenate([*drawn.values(), np.empty(0, np.int64)])).astype(np.int64)
    vectors_ND = directions(walked.segment.vectors()[places], lexical_width)
    known = _described(walked, live.take(pa.array(places)), vectors_ND, numbers)
    for name, some in drawn.items():
        table = known.take(pa.array(np.searchsorted(places, some)))
        write_arrow(missing[name], _with_counts(table, {"rows": float(len(places_of[name]))}))


def write_interaction_samples(
    part: Part, missing: Mapping[str, Path], n: int, new_items: Mapping[str, frozenset[str]]
) -> None:
    """Draw samples of landed interactions. They name no user and no item.

    Args:
        part: holds the rows.
        missing: landed file -> where its sample is written.
        n: users of a sample.
        new_items: landed file -> items that had arrived not long before it.
    """
    columns, names = ["user", "item_id", "event", "value", "timestamp", "part"], pa.array(sorted(missing))
    rows = pa.concat_tables(
        block.filter(pc.is_in(block["part"], names)) for block in _blocks(part.rows_path, columns)
    )
    origin = rows["part"].combine_chunks()
    for name, path in missing.items():
        whole = rows.filter(pc.equal(origin, name))
        write_arrow(
            path, _with_counts(sample_users(whole, name, n, new_items[name]), interaction_counts(whole))
        )


def sample_users(rows: pa.Table, name: str, n: int, new_items: frozenset[str]) -> pa.Table:
    """Draw users, with some of the interactions of each.

    The interactions of one user are alike, so users are drawn, not interactions.

    Args:
        rows: interactions: user, item_id, event, value, timestamp.
        name: of the landed file; decides the draw.
        n: users at most.
        new_items: items that count as new.

    Returns:
        A row for each user, without the user's name and without items. Each column is a list over at most USER_ROWS of
        the user's interactions in a random order: event, value, is_new.
    """
    users = rows["user"].dictionary_encode().combine_chunks().indices.to_numpy()
    generator = np.random.default_rng(code(name))
    drawn = generator.permutation(int(users.max(initial=-1)) + 1)[:n]
    of_drawn = np.flatnonzero(np.isin(users, drawn))
    of_drawn = of_drawn[np.argsort(users[of_drawn], kind="stable")]
    first, last = (np.searchsorted(users[of_drawn], drawn, side) for side in ("left", "right"))
    spans = zip(first.tolist(), last.tolist(), strict=True)
    places = [generator.permutation(of_drawn[start:end])[:USER_ROWS] for start, end in spans]
    ends = pa.array(np.cumsum([0, *map(len, places)]), pa.int32())
    some = rows.take(pa.array(np.concatenate([*places, np.empty(0, np.int64)]), pa.int64())).combine_chunks()
    is_new = np.array([item in new_items for item in some["item_id"].to_pylist()], np.float64)
    columns = {"event": some["event"].chunk(0), "value": some["value"].chunk(0), "is_new": pa.array(is_new)}
    return pa.table({name: pa.ListArray.from_arrays(ends, flat) for name, flat in columns.items()})


def interaction_counts(rows: pa.Table) -> dict[str, float]:
    """Sums over all interactions of an arrival.

    Args:
        rows: user, item_id, timestamp.

    Returns:
        `rows`; distinct `users`; `days` from the first to the last; `repeats`, rows beyond the first one of the same
        user and item; `gaps` between a user's interactions, and `log2_gaps`, the sum of log2(1 + seconds).
    """
    users, items = (
        rows[name].dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
        for name in ("user", "item_id")
    )
    pairs = users * (items.max(initial=0) + 1) + items
    times = rows["timestamp"].cast(pa.int64())
    known = times.is_valid().to_numpy()
    times, of_known = times.drop_null().to_numpy(), users[known]
    by_user = np.lexsort((times, of_known))
    gaps = np.diff(times[by_user])[np.diff(of_known[by_user]) == 0] / SECOND
    span = int(times.max() - times.min()) if len(times) else 0
    return {
        "rows": float(len(rows)),
        "users": float(len(np.unique(users))),
        "days": max(span, MINUTE) / (24 * 60 * MINUTE) if len(times) else 0.0,
        "repeats": float(len(pairs) - len(np.unique(pairs))),
        "gaps": float(len(gaps)),
        "log2_gaps": float(np.log2(1 + gaps).sum()),
    }


def read_arrival(group: Sequence[Landed], paths: Sequence[Path]) -> Arrival:
    """Put together the samples of the landed files of one arrival.

    Args:
        group: the files.
        paths: their samples.

    Returns:
        The arrival.
    """
    tables = [map_arrow(path) for path in paths]
    counts: dict[str, float] = {}
    for table in tables:
        for name, value in json.loads((table.schema.metadata or {}).get(b"counts", b"{}")).items():
            counts[name] = counts.get(name, 0.0) + value
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    return Arrival(
        name=group[-1].record.part,
        parts=tuple(one.record.part for one in group),
        at=max(one.record.arrived_at for one in group),
        n_rows=int(counts.get("rows", 0)),
        rows=rows,
        counts=counts,
    )


def _draw(places: NDArray[np.int64], name: str, n: int) -> NDArray[np.int64]:
    """At most n of the places in a random order, the same each time. Halves of a sample follow this order."""
    generator = np.random.default_rng(code(name))
    return np.asarray(generator.permutation(places)[:n], np.int64)


def _described(
    walked: Walked, chosen: pa.Table, vectors: NDArray[np.floating], numbers: Sequence[str]
) -> pa.Table:
    """Everything that signals read of the chosen rows, in their order."""
    texts = _rows_at(walked.feature.path, ["text"], chosen)
    columns = ["title", "description", "tags", "image", "attributes"]
    fields = _rows_at(walked.part.rows_path, columns, chosen)
    further = [json.loads(value) if value else {} for value in fields["attributes"].to_pylist()]
    whole = [text or "" for text in texts["text"].to_pylist()]
    table = {
        "item_id": chosen["item_id"],
        "text": pa.array([text[:SHOWN_CHARS] for text in whole], pa.string()),
        "chars": pa.array([len(text) for text in whole], pa.int64()),
        "language": pa.array(language_of_each(whole), pa.string()),
        "tags": fields["tags"],
        "fields": pa.array(_filled(fields, further), pa.list_(pa.string())),
        "vector": pa.array(list(vectors.astype(np.float16)), pa.list_(pa.float16())),
    }
    for name in numbers:
        table[number_column(name)] = pa.array([_number(one.get(name)) for one in further], pa.float64())
    return pa.table(table)


def _rows_at(path: Path, columns: Sequence[str], chosen: pa.Table) -> pa.Table:
    """The rows of a Parquet file with the part and line of each chosen row, in their order."""
    row_of = {place: row for row, place in enumerate(_part_and_line(chosen))}
    parts, lines = chosen["part"].unique(), chosen["line"].unique()
    found, rows = [], list[int]()
    for block in _blocks(path, [*columns, "part", "line"]):
        near = block.filter(pc.and_(pc.is_in(block["part"], parts), pc.is_in(block["line"], lines)))
        places = _part_and_line(near)
        some = [at for at, place in enumerate(places) if place in row_of]
        found.append(near.select(columns).take(pa.array(some, pa.int64())))
        rows += [row_of[places[at]] for at in some]
    return pa.concat_tables(found).take(pa.array(np.argsort(rows), pa.int64()))


def _blocks(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """A Parquet file block by block, an empty one first: a merged part holds a whole catalogue, or all interactions."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield pa.schema([file.schema_arrow.field(name) for name in columns]).empty_table()
            for batch in file.iter_batches(AT_ONCE, columns=list(columns)):
                yield pa.table(batch).select(columns)
    except pa.ArrowException as error:
        raise DataDamaged(
            f"{path} cannot be read: {error}", remedy="dvc checkout --force brings it back"
        ) from error


def _part_and_line(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["part"].to_pylist(), table["line"].to_pylist(), strict=True))


def _filled(fields: pa.Table, further: Sequence[Mapping[str, object]]) -> list[list[str]]:
    """Names of the columns that each row fills."""
    known = {name: fields[name].to_pylist() for name in ("title", "description", "tags", "image")}
    rows = []
    for row, others in enumerate(further):
        filled = [name for name, values in known.items() if values[row]]
        rows.append([*filled, *sorted(name for name, value in others.items() if value not in (None, ""))])
    return rows


def _number(value: object) -> float | None:
    """A number, even if it landed as text; None for anything else."""
    try:
        found = float(str(value).strip().lstrip("$€£¥").replace(",", "")) if value is not None else None
    except ValueError:
        return None
    return found if found is not None and np.isfinite(found) else None


def _with_counts(table: pa.Table, counts: Mapping[str, float]) -> pa.Table:
    return table.replace_schema_metadata({"counts": json.dumps(counts, sort_keys=True)})
