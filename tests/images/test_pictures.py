"""Bytes that are said to be a picture."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recsys.errors import ImageBroken
from recsys.images.pictures import check_picture, open_picture
from recsys.images.reasons import REMEDIES
from tests.encoders.pictures import picture
from tests.images.server import encoded

JPEG = encoded(picture(1), "JPEG")


def reason(content, max_megapixels=1.0, min_side=16):
    with pytest.raises(ImageBroken) as broken:
        check_picture(content, max_megapixels, min_side)
    assert broken.value.reason in REMEDIES
    return broken.value.reason


def png(width, height, rows=b""):
    """A PNG that claims a size, whatever its rows hold."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_of_known_formats_pass(kind):
    content = encoded(picture(2), kind)
    check_picture(content, 1.0, 16)
    assert open_picture(content).size == (60, 90) and open_picture(content).mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    grey = (
        Image.fromarray(np.full((20, 20), 65535, np.uint16))
        if mode == "I;16"
        else picture(3, (20, 20)).convert(mode)
    )
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert open_picture(encoded(grey, kind)).mode == "RGB"


def test_transparent_pixels_are_white():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert np.asarray(open_picture(encoded(clear))).min() == 255
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert np.asarray(open_picture(encoded(palette, transparency=0))).min() == 255


def test_a_picture_taken_sideways_is_turned_upright():
    turned = Image.Exif()
    turned[0x0112] = 6  # stored turned to the left
    upright = open_picture(encoded(picture(4, (60, 40)), "JPEG", exif=turned))
    assert upright.size == (40, 60)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
def test_damaged_exif_data_lose_no_picture():
    noted = Image.Exif()
    noted[0x0112] = 6
    noted[0x010E] = "a long description of what is to be seen"
    content = encoded(picture(4, (60, 40)), "JPEG", exif=noted)
    start = content.index(b"Exif")
    damaged = content[: start + 14] + b"\xff" * 40 + content[start + 54 :]
    check_picture(damaged, 1.0, 16)
    assert open_picture(damaged).size == (60, 40)


def test_of_a_moving_picture_the_first_counts():
    frames = [picture(seed, (20, 20)) for seed in (5, 6)]
    moving = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(np.asarray(open_picture(moving)), np.asarray(frames[0]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no_picture"),
        (b"hello", "no_picture"),
        (b"<!DOCTYPE html><html>Sign in</html>", "no_picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "vector_graphic"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x -->\n<svg/>', "vector_graphic"),
        (b"GIF89a" + bytes(100), "no_picture"),
        (b"%PDF-1.7", "no_picture"),
        (JPEG[:-30], "damaged"),
        (JPEG[:200], "damaged"),
        (png(30, 30, bytes(10)), "damaged"),
        (png(40_000, 40_000), "too_many_pixels"),
        (png(2**31 - 1, 2**31 - 1), "too_many_pixels"),
        (png(11_000, 9_000), "too_many_pixels"),
        (encoded(picture(1, (1001, 1000))), "too_many_pixels"),
        (encoded(picture(1, (1, 1))), "too_small"),
        (encoded(picture(1, (500, 15))), "too_small"),
    ],
)
def test_what_is_no_picture_of_use_is_named(content, expected):
    assert reason(content) == expected


def test_a_bomb_is_refused_before_it_is_decoded():
    """A file of 200 kB that would become 144 MB."""
    bomb = png(12_000, 12_000, bytes(12_000 * 12_001))
    assert len(bomb) < 200_000
    assert reason(bomb, max_megapixels=50) == "too_many_pixels"


def test_formats_with_other_decoders_are_not_opened():
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PPM"):
        buffer = io.BytesIO()
        picture(1).save(buffer, kind)
        assert reason(buffer.getvalue()) == "no_picture"


@settings(max_examples=300)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_damage_anywhere_gives_a_picture_or_a_reason_and_nothing_else(kind, data):
    content = bytearray(encoded(picture(7, (24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        check_picture(content, 1.0, 1)
    except ImageBroken as broken:
        assert broken.reason in REMEDIES
    else:
        assert open_picture(content).mode == "RGB"
