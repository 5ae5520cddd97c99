"""A small data set to train on: six tastes, texts whose letters show them, users who have two tastes each."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.catalogue.split import ITEMS_SCHEMA, PAIRS_SCHEMA, TIME, Split, SplitSummary
from recsys.settings import Settings
from recsys.training.data import make_training_set
from recsys.training.params import FinetuneParams

ROOT = Path(__file__).resolve().parents[2]
TASTES = 6
LETTERS = "abcdefghijklmnopqrstuvwx"
# Small and quick; what a test is about it says itself.
QUICK = {
    "epochs": 3,
    "batch_items": 16,
    "batch_users": 32,
    "top_layers": 1,
    "learning_rate": 0.01,
    "validation_share": 0.2,
    "max_validation_users": 200,
    "checkpoint_steps": 2,
    "patience": 10,
    "encode_tokens": 256,
    "dropout": 0.1,
    "k": 5,
    "seed": 1,
}


def params(**changes) -> FinetuneParams:
    committed = Settings.load(ROOT / "params.yaml").finetune.model_dump()
    return FinetuneParams(**(committed | QUICK | changes))


def text_of(item: int) -> str:
    """Words out of four letters that belong to the item's taste, in an order of its own, 1 to 6 of them."""
    rng = np.random.default_rng(item)
    letters = list(LETTERS[4 * (item % TASTES) : 4 * (item % TASTES) + 4])
    return " ".join("".join(rng.choice(letters, 4)) for _ in range(1 + item % 6))


def make_split(pairs, texts, cut=None) -> tuple[Split, pa.Table]:
    """A split whose training pairs these are, and the features that hold the texts (item id -> text)."""
    items = [
        {
            "item_id": item,
            "slice": "warm",
            "text_hash": "0" * 64,
            "part": "000001-aaaaaaaaaa",
            "line": line + 1,
        }
        for line, item in enumerate(sorted(texts))
    ]
    versions = pa.table(
        {
            "item_id": pa.array([row["item_id"] for row in items], pa.string()),
            "part": pa.array([row["part"] for row in items], pa.string()),
            "line": pa.array([row["line"] for row in items], pa.int64()),
            "text": pa.array([texts[row["item_id"]] for row in items], pa.string()),
            "updated_at": pa.nulls(len(items), TIME),
        }
    )
    train = pa.Table.from_pylist(
        [{"user": u, "item_id": i} for u, i in sorted(set(pairs))], schema=PAIRS_SCHEMA
    )
    summary = SplitSummary(
        by="item-hash", cut=cut, n_train_pairs=len(train), n_test_pairs=0, n_test_users=0, n_cold=0, n_warm=0,
        left_out={},
    )  # fmt: skip
    empty = PAIRS_SCHEMA.empty_table()
    return Split(summary, train, empty, pa.Table.from_pylist(items, schema=ITEMS_SCHEMA)), versions


def taste_pairs(n_items=96, n_users=60, each=12, seed=0):
    rng = np.random.default_rng(seed)
    pairs = []
    for user in range(n_users):
        tastes = rng.permutation(TASTES)[:2]
        liked = [item for item in range(n_items) if item % TASTES in tastes]
        pairs += [
            (f"u{user:03d}", f"i{item:03d}")
            for item in rng.choice(liked, min(each, len(liked)), replace=False)
        ]
    return pairs


def taste_texts(n_items=96):
    return {f"i{item:03d}": text_of(item) for item in range(n_items)}


def make_tastes(n_items=96, n_users=60, each=12, share=0.2, seed=1):
    split, versions = make_split(taste_pairs(n_items, n_users, each), taste_texts(n_items))
    return make_training_set(split, versions, share, seed)


class Watch:
    """Keeps what training reports to it."""

    def __init__(self):
        self.losses, self.epochs, self.sentences, self.start = [], [], [], None

    def on_start(self, done, total):
        self.start = (done, total)

    def on_step(self, loss, n_examples):
        self.losses.append(loss)

    def on_epoch(self, epoch):
        self.epochs.append(epoch)

    def report(self, sentence):
        self.sentences.append(sentence)
