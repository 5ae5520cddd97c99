"""Stage `images`: fetch the pictures of items, check them, and make a vector of each: the view `image`.

A picture that cannot be had never stops anything: its item goes on without one, a report names it with the remedy, and
it is tried again later. An address stands for one picture: what was fetched once is not fetched again.
"""

import os
from collections.abc import Mapping

from recsys.artifacts import Artifacts
from recsys.catalogue.known import COLUMNS, newest_rows
from recsys.catalogue.parts import CATALOGUE, list_parts
from recsys.images.params import NONE, ImagesParams
from recsys.settings import Settings
from recsys.storage.strays import remove_strays


def run(settings: Settings, at: Artifacts) -> None:
    """Fetch and encode the pictures that are missing; those that no item has any more are removed.

    Reads:   at.data, catalogue parts; the landing zone (RECSYS_LANDING) and `images.sources`; at.encoders
    Writes:  at.pictures, at.picture_records, at.image_view; at.picture_journal while it runs
    Raises:  EncoderError when `images.encoder` cannot be packed; ConfigError when `images.sources` names no place
    """
    folders = (at.pictures, at.picture_records, at.image_view)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    address_of = {} if settings.images.encoder == NONE else _addresses(at)
    if not address_of:  # nothing is imported for shops without pictures
        for folder in folders:
            remove_strays(folder, set())
        at.picture_journal.unlink(missing_ok=True)
        return
    _make(settings.images, at, address_of)


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


def _make(params: ImagesParams, at: Artifacts, address_of: Mapping[str, str]) -> None:
    from recsys.encoders.image_pack import pack_image_encoder
    from recsys.images.encoding import encode_pictures
    from recsys.images.fetching import Fetcher, fetch_due
    from recsys.images.records import TABLE, write_records
    from recsys.images.report import BROKEN, REPORT, placeholders, write_report
    from recsys.images.sources import Sources
    from recsys.images.view import write_view
    from recsys.progress import report_progress

    sources = Sources(os.environ.get("RECSYS_LANDING") or None, params.sources)
    sources.check()
    reference = pack_image_encoder(params.encoder, at.encoders)
    fetcher = Fetcher(sources, params, at.pictures)
    records, tried = fetch_due(fetcher, set(address_of.values()), at.picture_records, at.picture_journal)
    hashes = {one.sha256 for one in records.values() if one.sha256}
    damaged = encode_pictures(at.pictures, at.image_view, at.encoders, reference, hashes)
    for address, one in records.items():
        if one.sha256 in damaged:
            records[address] = fetcher.record(address, damaged[one.sha256])
    write_records(at.picture_records, records)
    at.picture_journal.unlink(missing_ok=True)
    pictures = {item: records[address].sha256 for item, address in address_of.items()}
    picture_of = {item: sha256 for item, sha256 in pictures.items() if sha256}
    common = placeholders(picture_of, params.placeholder_share, params.placeholder_items)
    shown = {item: sha256 for item, sha256 in picture_of.items() if sha256 not in common}
    write_view(at.image_view, shown, reference)
    remove_strays(at.pictures, {at.pictures / sha256 for sha256 in picture_of.values()})
    report = write_report(at.picture_records, address_of, records, common, tried, params.max_broken_share)
    remove_strays(at.picture_records, {at.picture_records / name for name in (TABLE, REPORT, BROKEN)})
    for warning in report["warnings"]:
        report_progress(f"images: {warning}")
    report_progress(
        f"images: {tried.n:,} tried; {len(shown):,} of {len(address_of):,} items that name a picture have one"
    )
