"""A packed vision encoder: from pictures to unit vectors. On processors it needs Pillow and OpenVINO, and no torch.

Pictures are encoded one by one, and the packed model takes no other number of them. So a vector depends on the pixels
of its picture alone, to the last bit.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from recsys.encoders.reference import MAX_DIM, MODEL, read_reference
from recsys.encoders.runtime import open_runner
from recsys.errors import EncoderError
from recsys.storage.atomic import write_document
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile, verify_sizes

if TYPE_CHECKING:
    from PIL.Image import Image

# Shape suffixes: N pictures, D width of a vector, S side of the square that a model takes, in pixels.
UNIT_TOLERANCE = 1e-3


class ImageEncoderReference(BaseModel):
    """One vision encoder: same hash, same vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Sha256
    """Hash over everything that decides about the vectors; the same on every machine."""
    dim: int = Field(gt=0, le=MAX_DIM)
    """Width of its vectors."""
    side: int = Field(gt=0, le=4096)
    """Pixels of a side of the square that the model takes."""
    crop: float | None = Field(gt=0, le=1)
    """Side of the square that is cut out of the middle of a picture, as a share of the picture's shorter side; None:
    nothing is cut off, the whole picture becomes a square."""
    source: str
    """`images.encoder` of params.yaml."""
    files: tuple[PackedFile, ...]
    """model.xml, model.bin."""

    @classmethod
    def load(cls, path: Path) -> "ImageEncoderReference":
        """Read the reference in a packed encoder's folder.

        Args:
            path: its encoder.json.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: it is not there.
            EncoderError: it is damaged.
        """
        return read_reference(cls, path, lambda plain: plain)

    def save(self, path: Path) -> None:
        """Write encoder.json atomically. A file with the same content is left alone."""
        write_document(path, self)


class ImageEncoder:
    """Runs a packed vision encoder. Not for several threads at once."""

    def __init__(
        self, reference: ImageEncoderReference, folder: Path, threads: int | None = None, device: str = "cpu"
    ) -> None:
        self.hash = reference.hash
        self.dim = reference.dim
        self._side, self._crop = reference.side, reference.crop
        shapes = (f"[1,{reference.side},{reference.side},3]", f"[1,{reference.dim}]")
        self._run = open_runner(folder / MODEL, shapes, "float32", threads, device)

    def encode(
        self, pictures: Iterable["Image"], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Encode pictures.

        Args:
            pictures: N pictures in mode RGB. They are taken one by one, so they need not all be in memory.
            on_progress: called with 1 after each picture.

        Returns:
            float32 [N, D], rows of length 1, in the order of `pictures`.

        Raises:
            EncoderError: a vector is not finite or has no direction; names the picture's place.
        """
        vectors = []
        for place, picture in enumerate(pictures):
            vector = self._run(square(picture, self._side, self._crop)[None])[0]
            if not abs(np.linalg.norm(vector) - 1) < UNIT_TOLERANCE:  # NaN compares false
                raise EncoderError(f"image encoder {self.hash[:10]} gives no unit vector for picture {place}")
            vectors.append(vector)
            if on_progress is not None:
                on_progress(1)
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)


def square(picture: "Image", side: int, crop: float | None) -> NDArray[np.uint8]:
    """Resize a picture to a square (bicubic, smoothed where it shrinks).

    Args:
        picture: in mode RGB.
        side: pixels of the result's sides.
        crop: side of the square that is cut out of the middle first, as a share of the picture's shorter side; None:
            the whole picture is squeezed into the square.

    Returns:
        uint8 [S, S, 3].
    """
    from PIL.Image import Resampling

    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if crop is not None:
        cut = crop * min(width, height)
        box = ((width - cut) / 2, (height - cut) / 2, (width + cut) / 2, (height + cut) / 2)
    return np.asarray(picture.resize((side, side), Resampling.BICUBIC, box=box), np.uint8)


def open_image_encoder(
    reference: ImageEncoderReference, encoders: Path, threads: int | None = None, device: str = "cpu"
) -> ImageEncoder:
    """Open a packed vision encoder.

    Args:
        reference: which one.
        encoders: folder of packed encoders, one folder per hash.
        threads: how many work on one picture; None: as many as there are processors. Vectors do not depend on it.
        device: cpu for OpenVINO, or a device of torch such as cuda: vectors differ by less than 1e-5.

    Returns:
        The encoder.

    Raises:
        ArtifactMissing: it is not packed here.
        EncoderError: a file is missing, damaged or not what OpenVINO reads.
    """
    folder = encoders / reference.hash
    verify_sizes(folder, reference.files)
    try:
        return ImageEncoder(reference, folder, threads, device)
    except RuntimeError as error:  # what openvino and torch raise
        remedy = f"delete {folder}; stage images packs the encoder again"
        raise EncoderError(f"{folder / MODEL} cannot be run: {error}", remedy=remedy) from error
