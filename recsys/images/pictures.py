"""Check that bytes are a picture, and decode its pixels."""

import io
from typing import TYPE_CHECKING

from recsys.errors import ImageBroken

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
"""Pillow's names. No other decoder ever sees the bytes."""
WHITE = (255, 255, 255)


def check_picture(content: bytes, max_megapixels: float, min_side: int) -> None:
    """Decode a picture once, to be sure that this works; the pixels are not kept.

    Args:
        content: any bytes.
        max_megapixels: a picture that claims more is not decoded.
        min_side: the fewest pixels of its shorter side.

    Raises:
        ImageBroken: it is not a picture of a known format, damaged, too small, or claims too many pixels.
    """
    opened = _opened(content)
    width, height = opened.size
    if width * height > max_megapixels * 1e6:
        raise ImageBroken(
            "too_many_pixels", f"claims {width:,} x {height:,} pixels, above {max_megapixels:g} million"
        )
    if min(width, height) < min_side:
        raise ImageBroken("too_small", f"has {width} x {height} pixels, its shorter side below {min_side}")
    _load(opened)


def open_picture(content: bytes) -> "Image":
    """The pixels of a picture that was checked, upright, on white where it is transparent; of several its first.

    Args:
        content: bytes of a picture.

    Returns:
        In mode RGB.

    Raises:
        ImageBroken: the bytes are no picture.
    """
    from PIL import Image

    upright = _upright(_load(_opened(content)))
    try:
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        paper = Image.new("RGBA", upright.size, WHITE)
        paper.alpha_composite(upright.convert("RGBA"))
        return paper.convert("RGB")
    except Exception as error:  # what a palette or a mode raises cannot be foreseen
        raise ImageBroken("damaged", f"cannot become RGB: {error!r}") from error


def _opened(content: bytes) -> "Image":
    """Read the header alone."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _no_picture(content) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageBroken("too_many_pixels", str(error)) from error
    except Exception as error:  # decoders raise what they like: struct.error, SyntaxError, ...
        raise ImageBroken("damaged", f"cannot be opened: {error!r}") from error


def _load(opened: "Image") -> "Image":
    try:
        opened.load()
    except Exception as error:  # as above
        raise ImageBroken("damaged", f"cannot be decoded: {error!r}") from error
    return opened


def _upright(loaded: "Image") -> "Image":
    """Turned as its Exif data says; left alone where these are damaged, which is common and does no harm."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(loaded)
    except Exception:  # as above
        return loaded


def _no_picture(content: bytes) -> ImageBroken:
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<") and b"<svg" in head:
        return ImageBroken("vector_graphic", "is an SVG")
    if head.startswith((b"<!doctype html", b"<html")):
        return ImageBroken("no_picture", "is a web page")
    begin = content[:8].hex(" ") or "nothing"
    return ImageBroken("no_picture", f"is not a JPEG, PNG or WebP (begins with {begin})")
