import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import UnreadableFile
from recsys.evaluation.cold_start import make_task, rank_cold
from recsys.features.params import FeaturesParams

FEATURES = FeaturesParams(fields=("title", "description", "tags"), max_chars=4000)
ITEMS = pa.table(
    {
        "item_id": ["a", "b", "c", "d"],
        "brand": ["Acme", "Acme", "Zeta", None],
        "title": ["red chair", "red table", "blue chair", "blue lamp"],
    }
)


def log(*rows):
    return pa.table(
        {"user_id": [r[0] for r in rows], "item_id": [r[1] for r in rows], "weight": [r[2] for r in rows]}
    )


def test_interactions_with_cold_items_are_dropped_and_pairs_count_once():
    task = make_task(
        ITEMS, log(("u", "a", 1), ("u", "a", 5), ("u", "c", 1), ("v", "c", 1)), ["c", "d"], FEATURES
    )
    assert task.users == ("u", "v")
    np.testing.assert_array_equal(task.interactions.matrix_UI.toarray(), [[1, 0, 0, 0], [0, 0, 0, 0]])
    assert task.warm.tolist() == [0] and task.cold.tolist() == [2, 3]


def test_rows_of_no_weight_are_no_interactions():
    task = make_task(ITEMS, log(("u", "a", 0.0), ("u", "b", 2.0)), ["d"], FEATURES)
    assert task.warm.tolist() == [1]


def test_all_columns_of_words_become_text_through_the_houses_own_preprocessing():
    task = make_task(ITEMS, log(("u", "a", 1)), ["d"], FEATURES)
    assert task.fields == ("title", "brand")
    assert task.texts == ("red chair.\nAcme", "red table.\nAcme", "blue chair.\nZeta", "blue lamp")


@pytest.mark.parametrize(
    ("items", "interactions", "cold", "words"),
    [
        (pa.concat_tables([ITEMS, ITEMS.slice(1, 1)]), log(("u", "a", 1)), ["d"], "item 'b' twice"),
        (ITEMS, log(("u", "a", 1)), ["x"], "--cold lists 'x'"),
        (ITEMS, log(("u", "d", 1)), ["d"], "no like of items of --items that are not cold"),
        (ITEMS, log(("u", "A", 1), ("u", "B", 1)), ["d"], "2 of their items are unknown, such as 'A', 'B'"),
        (ITEMS.select(["item_id"]), log(("u", "a", 1)), ["d"], "no column of text"),
        (
            pa.table({"item_id": ["a", "b", "d"], "title": ["x chair", "more words", " "]}),
            log(("u", "a", 1)),
            ["d"],
            "item 'd' has no text",
        ),
    ],
)
def test_tasks_that_make_no_sense_are_refused_by_name(items, interactions, cold, words):
    with pytest.raises(UnreadableFile, match=words):
        make_task(items, interactions, cold, FEATURES)


@pytest.fixture(scope="module")
def world():
    """Forty items of two tastes on a circle; even users like the first, odd ones the second; two newcomers."""
    generator = np.random.default_rng(3)
    tastes = np.arange(40) % 2
    vectors = np.eye(6)[tastes] + generator.normal(scale=0.2, size=(40, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    items = pa.table(
        {"item_id": [f"i{n:02d}" for n in range(40)], "title": [f"thing number {n}" for n in range(40)]}
    )
    rows = [
        (f"u{u:02d}", f"i{item:02d}", 1.0)
        for u in range(30)
        for item in generator.permutation(np.flatnonzero(tastes[:30] == u % 2))[:8]
    ]
    rows += [("newcomer", "i30", 1.0), ("other", "i31", 1.0)]
    cold = [f"i{n}" for n in range(30, 40)]
    return make_task(items, log(*rows), cold, FEATURES), vectors


def test_every_user_gets_the_cold_items_of_their_taste_first(world):
    task, vectors = world
    ranked = rank_cold(task, vectors, 1.0, 5).to_pylist()
    assert len(ranked) == len(task.users) * 5 and [row["rank"] for row in ranked[:5]] == [1, 2, 3, 4, 5]
    for row in ranked:
        if row["user_id"].startswith("u"):
            assert int(row["item_id"][1:]) % 2 == int(row["user_id"][1:]) % 2


def test_users_without_a_history_get_the_mean_of_all_tastes(world):
    task, vectors = world
    ranked = rank_cold(task, vectors, 1.0, 10).to_pylist()
    lists = {
        user: [row["item_id"] for row in ranked if row["user_id"] == user] for user in ("newcomer", "other")
    }
    assert lists["newcomer"] == lists["other"] and len(set(lists["newcomer"])) == 10


def test_lists_are_as_long_as_there_are_cold_items(world):
    task, vectors = world
    assert rank_cold(task, vectors, 1.0, 150).num_rows == len(task.users) * 10


TOPICS = {
    "item_id": ["a", "b", "d"],
    "title": ["thing"] * 3,
    "tags": [["kitchen", "oven"], ["garden"], ["kitchen"]],
    "maker_id": ["acme", "zeta", "acme"],
}


@pytest.mark.parametrize("tags", [TOPICS["tags"], ["kitchen, oven", "garden", "kitchen"]])
def test_tags_become_text_whether_lists_or_not(tags):
    task = make_task(pa.table(TOPICS | {"tags": tags}), log(("u", "a", 1)), ["d"], FEATURES)
    assert task.fields == ("title", "tags")
    assert task.texts == ("thing.\nkitchen, oven", "thing.\ngarden", "thing.\nkitchen")


def test_columns_that_a_person_names_become_text_in_that_order_and_no_others():
    task = make_task(pa.table(TOPICS), log(("u", "a", 1)), ["d"], FEATURES, ("maker_id", "tags"))
    assert task.fields == ("maker_id", "tags")
    assert task.texts == ("acme.\nkitchen, oven", "zeta.\ngarden", "acme.\nkitchen")
    with pytest.raises(
        UnreadableFile, match=r"no column 'tag' to take as text\n.*name some of title, tags, maker_id"
    ):
        make_task(pa.table(TOPICS), log(("u", "a", 1)), ["d"], FEATURES, ("tag",))
