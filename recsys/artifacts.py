"""Where everything lies in a workspace; the only file that spells a name under artifacts/, data/ or var/."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Artifacts:
    """Paths of one workspace: the folder that holds params.yaml, dvc.yaml and data.dvc."""

    root: Path

    @property
    def params(self) -> Path:
        """Every number that a person may turn."""
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        """Accepted parts, tracked by data.dvc; only `ingest`, `compact` and erasure write there."""
        return self.root / "data"

    @property
    def pseudonyms(self) -> Path:
        """Which key made the pseudonyms in `data`: a check value, which is not the key (JSON)."""
        return self.root / "data/pseudonyms.json"

    @property
    def data_dvc(self) -> Path:
        """DVC's pointer to `data`."""
        return self.root / "data.dvc"

    @property
    def dvc_lock(self) -> Path:
        """What DVC's stages read and wrote last."""
        return self.root / "dvc.lock"

    @property
    def validate_report(self) -> Path:
        """What stage `validate` found across parts (JSON)."""
        return self.root / "artifacts/validate/report.json"

    @property
    def features(self) -> Path:
        """One parquet file per part: item, its one text, text hash."""
        return self.root / "artifacts/features"

    @property
    def details(self) -> Path:
        """Two Arrow files per part: what a page shows of its items, and which words find them."""
        return self.root / "artifacts/details"

    @property
    def pictures(self) -> Path:
        """Pictures of items as they were fetched, each under the SHA-256 of its bytes."""
        return self.root / "artifacts/images/pictures"

    @property
    def picture_records(self) -> Path:
        """What became of each picture's address: a table, the broken ones as CSV, a report."""
        return self.root / "artifacts/images/records"

    @property
    def image_view(self) -> Path:
        """Which item has which picture, and the pictures' vectors; empty where no item has one."""
        return self.root / "artifacts/images/view"

    @property
    def picture_journal(self) -> Path:
        """What became of addresses since the run of stage `images` began (JSON lines); a killed run goes on from it."""
        return self.root / "var/pictures.jsonl"

    def model_reference(self, role: str) -> Path:
        """Which model plays `role` (champion, challenger): its parts with their hashes, MLflow version."""
        return self.root / f"artifacts/{role}/model.json"

    def profiles(self, role: str) -> Path:
        """Segments of item profiles made by the model of `role`."""
        return self.root / f"artifacts/profiles/{role}"

    def made_profiles(self, role: str) -> Path:
        """Which segments stage `profiles` left last, by which encoder and head (JSON). It only saves time."""
        return self.root / f"var/profiles-{role}.json"

    @property
    def users(self) -> Path:
        """Histories per interaction part and the Gram matrix, learned from all that is accepted (for publishing)."""
        return self.root / "artifacts/users"

    @property
    def like_counts(self) -> Path:
        """How many users like each item, for the next run of stage `users`. It only saves time."""
        return self.root / "var/like-counts.state"

    @property
    def split(self) -> Path:
        """The holdout: cut, cold and warm items, training pairs, test pairs."""
        return self.root / "artifacts/split"

    @property
    def finetune(self) -> Path:
        """The challenger as it was trained: model/ as save_pretrained leaves it, history.csv, summary.json."""
        return self.root / "artifacts/finetune"

    @property
    def teacher(self) -> Path:
        """The champion as training reads it (JSON); where training wants none it names nobody."""
        return self.root / "artifacts/teacher.json"

    def trained_on(self, role: str) -> Path:
        """Which interactions the model of `role` was trained on (JSON); of the champion as the registry says."""
        own = {
            "champion": "artifacts/champion/training.json",
            "challenger": "artifacts/finetune/summary.json",
        }
        return self.root / own[role]

    @property
    def report(self) -> Path:
        """Metrics of the champion and the floors on the holdout, and the leak report."""
        return self.root / "artifacts/evaluate/report.json"

    @property
    def metrics(self) -> Path:
        """Flat metrics for `dvc metrics`."""
        return self.root / "artifacts/evaluate/metrics.json"

    @property
    def plots(self) -> Path:
        """CSV files for `dvc plots`."""
        return self.root / "artifacts/evaluate/plots"

    @property
    def decision(self) -> Path:
        """The gate's verdict and its reasons."""
        return self.root / "artifacts/gate/decision.json"

    @property
    def gate_page(self) -> Path:
        """The verdict as a page for people."""
        return self.root / "artifacts/gate/page.html"

    @property
    def index(self) -> Path:
        """Index files of the champion's segments, and index.json."""
        return self.root / "artifacts/index"

    @property
    def samples(self) -> Path:
        """Samples of landed files, drawn once: what watching looks at."""
        return self.root / "artifacts/monitor/samples"

    @property
    def watch_report(self) -> Path:
        """What stage `monitor` found of the newest arrivals (JSON)."""
        return self.root / "artifacts/monitor/report.json"

    @property
    def watch(self) -> Path:
        """What `recsys watch` leaves: its page, facts of releases, and which alarms were sent."""
        return self.root / "var/watch"

    def judged(self, role: str) -> Path:
        """Profiles of a role in the order of the holdout, while a large catalogue is evaluated."""
        return self.root / f"var/judged/{role}.npy"

    @property
    def var(self) -> Path:
        """What a running machine leaves: caches, staging, state. Deleting it loses time, never data."""
        return self.root / "var"

    @property
    def cache(self) -> Path:
        """Content-addressed caches (vectors, packed parts of models), shared between workspaces by RECSYS_CACHE."""
        return Path(os.environ.get("RECSYS_CACHE") or self.var / "cache").resolve()

    @property
    def encoders(self) -> Path:
        """Packed encoders, a folder per encoder hash."""
        return self.cache / "encoders"

    @property
    def weights(self) -> Path:
        """Weights of champions, for trainings that continue from them, a folder per encoder hash."""
        return self.cache / "weights"

    @property
    def vectors(self) -> Path:
        """Vector cache, a folder per encoder hash and preprocessing version."""
        return self.cache / "vectors"

    @property
    def rates(self) -> Path:
        """How fast encoders, and stages, were measured to be: a JSON file per encoder and processor."""
        return self.cache / "rates"

    @property
    def workspaces(self) -> Path:
        """Where each run of Airflow's slow loop and release loop has a workspace of its own (RECSYS_WORKSPACES)."""
        return Path(os.environ.get("RECSYS_WORKSPACES") or self.var / "workspaces").resolve()

    @property
    def training(self) -> Path:
        """Checkpoints of fine-tuning, a folder per run's key, and activations of frozen layers."""
        return self.var / "training"

    @property
    def staging(self) -> Path:
        """Half-made things, safe to delete; on the same file system as `data` so that a rename is atomic."""
        return self.var / "staging"

    @property
    def refused(self) -> Path:
        """Records of batches that were refused, and of those let in by hand."""
        return self.var / "refused"

    @property
    def taking(self) -> Path:
        """Which landed files are being taken in just now (JSON); there only while `ingest` runs or after a kill."""
        return self.var / "taking.json"

    @property
    def intake_logs(self) -> Path:
        """What went wrong where intake met an error that nobody foresaw, a file per batch."""
        return self.var / "log"

    @property
    def data_docs(self) -> Path:
        """Great Expectations' data docs, without personal data."""
        return self.var / "data_docs"

    @property
    def intake_lock(self) -> Path:
        """Held by whoever writes to `data`: one writer per workspace."""
        return self.var / "intake.lock"

    @property
    def tracked(self) -> Path:
        """Which parts and which data.dvc belonged together when DVC was asked last (JSON)."""
        return self.var / "tracked.json"

    @property
    def users_recall(self) -> Path:
        """Likes of a sample of users and the best items for them, for the next `publish`. It only saves time."""
        return self.root / "var/users-recall"

    @property
    def histories_by_user(self) -> Path:
        """Copies of histories in which single users are found. They only save time."""
        return self.root / "var/histories-by-user"

    @property
    def published(self) -> Path:
        """Parts in the last release that was published from here (JSON)."""
        return self.var / "published.json"

    @property
    def interaction_counts(self) -> Path:
        """Interactions in numbers, for the next run of stage `validate`. It only saves time."""
        return self.root / "var/interaction-counts"

    @property
    def known_hashes(self) -> Path:
        """Hashes of files that `validate` has read before, by path, size, time and inode (JSON)."""
        return self.var / "hashes.json"
