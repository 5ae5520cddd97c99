"""A workspace that has trained and judged, as the registry needs it: real files, an encoder of a few bytes."""

import hashlib
import json
from dataclasses import dataclass

from recsys.artifacts import Artifacts
from recsys.encoders.reference import EncoderReference
from recsys.evaluation.provenance import TrainedOn
from recsys.evaluation.report import Report
from recsys.gate.decision import Decision
from recsys.models.reference import ModelReference
from recsys.storage.packed import PackedFile

CHAMPION_HASH = "a" * 64
HOLDOUT = TrainedOn(trained_on="e" * 64, trained_until="2026-03-01T00:00:00Z")


def client_of(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def by_hand(uri, model, alias, version):
    """What a person does in MLflow's page."""
    client_of(uri).set_registered_model_alias(model, alias, version)


@dataclass(frozen=True)
class Trained:
    """A workspace in which a challenger was trained and judged."""

    at: Artifacts

    def challenge(self, name="first", *, reasons=(), champion=CHAMPION_HASH):
        """Leave a challenger, its summary and the gate's verdict; returns its encoder hash."""
        model_hash = hashlib.sha256(name.encode()).hexdigest()
        folder = self.at.encoders / model_hash
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("tokenizer.json", "model.xml", "model.bin"):
            (folder / file).write_text(f"{file} of {name}")
        reference = EncoderReference(
            hash=model_hash,
            dim=4,
            max_tokens=8,
            pooling="mean",
            precision="float32",
            source="artifacts/finetune/model",
            files=tuple(
                PackedFile.of(path) for path in sorted(folder.iterdir()) if path.name != "encoder.json"
            ),
        )
        reference.save(folder / "encoder.json")
        ModelReference.of(reference).save(self.at.model_reference("challenger"))
        self.at.finetune.mkdir(parents=True, exist_ok=True)
        (self.at.finetune / "history.csv").write_text("epoch,loss\n0,1.5\n")
        (self.at.finetune / "summary.json").write_text(json.dumps({"model_hash": model_hash}))
        self.judge(model_hash, reasons=reasons, champion=champion)
        return model_hash

    def judge(self, model_hash, *, reasons=(), champion=CHAMPION_HASH):
        """What the gate says."""
        self.at.gate_page.parent.mkdir(parents=True, exist_ok=True)
        self.at.gate_page.write_text(f"<p>{reasons or 'open'}</p>")
        Decision(
            open=not reasons,
            reasons=reasons,
            role="challenger",
            model_hash=model_hash,
            champion_hash=champion,
            holdout=HOLDOUT.trained_on,
            checks=(),
        ).save(self.at.decision)
        Report(
            model_hash=champion,
            challenger_hash=model_hash,
            ridge_lambda=10.0,
            k=20,
            split_by="time",
            cut=HOLDOUT.trained_until,
            n_train_pairs=9,
            holdout=HOLDOUT,
            trained={"challenger": TrainedOn(model_hash=model_hash, trained_on=HOLDOUT.trained_on)},
            left_out={},
            slices=(),
            leaks=(),
        ).save(self.at.report)
