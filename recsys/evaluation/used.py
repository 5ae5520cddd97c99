"""Which parts of its files a cold-start task uses, what it leaves out, and why. Shown before anything is learned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.evaluation.cold_start import N_EXAMPLES, Task, unknown_items
from recsys.evaluation.own_files import OwnFile
from recsys.evaluation.tables import WEIGHT
from recsys.evaluation.words import text_columns


@dataclass(frozen=True)
class Used:
    """Counts and names. Pairs are distinct pairs of a user and an item."""

    items: int
    warm: int
    cold: int
    users: int
    pairs: int
    """To learn from."""
    cold_pairs: int
    """Likes of cold items; they are withheld."""
    fields: tuple[str, ...]
    """Columns of the items that became text, in order."""
    left_out: dict[str, str]
    """Other columns of the items, and what they hold."""
    unknown_items: tuple[str, ...]
    """Item ids of interactions that the items file lacks."""
    unknown_pairs: int
    item_notes: tuple[str, ...]
    interaction_notes: tuple[str, ...]
    """How ambiguous values of the files were read."""

    def lines(self) -> Iterator[str]:
        """Describe it for people.

        Yields:
            One sentence each.
        """
        yield (
            f"{self.items:,} items ({self.warm:,} warm, {self.cold:,} cold), {self.users:,} users, "
            f"{self.pairs:,} pairs to learn from, {self.cold_pairs:,} with cold items withheld"
        )
        yield f"text from {', '.join(self.fields)}"
        if self.left_out:
            yield "no text: " + ", ".join(f"{name} ({why})" for name, why in self.left_out.items())
        if self.unknown_items:
            examples = ", ".join(map(repr, self.unknown_items[:N_EXAMPLES]))
            yield (
                f"{self.unknown_pairs:,} pairs left out: --items lacks {len(self.unknown_items):,} of their items, "
                f"such as {examples}"
            )
        yield from (f"--items: {note}" for note in self.item_notes)
        yield from (f"--interactions: {note}" for note in self.interaction_notes)


def used(task: Task, items: OwnFile, interactions: OwnFile) -> Used:
    """Count what a task uses of its files.

    Args:
        task: the task that was made of them.
        items: the items.
        interactions: the interactions.

    Returns:
        What is used and what is left out.
    """
    why = text_columns(items.table).left_out
    others = [name for name in items.table.column_names if name not in ("item_id", *task.fields)]
    unknown = unknown_items(interactions.table, task.item_ids)
    cold = [task.item_ids[row] for row in task.cold]
    return Used(
        items=len(task.item_ids),
        warm=len(task.warm),
        cold=len(task.cold),
        users=len(task.users),
        pairs=int(task.interactions.matrix_UI.nnz),
        cold_pairs=_n_likes(interactions.table, cold),
        fields=task.fields,
        left_out={name: why.get(name, "not named") for name in others},
        unknown_items=tuple(unknown),
        unknown_pairs=_n_likes(interactions.table, unknown),
        item_notes=items.notes,
        interaction_notes=interactions.notes,
    )


def _n_likes(interactions: pa.Table, items: list[str]) -> int:
    is_listed = pc.is_in(interactions["item_id"], value_set=pa.array(items, pa.string()))
    return int(np.sum(pc.and_(is_listed, pc.greater(interactions[WEIGHT], 0)).to_numpy()))
