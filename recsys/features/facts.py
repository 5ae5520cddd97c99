"""Facts: the relations of each item by name, for rankers and for explanations such as `same director: Michael Mann`."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys.features.relations import RelationGraph, is_left_out

SCHEMA = pa.schema([("relations", pa.list_(pa.string())), ("things", pa.list_(pa.string()))])
"""One row per item: names of its relations, and for each the item or other thing that it is linked to."""
SUFFIX = ".facts.arrow"
NAME = re.compile(r"(?P<part>\d+-.+)-[0-9a-f]{16}\.facts\.arrow")


def facts_path(folder: Path, part: str, facts: pa.Table) -> Path:
    """Where the facts of a part lie: `<part>-<16 hex digits of the SHA-256 over them>`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, facts.schema) as writer:
        writer.write_table(facts)
    key = hashlib.sha256(sink.getvalue()).hexdigest()[:16]
    return folder / f"{part}-{key}{SUFFIX}"


def facts_files(folder: Path) -> dict[str, Path]:
    """Part -> its file of facts, of those that have one."""
    names = ((NAME.fullmatch(path.name), path) for path in folder.glob(f"*{SUFFIX}"))
    return {match["part"]: path for match, path in names if match}


@dataclass(frozen=True)
class Facts:
    """The facts of some items."""

    item_ids: pa.Array
    """Items that have facts."""
    table: pa.Table
    """SCHEMA, one row per item."""

    def of(self, item_ids: pa.Array | pa.ChunkedArray) -> pa.Table | None:
        """The facts of items in the given order, empty lists for an item without facts; None where none has any."""
        places = pc.index_in(item_ids, value_set=self.item_ids)
        if places.null_count == len(places):
            return None
        taken = self.table.take(places)
        columns = [_without_nulls(taken[name]) for name in SCHEMA.names]
        return pa.table(columns, schema=SCHEMA)


def facts_of(triples: pa.Table, item_ids: pa.Array, graph: RelationGraph) -> Facts:
    """Collect the facts that the view `relations` uses: without relations that are left out, and without hubs.

    Args:
        triples: head, relation and tail.
        item_ids: live items.
        graph: of these triples.

    Returns:
        The facts of every item that has any, by relation and thing.
    """
    named = pc.unique(triples["relation"]).to_pylist()
    wanted = pa.array([one for one in named if not is_left_out(one, graph.params.left_out)], pa.string())
    kept = triples.filter(
        pc.and_(
            pc.is_in(triples["relation"], value_set=wanted), pc.not_equal(triples["head"], triples["tail"])
        )
    )
    names = ["item", "relation", "thing"]
    ahead = kept.select(["head", "relation", "tail"]).rename_columns(names)
    back = kept.select(["tail", "relation", "head"]).rename_columns(names)
    both = pa.concat_tables([ahead, back])
    both = both.group_by(names, use_threads=False).aggregate([])
    hubs = graph.nodes.filter(pa.array(graph.degree_X > graph.params.max_degree))
    counts = pc.and_not(pc.is_in(both["item"], value_set=item_ids), pc.is_in(both["thing"], value_set=hubs))
    found = both.filter(counts).sort_by([(name, "ascending") for name in names])
    lists = found.group_by("item", use_threads=False).aggregate([("relation", "list"), ("thing", "list")])
    table = pa.table([lists["relation_list"], lists["thing_list"]], names=SCHEMA.names)
    return Facts(lists["item"].combine_chunks(), table.cast(SCHEMA))


def check_facts(n_rows: int) -> Callable[[pa.Table], None]:
    """A check of a foreign file for `map_foreign_arrow`.

    Args:
        n_rows: live rows of its segment.

    Returns:
        A function that raises ValueError where a table is not SCHEMA with so many rows, each with a thing per relation,
        and no null.
    """

    def check(table: pa.Table) -> None:
        if not table.schema.equals(SCHEMA) or table.num_rows != n_rows:
            raise ValueError(
                f"has {table.num_rows} rows of {table.schema.names}, not {n_rows} of {SCHEMA.names}"
            )
        lengths = (pc.list_value_length(column) for column in table.columns)
        n_nulls = sum(column.null_count + pc.list_flatten(column).null_count for column in table.columns)
        if n_nulls or (n_rows and not pc.all(pc.equal(*lengths)).as_py()):
            raise ValueError("has an item whose relations and things differ in number, or one without a name")

    return check


def _without_nulls(lists: pa.ChunkedArray) -> pa.Array:
    found = lists.combine_chunks()
    return pc.if_else(pc.is_null(found), pa.scalar([], pa.list_(pa.string())), found)
