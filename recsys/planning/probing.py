"""Measure the walk: land made-up catalogues in a scratch folder, and run the real commands on them.

The language model is left out, since its speed is measured by itself (`recsys/encoders/rates.py`): vectors of the texts
are put into the cache beforehand, as if they had been encoded. The head has the size of a full one of first light.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.rates import made_texts
from recsys.errors import RecsysError
from recsys.models.reference import ModelReference
from recsys.planning.costs import WALK, Size
from recsys.settings import Settings

if TYPE_CHECKING:
    from recsys.heads.kernel_head import KernelHead

# Shape suffixes: M landmarks, L width of the encoder's vectors, D width of a profile, N texts.
TITLE_TOKENS = 14
EVENTS_PER_USER = 20
TAGS = 50
SEED = 20260101
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
INDEXED_FROM = 1000
"""`index.exact_below` of the runs: small ones build a graph too, as large ones do."""
OUTPUTS = {
    "ingest": ("data",),
    "validate": ("artifacts/validate",),
    "images": ("artifacts/images",),
    "features": ("artifacts/features", "artifacts/details"),
    "profiles@champion": ("artifacts/profiles",),
    "users": ("artifacts/users", "var/gram-*", "var/like-counts.state"),
    "index": ("artifacts/index",),
    "publish": ("../store", "var/histories-by-user"),
}
"""Step -> what it writes, below the workspace."""


@dataclass(frozen=True)
class Used:
    """What one command took."""

    cpu_seconds: float
    peak_bytes: int
    written_bytes: int
    """Size of what it left."""


@dataclass(frozen=True)
class Probe:
    """A scratch folder with an encoder and a head, in which catalogues of any size are taken through the walk."""

    folder: Path
    settings: Settings
    """Of the workspace that is planned for."""

    def prepare(self) -> ModelReference:
        """Pack the encoder, and a head over as many landmarks as first light takes.

        Returns:
            The model. What its head learned is noise; it costs what a real one does.
        """
        from recsys.heads.packing import pack_head

        cache = self.folder / "cache"
        exact = self.settings.encoder.model_copy(update={"precision": "float32"})
        base = pack_encoder(exact, cache / "encoders", ())
        params = self.settings.first_light
        landmarks = made_texts(self.settings.encoder, TITLE_TOKENS, params.max_landmarks, SEED + 1)
        return ModelReference.of(base, pack_head(base, self._head(landmarks, base.dim), cache / "heads"))

    def _params(self) -> dict[str, Any]:
        """The workspace's, but that small catalogues get an index too, as large ones do, and that any recall will do.

        Random vectors are harder to find than real ones. All is computed here: on a cluster it could not be measured.
        """
        params = self.settings.model_dump(mode="json")
        params["index"]["exact_below"] = INDEXED_FROM
        params["publish"]["min_index_recall"] = 0.0
        params["profiles"] |= {"roles": ["champion"], "engine": "local"}
        return params

    def _head(self, landmarks: list[str], base_dim: int) -> "KernelHead":
        from scipy.sparse import csr_array

        from recsys.encoders.tfidf import fit_tfidf
        from recsys.heads.kernel_head import Kernel, KernelHead

        params, rng, m = self.settings.first_light, np.random.default_rng(SEED), len(landmarks)
        lexical = fit_tfidf(landmarks)
        return KernelHead(
            Kernel(lexical, params.lexical_shares[0], params.gamma),
            csr_array(lexical.encode(landmarks)),
            unit_rows(rng, m, base_dim),
            rng.standard_normal((m, params.width - 1), np.float32) / np.float32(np.sqrt(m)),
            constant=params.constant,
            mean_D=np.zeros(params.width - 1, np.float32),
        )

    def run(
        self, size: Size, model: ModelReference, report_progress: Callable[[str], None]
    ) -> dict[str, Used]:
        """Take a catalogue through the walk.

        Args:
            size: of the catalogue and the log.
            model: what `prepare` made.
            report_progress: is told before each step.

        Returns:
            Step -> what it took.

        Raises:
            RecsysError: a command failed; gives what it said.
        """
        root = self.folder / f"{size.items}-{size.interactions}"
        shutil.rmtree(root, ignore_errors=True)
        at = Artifacts(root / "workspace")
        at.root.mkdir(parents=True)
        at.params.write_text(yaml.safe_dump(self._params(), allow_unicode=True), "utf-8")
        model.save(at.model_reference("champion"))
        land(root / "landing", size, self.settings)
        environment = os.environ | {
            "RECSYS_WORKSPACE": str(at.root),
            "RECSYS_LANDING": str(root / "landing"),
            "RECSYS_STORE": str(root / "store"),
            "RECSYS_CACHE": str(self.folder / "cache"),
            "RECSYS_PSEUDONYM_KEY": "planning-key-0123456789",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        found = {}
        for step in WALK:
            report_progress(f"measuring {step}: {size.items:,} items, {size.interactions:,} interactions")
            if step == "profiles@champion":
                pretend_encoded(at, model, self.folder / "cache")
            command = [step] if step in ("ingest", "publish") else ["run", step]
            cpu_seconds, peak_bytes = measured_command(command, environment, root)
            found[step] = Used(cpu_seconds, peak_bytes, _bytes_of(at.root, OUTPUTS[step]))
        return found


def measured_command(arguments: list[str], environment: dict[str, str], scratch: Path) -> tuple[float, int]:
    """Run `recsys …` in a process of its own.

    Args:
        arguments: of the command.
        environment: its variables.
        scratch: a folder for what the process says of itself.

    Returns:
        Processor seconds, of its children too, and the peak of resident memory in bytes.

    Raises:
        RecsysError: it failed; gives the end of what it said.
    """
    report = scratch / "used.json"
    command = [sys.executable, "-m", "recsys.planning.watched", str(report), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RecsysError(f"recsys {' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")
    used = json.loads(report.read_text())
    return float(used["cpu_seconds"]), int(used["peak_bytes"])


def land(landing: Path, size: Size, settings: Settings) -> None:
    """Write a catalogue of made-up titles and a log as landed files. Few items have most of the interactions.

    Args:
        landing: folder of the landing zone.
        size: of both.
        settings: whose encoder's tokenizer knows the words.
    """
    rng = np.random.default_rng(SEED)
    titles = made_texts(settings.encoder, TITLE_TOKENS, size.items, SEED)
    ids = [f"item-{number}" for number in range(size.items)]
    tags = [[f"tag {number}"] for number in rng.integers(TAGS, size=size.items)]
    catalogue = pa.table(
        {"item_id": ids, "title": titles, "tags": tags, "updated_at": [FIRST_DAY] * size.items}
    )
    n, n_users = size.interactions, max(1, size.interactions // EVENTS_PER_USER)
    users = pa.array([f"user-{number}" for number in rng.integers(n_users, size=n)], pa.string())
    items = pa.array(ids, pa.string()).take(pa.array((size.items * rng.random(n) ** 2).astype(np.int64)))
    times = [FIRST_DAY + timedelta(seconds=int(second)) for second in rng.integers(10_000_000, size=n)]
    log = pa.table(
        {
            "user_id": users,
            "item_id": items,
            "event": pa.array(["view"] * n, pa.string()),
            "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
    )
    for kind, table in (("catalogue", catalogue), ("interactions", log)):
        if len(table):
            (landing / kind).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, landing / kind / "first.parquet")


def pretend_encoded(at: Artifacts, model: ModelReference, cache: Path) -> None:
    """Put a random unit vector for each text of the features into the vector cache.

    Args:
        at: the workspace; stage `features` has run.
        model: whose encoder the vectors are said to be of.
        cache: the cache that the run uses.
    """
    from recsys.features.text import feature_files
    from recsys.models.encoding import vectors_of

    hashes: set[str] = set()
    for feature in feature_files(at.features):
        rows = pq.read_table(feature.path, columns=["text_hash", "deleted"])
        hashes.update(rows["text_hash"].to_pylist())
    vectors = unit_rows(np.random.default_rng(SEED), len(hashes), model.encoder.dim)
    vectors_of(model, at, cache / "vectors").add(sorted(hashes), vectors)


def unit_rows(rng: np.random.Generator, n: int, width: int) -> NDArray[np.float32]:
    """Random unit vectors, [n, width]."""
    rows = rng.standard_normal((n, width), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _bytes_of(root: Path, patterns: tuple[str, ...]) -> int:
    """Size of all files below what the patterns name."""
    total = 0
    for pattern in patterns:
        for path in [root / pattern] if ".." in pattern else root.glob(pattern):
            files = path.rglob("*") if path.is_dir() else [path]
            total += sum(one.stat().st_size for one in files if one.is_file())
    return total
