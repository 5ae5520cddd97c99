import numpy as np
import pytest
from scipy.sparse import csr_array

from bench import mixed, mixed_page, mixed_setup
from recsys.evaluation.cold_start import Task
from recsys.settings import Settings
from tests.dataset.make import interactions_of

# Items 0-3 are warm, 4 and 5 cold. User 0 has met 0 and 1; 2 and 4 are asked for. User 1 met 3; 0 and 5 are asked for.
MATRIX_UI = csr_array(
    np.array([[1.0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
)
WANTED = csr_array(
    np.array([[0.0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0]])
)


@pytest.fixture
def setup(monkeypatch, tmp_path):
    for module in (mixed, mixed_page, mixed_setup):
        monkeypatch.setattr(module, "HOME", tmp_path)
    settings = Settings.load(mixed_setup.ROOT / "params.yaml")
    ids = tuple("abcdef")
    task = Task(interactions_of(MATRIX_UI, ids), ids, ("title",), np.array([4, 5]))
    return mixed_setup.Setup("ml100k_cold", settings, task, WANTED)


def test_those_users_are_judged_who_have_a_history_and_something_to_be_found_on_both_sides(setup):
    np.testing.assert_array_equal(setup.users, [0, 1])
    np.testing.assert_array_equal(setup.warm, [0, 1, 2, 3])


def test_lists_leave_out_the_history_and_count_both_kinds_where_they_are_mixed(setup):
    scores = np.array([[9, 8, 1, 2, 3, 4], [3, 2, 1, 9, 5, 6]], np.float32)
    found = mixed.judged(setup, scores, "ridge, head")
    second = 1 / np.log2(3)  # at the second place
    # user 0: cold 5 4, warm 3 2, mixed 5 4 3 2; user 1: cold 5 4, warm 0 1 2, mixed 5 4 0 1 2
    np.testing.assert_allclose(found["cold/ndcg@20"], [second, 1])
    np.testing.assert_allclose(found["warm/ndcg@20"], [second, 1])
    best = 1 + second
    np.testing.assert_allclose(
        found["mixed/ndcg@20"], [(second + 1 / np.log2(5)) / best, (1 + 1 / np.log2(4)) / best]
    )
    np.testing.assert_array_equal(found["mixed/recall@100"], [1, 1])


def test_a_model_that_knows_no_cold_item_is_judged_on_warm_ones_alone(setup):
    found = mixed.judged(setup, np.zeros((2, 6), np.float32), "ease")
    assert set(found) == {"warm/ndcg@20", "warm/recall@100"}


def test_rows_are_kept_with_every_user_and_the_page_names_what_did_not_run(setup, monkeypatch):
    monkeypatch.setattr(mixed, "commit", lambda: "0000000")
    for model, best in (("firstlight", [4, 2]), ("ridge, head", [5, 3])):
        scores = np.zeros((2, 6), np.float32)
        scores[:, best] = 1
        by_user = mixed.judged(setup, scores, model)
        mixed.keep_row(setup, model, by_user, {"λ": 3.0}, 1.0)
    rows = mixed_page.rows_of("ml100k_cold", list(mixed.MODELS))
    assert list(rows) == ["firstlight", "ridge, head"]
    figures = {f"citeulike_H_{model}_cold_ndcg@20": 0.25 for model in ("firstlight", "ridge, head")}
    kept = mixed_page.Kept("## CiteULike H\n\n| old | table |\n", figures)
    page = mixed_page.page({"ml100k_cold": rows}, list(mixed.MODELS), kept)
    assert "| CiteULike H | cold items | 0.2500 | 0.2500 (`ridge, head`) | 0.2500 |" in page
    assert "Rows of CiteULike H are of older code, named below." in page
    assert "2 users, 4 warm and 2 cold items" in page
    assert "## Amazon Industrial 2018\n\n**Not run**" in page
    assert f"## CiteULike H\n\n{mixed_page.KEPT}\n| old | table |" in page
    assert "**Not run**: ridge lifted, head; ridge, encoder; tfidf_centroid" in page
    means = {model: row["metrics"]["warm/ndcg@20"] for model, row in rows.items()}
    difference = means["firstlight"] - means["ridge, head"]
    assert f"{difference:+.4f}" in page
    figures = mixed_page.figures({"ml100k_cold": rows})
    assert figures["ml100k_cold_ridge, head_warm_ndcg@20"] == round(means["ridge, head"], 4)
