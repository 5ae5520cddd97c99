"""Rows of the quality benchmark: one per protocol, method and seed, in one JSON-lines file that is written whole."""

import fcntl
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.figures import ROOT
from bench.protocols import PROTOCOLS
from bench.view_files import FILES, VIEWS

HOME = ROOT / "var" / "bench" / "quality"
ROWS = HOME / "rows.jsonl"
OURS = "firstlight"
FIRST_LIGHT = "first_light"
"""What Firstlight recommends before any training."""
SEEDS = (0, 1, 2, 3, 4)
OUR_SEEDS = SEEDS[:3]
"""Between seeds Firstlight moves by less than a tenth of its interval over users, a rival by up to a whole one."""
METHODS: dict[str, tuple[int, ...]] = {
    "random": (0,),
    "tfidf_centroid": (0,),
    "encoder_centroid": (0,),
    "ridge": (0,),
    "plain_blend": (0,),
    FIRST_LIGHT: (0,),
    "dropoutnet": SEEDS,
    "heater": SEEDS,
    OURS: OUR_SEEDS,
}
"""Seeds by method, in the order of the tables; a method in which nothing is drawn has one."""
VIEWED = {f"{OURS}_{name}": name for name in VIEWS}
"""Firstlight beside views of the items, one seed -> their name in VIEWS; see `views_of`."""


def views_of(protocol: str) -> tuple[str, ...]:
    """The methods of VIEWED for which a protocol has files."""
    return tuple(method for method, name in VIEWED.items() if set(VIEWS[name]) <= set(FILES[protocol]))


@dataclass(frozen=True)
class Key:
    """Which row."""

    protocol: str
    method: str
    seed: int

    @property
    def run(self) -> Path:
        """Its ranked lists."""
        return HOME / "runs" / f"{self.protocol}-{self.method}-{self.seed}.parquet"

    def __str__(self) -> str:
        return f"{self.protocol} {self.method} seed {self.seed}"


@dataclass(frozen=True)
class Row:
    """What one run of one method gave."""

    protocol: str
    method: str
    seed: int
    metrics: dict[str, dict[str, float]]
    """By metric mean, low and high, from the judge."""
    settings: dict[str, Any]
    """Hyper-parameters in use."""
    tried: int
    """Configurations tried on validation."""
    validation_ndcg: float | None
    seconds: float
    """Of the run's own process, without choosing where that is told apart; vectors of texts come from the cache."""
    choosing_seconds: float | None
    """What choosing hyper-parameters took, once per training set; None: part of `seconds`."""
    peak_mib: float
    commit: str

    @property
    def key(self) -> Key:
        """Which row this is."""
        return Key(self.protocol, self.method, self.seed)


def all_keys() -> list[Key]:
    """Every row of a full run, seed by seed, so that a run that is cut short has all methods."""
    return [
        Key(protocol.name, method, seed)
        for seed in SEEDS
        for protocol in PROTOCOLS
        for method, seeds in (METHODS | dict.fromkeys(views_of(protocol.name), SEEDS[:1])).items()
        if seed in seeds
    ]


def runs_of(rows: Mapping[Key, Row], protocol: str, method: str) -> list[Row]:
    """Its runs, by seed."""
    seeds = METHODS.get(method, SEEDS[:1])
    return [rows[key] for seed in seeds if (key := Key(protocol, method, seed)) in rows]


def read_rows(path: Path = ROWS) -> dict[Key, Row]:
    """All rows that are there."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [Row(**json.loads(line)) for line in lines]
    return {row.key: row for row in rows}


def keep_row(row: Row, path: Path = ROWS) -> None:
    """Add or replace a row; others may do so at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = read_rows(path) | {row.key: row}
        write_rows(rows, path)


def write_rows(rows: dict[Key, Row], path: Path) -> None:
    """All rows, whole, in the order of a full run."""
    order = {key: place for place, key in enumerate(all_keys())}
    kept = sorted(rows.values(), key=lambda one: (order.get(one.key, len(order)), str(one.key)))
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(asdict(one)) + "\n" for one in kept))
    temporary.replace(path)
