"""The view `image` of a benchmark: from a folder of pictures, and the addresses that its items name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from recsys.artifacts import Artifacts
from recsys.encoders.image_pack import DEFAULT
from recsys.errors import UnreadableFile
from recsys.evaluation.view_tables import OwnViews
from recsys.features.views import Views, coverage
from recsys.images.making import make_pictures
from recsys.images.params import NONE, ImagesParams
from recsys.images.view import IMAGE, open_pictures


def with_pictures(
    own: OwnViews,
    folder: Path,
    items: pa.Table,
    item_ids: Sequence[str],
    params: ImagesParams,
    at: Artifacts,
) -> OwnViews:
    """Add the view `image` to those of relations and vectors. Pictures are encoded anew in every run.

    Args:
        own: the other views.
        folder: pictures; what the column `image` says is relative to it.
        items: item_id and image.
        item_ids: of the benchmark.
        params: section `images`; without an encoder the packaged one is used.
        at: the workspace; encoders are packed there.

    Returns:
        All views, with sentences about the pictures.

    Raises:
        UnreadableFile: the items have no column `image`, or no picture can be read.
        EncoderError: the encoder cannot be packed.
    """
    if "image" not in items.column_names:
        raise UnreadableFile(
            "--items has no column image", remedy="add the path of each picture below --images"
        )
    named = zip(items["item_id"].to_pylist(), items["image"].to_pylist(), strict=True)
    address_of = {item: address for item, address in named if address}
    chosen = params.model_copy(update={"encoder": DEFAULT if params.encoder == NONE else params.encoder})
    at.staging.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=at.staging) as staging:
        made = Artifacts(Path(staging))
        report = make_pictures(chosen, made, at.encoders, "cpu", str(folder.resolve()), address_of)
        pictures = open_pictures(made.image_view)
        if pictures is None:
            raise UnreadableFile(f"{folder} has no picture of --items: {_why(report)}")
        view = pictures.view(item_ids)
    views: Views = {**own.views, IMAGE: view}
    shares = coverage(views)
    line = f"view {IMAGE}: {shares[IMAGE]:.0%} of the items, by {view.source}"
    if report["items_broken"]:
        line += f"; {report['items_broken']:,} items without their picture: {_why(report)}"
    return replace(own, views=views, coverage=shares, lines=(*own.lines, line))


def _why(report: dict[str, dict[str, dict[str, int]]]) -> str:
    counts = {reason: found["items"] for reason, found in report["broken"].items()}
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items()) or "none is named"
