"""A large published catalogue for `bench.serve`: real titles and made ones, a model learned from real interactions.

The head, λ and item weights are learned from CiteULike (16,980 papers, protocol H's training side), as `finetune`
learns them over a frozen encoder. The catalogue holds those papers and titles made of the halves of two real ones, up
to the wanted size, with a year, a price and a category each. All goes the product's way: landed files, ingest, the
fast loop's stages, publish.

Resumable: each step leaves a file when it is done. Catalogues share one cache, so a title is encoded once.

    python -m bench.serve_world 1000000
"""

import argparse
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.arrivals import STAGES, Catalogue, made_titles, write_landing
from bench.figures import ROOT, commit
from bench.protocols import PROTOCOLS, require_shared_data
from recsys.artifacts import Artifacts
from recsys.models.reference import ModelReference

HOME = ROOT / "var" / "bench" / "serve"
LEARNED = HOME / "learned"
CACHE = HOME / "cache"
"""Of encoders, heads, rankers and vectors, for all catalogues."""
CATEGORIES = ("book", "film", "game", "music", "tool")
ROWS_PER_FILE = 100_000
FOLD_SEED = 20260101
console = Console(stderr=True)


@dataclass(frozen=True)
class World:
    """One published catalogue."""

    size: int
    """Items."""

    @property
    def folder(self) -> Path:
        """Of workspace, landing zone and store."""
        return HOME / f"{self.size}"

    @property
    def store(self) -> str:
        """The release store's URL."""
        return str(self.folder / "store")

    @property
    def costs(self) -> dict[str, float]:
        """Seconds of every step that is done, and `peak_mb_<step>`."""
        kept = self.folder / "costs.json"
        found: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
        return found

    def catalogue(self) -> Catalogue:
        """Its workspace; sets the variables that commands read."""
        found = Catalogue(self.folder)
        os.environ["RECSYS_CACHE"] = str(CACHE)
        return found


def main() -> None:
    """Make one, or what is missing of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", type=int)
    parser.add_argument("--until", metavar="STEP", default="publish", help="stop after this step")
    args = parser.parse_args()
    make(World(args.size), args.until)


def make(world: World, until: str = "publish") -> None:
    """Do the steps that have not been done.

    Args:
        world: which one.
        until: the last step.
    """
    if "wider" in world.costs:  # made out of a smaller one, see `serve_wider.py`
        return
    require_shared_data()
    catalogue = world.catalogue()
    model = learned_model()
    steps: dict[str, Callable[[], None]] = {
        "create": partial(_create, world, catalogue, model),
        "ingest": partial(catalogue.command, "ingest"),
        **{name: partial(catalogue.command, "run", name) for name in STAGES},
        "publish": partial(catalogue.command, "publish"),
    }
    for name, step in steps.items():
        if name not in world.costs:
            if catalogue.root.is_dir():  # the code may be newer than the workspace
                shutil.copy2(ROOT / "params.yaml", catalogue.root / "params.yaml")
            console.print(f"{world.size:,} items: {name}")
            started = time.perf_counter()
            step()
            keep(world, name, time.perf_counter() - started)
        if name == until:
            return


def learned_model() -> ModelReference:
    """The model learned from CiteULike, its parts in CACHE."""
    at = Artifacts(LEARNED)
    reference = at.model_reference("champion")
    if not reference.exists():
        console.print("learning a head and item weights from CiteULike")
        _learn(at).save(reference)
    return ModelReference.load(reference)


def _learn(at: Artifacts) -> ModelReference:
    """As stage `finetune` does for a frozen encoder; the lists of choices are cut to what validation chose on H."""
    from recsys.dataset.dataset import Dataset
    from recsys.encoders.pack import pack_encoder
    from recsys.evaluation.cold_start import make_task
    from recsys.models.encoding import encode_cached
    from recsys.models.packed import remember_model
    from recsys.settings import Settings
    from recsys.stages.finetune import tail_rule
    from recsys.training.challenger import fuse

    chosen = Settings.load(ROOT / "params.yaml")
    items, interactions = papers()
    task = make_task(items, interactions, (), chosen.features)
    params = chosen.encoder.model_copy(update={"precision": "int8"})
    encoder = pack_encoder(params, at.encoders, task.texts[: chosen.encoder.calibration_texts])
    vectors_ID = encode_cached(
        ModelReference.of(encoder), task.texts, at, params.batch_tokens, chosen.profiles.chunk_texts
    )
    fusion = chosen.fusion.model_copy(
        update={
            "lexical_shares": (0.2,),
            "metric_powers": (0.25,),
            "constants": (),
            "alike_powers": (),
            "words_weights": (0.0,),
        }
    )
    dataset = Dataset(task.interactions, task.texts, vectors_ID, chosen.users.ridge_lambda, fusion.seed)
    model, _ = fuse(
        encoder,
        at.cache,
        dataset,
        tuple(task.folds(FOLD_SEED).values())[:1],
        fusion,
        chosen.first_light,
        chosen.users,
        chosen.finetune.k,
        chosen.finetune.max_validation_users,
        tail_rule(chosen),
        chosen.ranker,
        None,
        chosen.weighting,
        {},
        console.print,
    )
    remember_model(model, at.cache)
    return model


def papers() -> tuple[pa.Table, pa.Table]:
    """CiteULike's titles, and who saved what: items and interactions with string ids."""
    items, interactions, _ = next(one for one in PROTOCOLS if one.name == "citeulike_H").files()
    return items, interactions


def rows_of(size: int) -> Iterator[dict[str, Any]]:
    """Catalogue rows: the papers, then made titles."""
    items, _ = papers()
    titles = items["title"].to_pylist()
    real = list(zip(items["item_id"].to_pylist(), titles, strict=True))[:size]
    made = ((f"t{i}", title) for i, title in enumerate(made_titles(size - len(real))))
    rng = np.random.default_rng(5)
    for item, title in (*real, *made):
        yield {
            "item_id": item,
            "title": title,
            "year": int(rng.integers(1950, 2027)),
            "price": round(float(rng.gamma(2.0, 12.0)), 2),
            "category": CATEGORIES[int(rng.integers(len(CATEGORIES)))],
        }


def _create(world: World, catalogue: Catalogue, model: ModelReference) -> None:
    """The workspace with the learned model as champion, and the landing zone with everything in it."""
    from localplatform.workspace import make_workspace

    shutil.rmtree(world.folder, ignore_errors=True)
    make_workspace(ROOT, catalogue.root)
    at = Artifacts(catalogue.root)
    model.save(at.model_reference("champion"))
    _, interactions = papers()
    events = interactions.append_column("event", pa.array(["save"] * len(interactions)))
    (catalogue.landing / "interactions").mkdir(parents=True)
    pq.write_table(events, catalogue.landing / "interactions" / "saved.parquet")
    write_landing(catalogue.landing, "all.jsonl", list(rows_of(world.size)))


def keep(world: World, name: str, seconds: float) -> None:
    """Remember that a step is done, and what it cost."""
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    costs = {**world.costs, name: round(seconds, 1), f"peak_mb_{name}": peak}
    (world.folder / "costs.json").write_text(
        json.dumps(costs | {"commit": commit(), "load": os.getloadavg()[0]})
    )


if __name__ == "__main__":
    main()
