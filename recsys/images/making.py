"""From addresses of pictures to the view `image`: fetch, check, encode, leave placeholders out, report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.artifacts import Artifacts
from recsys.encoders.image import ImageEncoderReference
from recsys.encoders.image_pack import pack_image_encoder
from recsys.encoders.runtime import Device
from recsys.images.encoding import encode_pictures
from recsys.images.fetching import Fetcher, fetch_due
from recsys.images.params import ImagesParams
from recsys.images.records import TABLE, Fetched, Tried, write_records
from recsys.images.report import BROKEN, REPORT, placeholders, write_report
from recsys.images.sources import Sources
from recsys.images.view import write_view
from recsys.progress import report_progress
from recsys.storage.strays import remove_strays


def make_pictures(
    params: ImagesParams,
    at: Artifacts,
    encoders: Path,
    device: Device,
    landing: str | None,
    address_of: Mapping[str, str],
) -> dict[str, Any]:
    """Fetch and encode missing pictures, and remove those that no item has any more.

    Args:
        params: section `images`, with an encoder.
        at: its folders of pictures, records and view are written; killed anywhere, the same call goes on.
        encoders: folder of packed encoders.
        device: where pictures are encoded, as `profiles.device`.
        landing: folder or s3://bucket/prefix that relative addresses belong to; None where there is none.
        address_of: item -> address of its picture.

    Returns:
        The report, see `recsys.images.report`.

    Raises:
        EncoderError: the encoder cannot be packed.
        ConfigError: `images.sources` names no place, or cuda is wanted and there is none.
    """
    sources = Sources(landing, params.sources)
    sources.check()
    reference = pack_image_encoder(params.encoder, encoders)
    records, tried = _fetched_and_encoded(
        Fetcher(sources, params, at.pictures), at, encoders, device, reference, set(address_of.values())
    )
    write_records(at.picture_records, records, params.limits)
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
    return report


def _fetched_and_encoded(
    fetcher: Fetcher,
    at: Artifacts,
    encoders: Path,
    device: Device,
    reference: ImageEncoderReference,
    wanted: set[str],
) -> tuple[dict[str, Fetched], Tried]:
    records, tried = fetch_due(fetcher, wanted, at.picture_records, at.picture_journal)
    hashes = {one.sha256 for one in records.values() if one.sha256}
    damaged = encode_pictures(at.pictures, at.image_view, encoders, reference, hashes, device)
    for address, one in records.items():
        if one.sha256 in damaged:
            records[address] = fetcher.record(address, damaged[one.sha256])
    return records, tried
