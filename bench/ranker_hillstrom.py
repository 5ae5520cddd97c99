"""Event heads on the e-mail test of Hillstrom (2008): visit is the click, conversion the purchase, spend the value.

64,000 customers, no items and no text: it tries the heads, their calibration and the funnel alone. 30 % of the
customers are held out at random. Features: recency, history, which goods were bought, zip, newbie, channel, and which
e-mail was sent, one column for each value of a word.
"""

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console

from bench.figures import SHARED_DATA
from bench.ranker_rivals import logistic, trees
from recsys.evaluation.event_metrics import auc, calibration_error, log_loss
from recsys.ranking.event_examples import Examples
from recsys.ranking.event_training import learn_event_heads
from recsys.ranking.params import RankerParams

# Shape suffixes: N customers, F features.
FILE = SHARED_DATA / "hillstrom" / "hillstrom.parquet"
NUMBERS, WORDS = ("recency", "history", "mens", "womens", "newbie"), ("zip_code", "channel", "treatment")
TEST_SHARE = 0.3
console = Console(stderr=True)


def hillstrom(params: RankerParams) -> dict[str, float]:
    """Learn and judge; figures by name."""
    everybody = customers()
    is_test_N = np.random.default_rng(params.seed).random(len(everybody.item_E)) < TEST_SHARE
    learning, test = everybody.only(~is_test_N), everybody.only(is_test_N)
    found = learn_event_heads(learning, params)
    if found is None or learning.purchased_E is None or test.purchased_E is None:
        raise RuntimeError("nothing was learned from hillstrom")
    predicted = found[0].predict_from(
        test.features_EF, test.tastes_UD[test.user_E], test.vectors_ID[test.item_E]
    )
    if predicted.purchase_C is None or predicted.value_C is None:
        raise RuntimeError("hillstrom has purchases and values to learn from")
    figures: dict[str, float] = {}
    for name, learn in (("trees", trees), ("logistic", logistic)):
        for event, labels_N, truth_N in (
            ("visit", learning.clicked_E, test.clicked_E),
            ("conversion", learning.purchased_E, test.purchased_E),
        ):
            rival = learn(learning, labels_N, params.seed)
            figures |= metrics(f"{event}_{name}", rival.probabilities(test.features_EF), truth_N)
    both_N = predicted.click_C * predicted.purchase_C
    figures |= metrics("visit_mlp", predicted.click_C, test.clicked_E)
    figures |= metrics("conversion_mlp", both_N, test.purchased_E)
    for name, value in sorted(figures.items()):
        console.print(f"hillstrom {name}: {value:.4f}")
    return {f"hillstrom_{name}": value for name, value in figures.items()}


def metrics(name: str, probability_N: NDArray[np.float64], truth_N: NDArray[np.bool_]) -> dict[str, float]:
    """AUC, log loss and calibration error."""
    return {
        f"{name}_auc": auc(probability_N, truth_N),
        f"{name}_log_loss": log_loss(probability_N, truth_N),
        f"{name}_ece": calibration_error(probability_N, truth_N),
    }


def customers() -> Examples:
    """One example for each customer, who is a user of one item."""
    table = pq.read_table(FILE)
    columns = [table[name].to_numpy().astype(np.float32) for name in NUMBERS]
    for name in WORDS:
        values = np.array(table[name].to_pylist())
        columns += [(values == one).astype(np.float32) for one in np.unique(values)[1:]]
    n = table.num_rows
    visited_N, bought_N = (table[name].to_numpy() > 0 for name in ("visit", "conversion"))
    spend_N = table["spend"].to_numpy().astype(np.float32)
    return Examples(
        features_EF=np.stack(columns, axis=1),
        tastes_UD=np.zeros((n, 1), np.float32),
        row_U=np.arange(n),
        vectors_ID=np.zeros((1, 1), np.float32),
        user_E=np.arange(n),
        item_E=np.zeros(n, np.int64),
        clicked_E=visited_N,
        purchased_E=bought_N & visited_N,
        value_E=np.where(bought_N, spend_N, np.nan).astype(np.float32),
        log_q_E=np.zeros(n, np.float32),
    )
