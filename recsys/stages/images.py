"""Stage `images`: fetch the pictures of items, check them, and make a vector of each: the view `image`.

A picture that cannot be fetched never stops the stage: its item has none for now, a report names it with the remedy,
and it is tried again later. An address stands for one picture, which is fetched only once.
"""

import os

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.known import COLUMNS, newest_rows
from recsys.catalogue.parts import list_parts
from recsys.images.params import NO_PICTURES, NONE
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.storage.strays import remove_strays


def run(settings: Settings, at: Artifacts) -> None:
    """Fetch and encode the pictures that are missing; those that no item has any more are removed.

    Reads:   at.data, catalogue parts; the landing zone (RECSYS_LANDING) and `images.sources`; at.encoders
    Writes:  at.pictures, at.picture_records, at.image_view; at.picture_journal while it runs
    Raises:  EncoderError when `images.encoder` cannot be packed; ConfigError when `images.sources` names no place, or
             pictures must be encoded, `profiles.device` is cuda and there is none
    """
    folders = (at.pictures, at.picture_records, at.image_view)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    address_of = {} if settings.images.encoder == NONE else _addresses(at)
    if not address_of:  # nothing is imported for shops without pictures
        for folder in folders:  # DVC warns about an empty one
            write_whole(folder / NO_PICTURES, b"No item has a picture.\n")
            remove_strays(folder, {folder / NO_PICTURES})
        at.picture_journal.unlink(missing_ok=True)
        return
    from recsys.images.making import make_pictures

    landing = os.environ.get("RECSYS_LANDING") or None
    make_pictures(settings.images, at, at.encoders, settings.profiles.device, landing, address_of)


def _addresses(at: Artifacts) -> dict[str, str]:
    """Item -> address of its picture, of live items that name one, by their newest row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = list_parts(at.data, CATALOGUE)
    if not parts:
        return {}
    newest = newest_rows(pa.concat_tables([part.rows([*COLUMNS, "image"]) for part in parts]))
    some = newest.filter(pc.and_(pc.invert(newest["deleted"]), pc.is_valid(newest["image"])))
    found = zip(some["item_id"].to_pylist(), some["image"].to_pylist(), strict=True)
    return {item: address for item, address in sorted(found) if address.strip()}
