"""Stage `users`: histories of the interactions, one file per part, and the Gram matrix of the items they touch."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.parts import INTERACTIONS, Part, list_parts
from recsys.encoders import EncoderReference
from recsys.profiles.items import Segment, latest, list_segments
from recsys.profiles.users import UsersSummary, gram_of, history_key, write_histories
from recsys.settings import Settings
from recsys.storage.atomic import TEMPORARY_PREFIX, write_whole


def run(settings: Settings, at: Artifacts) -> None:
    """Learn what all users share, from all that is accepted.

    Reads:   at.data, interactions; at.profiles("champion"); at.encoder_reference("champion")
    Writes:  at.users: histories/<part>-<key16>.parquet, gram.npy, users.json
    Raises:  ArtifactMissing where stage `profiles` has not run
    """
    reference = EncoderReference.load(at.encoder_reference("champion"))
    segments = list_segments(at.profiles("champion"))
    histories = _histories(list_parts(at.data, INTERACTIONS), at.users / "histories")
    pairs = [pq.read_table(path, columns=["user", "item_id"]) for path in histories]
    users, items, n_pairs = _counts(pairs)
    vectors = _vectors_of(segments, items, reference.dim)
    buffer = io.BytesIO()
    np.save(buffer, gram_of(vectors))
    gram = buffer.getvalue()
    write_whole(at.users / "gram.npy", gram)
    UsersSummary(
        ridge_lambda=settings.users.ridge_lambda,
        n_users=len(users),
        n_items=len(vectors),
        n_pairs=n_pairs,
        encoder_hash=reference.hash,
        gram_sha256=hashlib.sha256(gram).hexdigest(),
    ).save(at.users / "users.json")


def _histories(parts: tuple[Part, ...], folder: Path) -> list[Path]:
    """One file per part: those with the right key stay, missing ones are made, strays go."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        part.id: folder / f"{part.id}-{history_key(part.arrival.rows_sha256)}.parquet" for part in parts
    }
    for part in parts:
        if not wanted[part.id].is_file():
            write_histories(part.rows(), wanted[part.id])
    abandoned = {path for path in folder.parent.iterdir() if path.name.startswith(TEMPORARY_PREFIX)}
    for stray in abandoned | (set(folder.iterdir()) - set(wanted.values())):
        stray.unlink()
    return list(wanted.values())


def _counts(pairs: list[pa.Table]) -> tuple[pa.Array, pa.Array, int]:
    """Distinct users, distinct items, and the number of rows over all histories."""
    if not pairs:
        return pa.array([], pa.string()), pa.array([], pa.string()), 0
    together = pa.concat_tables(pairs)
    return pc.unique(together["user"]), pc.unique(together["item_id"]), together.num_rows


def _vectors_of(segments: tuple[Segment, ...], items: pa.Array, dim: int) -> NDArray[np.float32]:
    """Live profiles of `items`, float32 [I, D]; gathered segment by segment, so that no other is read."""
    found = latest(segments)
    wanted = np.asarray(pc.is_in(pa.array(found.item_ids, pa.string()), value_set=items))
    gathered = [np.empty((0, dim), np.float32)]
    for position, segment in enumerate(segments):
        rows = found.row_of_item[wanted & (found.segment_of_item == position)]
        if len(rows):
            gathered.append(segment.vectors()[rows])
    return np.concatenate(gathered)
