"""What a program or a person may ask a release with, in whatever type it comes; ids are shown as they are."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from recsys import Release
from recsys.cli import main
from recsys.errors import ReleaseError
from recsys.profiles.item_ids import ItemIds
from recsys.serving.arguments import id_text, known_rows, list_length
from recsys.storage.folder import FolderStorage
from tests.publishing.film_workspace import FilmWorkspace

ODD = {
    "7": "A seventh son finds his luck",
    "[bold]eight[/bold]": "Eight friends keep a secret",
    ":shark: nine": "Nine sharks swim in circles",
    "a" * 130: "A name that never ends",
}


@pytest.fixture
def opened(film_workspace: FilmWorkspace, folder: FolderStorage) -> Release:
    film_workspace.items(ODD, day=1)
    film_workspace.build().publish(folder)
    return Release.open(folder.url)


@pytest.mark.parametrize(
    "value", ["7", 7, 7.0, np.int64(7), np.int8(7), np.float32(7), np.str_("7"), pa.scalar(7), pa.scalar("7")]
)
def test_an_id_is_one_id_in_every_usual_type(value, opened):
    assert id_text(value, "item_id") == "7"
    assert opened.similar(value) == opened.similar("7")
    assert np.array_equal(opened.profile(value), opened.profile("7"))
    assert opened.recommend(history=[value]) == opened.recommend(history=["7"])


@pytest.mark.parametrize(
    "value", [7.5, float("nan"), None, True, b"7", ["7"], Decimal("7.5"), np.array([7, 8])]
)
def test_what_is_no_id_is_a_type_error_that_shows_it(value):
    with pytest.raises(TypeError, match="is not a valid item_id: give a text or a whole number"):
        id_text(value, "item_id")


def test_a_text_that_could_never_have_entered_is_nobodys_id():
    assert known_rows(["", "bad\x1bid", "jaws"], ItemIds(["babe", "jaws"])) == ([1], ["", "bad\x1bid"])


def test_an_id_that_is_known_just_so_is_not_changed():
    assert known_rows([" 7 "], ItemIds(["7", " 7 "])) == ([1], [])


@pytest.mark.parametrize("history", ["jaws", b"jaws", 7, np.int64(7)])
def test_one_id_instead_of_a_list_is_refused_with_the_list_to_give(history, opened):
    with pytest.raises(TypeError, match=r"history should be a list of item ids; .*give history=\["):
        opened.recommend(history=history)


@pytest.mark.parametrize(
    "history",
    [
        ("jaws", "7"),
        np.array(["jaws", "7"]),
        pa.array(["jaws", "7"]),
        iter(["jaws", "7"]),
        {"jaws": 1, "7": 2},
    ],
)
def test_any_list_of_ids_is_a_history_and_repeats_count_once(history, opened):
    expected = opened.recommend(history=["jaws", "7"], k=20)
    assert opened.recommend(history=history, k=20) == expected
    assert opened.recommend(history=["jaws", 7, "7", 7.0, "jaws"], k=20) == expected


def test_unknown_ids_of_a_history_are_named_as_they_are(opened):
    with pytest.raises(ReleaseError, match=r"'nope', 'blank', ''\n  remedy: give ids of the catalogue"):
        opened.recommend(history=["nope", " blank", "", "nope"])
    assert opened.recommend(history=["nope", "jaws"]) == opened.recommend(history=["jaws"])


@pytest.mark.parametrize("k", [0, -1])
def test_a_list_shorter_than_one_is_refused(k, opened):
    for ask in (
        lambda: opened.recommend(pseudonym="ann", k=k),
        lambda: opened.similar("jaws", k),
        lambda: opened.search("x", k),
    ):
        with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
            ask()


def test_a_list_is_never_longer_than_the_release(opened):
    n = len(opened.items)
    assert len(opened.recommend(pseudonym="ann", k=10**15, exclude_seen=False)) == n
    assert len(opened.similar("jaws", np.int64(10**12))) == n - 1
    with pytest.raises(TypeError):
        list_length(2.5, n)


def test_paths_may_be_text_or_path(opened, folder, tmp_path):
    cache = str(tmp_path / "cache")
    again = Release.open(Path(folder.url), cache=cache)
    assert again.export(str(tmp_path / "a.parquet")) == opened.export(tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_a_person_sees_ids_as_they_are(opened, folder):
    def run(*arguments, code=0):
        found = CliRunner(env={"RECSYS_STORE": folder.url, "COLUMNS": "60"}).invoke(main, [*arguments])
        assert found.exit_code == code and "Traceback" not in found.output, found.output
        return found

    output = run("recommend", "--history", "jaws", "-k", "100").stderr
    assert "[bold]eight[/bold]" in output and ":shark: nine" in output
    assert output.count("a") >= 130  # folded, not cut
    assert "[bold]eight[/bold]" in run("trace", "[bold]eight[/bold]").stderr
    assert "jaws" in run("similar", "7", "-k", "100").stderr
    named = {one["item_id"] for one in json.loads(run("similar", "7", "-k", "100", "--json").stdout)["items"]}
    assert named == set(opened.items) - {"7"}
    for arguments in (("similar", "\x1b[31mred"), ("recommend", "--history", "\x1b[31mred"), ("similar", "")):
        output = run(*arguments, code=1).stderr
        assert "\x1b" not in output and output.startswith(("UnknownItem: ", "ReleaseError: "))
