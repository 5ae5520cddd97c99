"""The view `image`: a vector for each item whose picture is there; the format of artifacts/images/view.

The folder holds `items.parquet` (item_id, sha256 of the picture), `encoder.json` (the encoder that made the vectors),
and `vectors/`, a vector cache by the pictures' hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.encoders.image import ImageEncoderReference
from recsys.encoders.reference import REFERENCE
from recsys.errors import DataDamaged
from recsys.features.views import DenseView
from recsys.images.params import NO_PICTURES
from recsys.profiles.cache import VectorCache
from recsys.storage.atomic import TEMPORARY_PREFIX, write_parquet

# Shape suffixes: N items, D width of a vector.
IMAGE = "image"
"""Name of the view."""
ITEMS, VECTORS = "items.parquet", "vectors"
SCHEMA = pa.schema([("item_id", pa.string()), ("sha256", pa.string())])
REMEDY = "make it again: dvc repro --force --single-item images"


@dataclass(frozen=True)
class ItemPictures:
    """The picture of each item, and the pictures' vectors."""

    folder: Path
    encoder: ImageEncoderReference
    """What made the vectors."""
    picture_of: Mapping[str, str]
    """Item -> sha256 of its picture; only items that have one."""

    def view(self, item_ids: Sequence[str]) -> DenseView:
        """The vectors of some items' pictures.

        Args:
            item_ids: N items; those without a picture get zeros.

        Returns:
            The view, in the order of `item_ids`.

        Raises:
            DataDamaged: a vector is missing or damaged; names the item.
        """
        rows = [row for row, item in enumerate(item_ids) if item in self.picture_of]
        vectors_ND = np.zeros((len(item_ids), self.encoder.dim), np.float32)
        if rows:
            wanted = [self.picture_of[item_ids[row]] for row in rows]
            found, is_found = vectors_of_view(self.folder, self.encoder.dim).read(wanted)
            if not is_found.all():
                lacking = item_ids[rows[int(np.argmin(is_found))]]
                raise DataDamaged(f"{self.folder} has no vector of item {lacking!r}'s picture", remedy=REMEDY)
            vectors_ND[np.asarray(rows, np.int64)] = found
        return DenseView(vectors_ND, self.encoder.hash)


def open_pictures(folder: Path) -> ItemPictures | None:
    """Open what stage `images` left.

    Args:
        folder: artifacts/images/view.

    Returns:
        The pictures; None where no item of the workspace has one.

    Raises:
        DataDamaged: a file is damaged; names it.
    """
    if not (folder / ITEMS).is_file():
        return None
    try:
        table = pq.read_table(folder / ITEMS, schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise DataDamaged(f"{folder / ITEMS} cannot be read: {error}", remedy=REMEDY) from error
    if not table.num_rows:
        return None
    picture_of = dict(zip(table["item_id"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    return ItemPictures(folder, ImageEncoderReference.load(folder / REFERENCE), picture_of)


def vectors_of_view(folder: Path, dim: int) -> VectorCache:
    """The vectors of pictures by their hashes."""
    return VectorCache(folder / VECTORS, dim)


def write_view(folder: Path, picture_of: Mapping[str, str], reference: ImageEncoderReference) -> None:
    """Write which item has which picture, and the encoder of the vectors. The vectors are stored already.

    Args:
        folder: artifacts/images/view.
        picture_of: item -> sha256 of its picture.
        reference: the encoder.
    """
    reference.save(folder / REFERENCE)
    items = sorted(picture_of)
    columns: dict[str, list[str]] = {"item_id": items, "sha256": [picture_of[item] for item in items]}
    write_parquet(folder / ITEMS, pa.table(columns, schema=SCHEMA))
    (folder / NO_PICTURES).unlink(missing_ok=True)
    for temporary in folder.glob(f"{TEMPORARY_PREFIX}*"):  # left by a killed run
        temporary.unlink()
