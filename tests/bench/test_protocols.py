import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import judging, protocols

ARTISTS = [str(number) for number in range(50)]


def write_lastfm(folder, artists):
    """A small copy of the data: every user likes ten artists in a row, in one of its two parts."""
    (folder / "lastfm-colakg").mkdir(parents=True)
    texts = pa.table({"text_key": artists, "llm_text": [f"artist {one}" for one in artists]})
    pq.write_table(texts, folder / "lastfm-colakg" / "items_llm_text.parquet")
    pairs = [(user, (user + step) % 50) for user in range(50) for step in range(10)]
    log = pa.table(
        {
            "split": ["train" if user % 2 else "test" for user, _ in pairs],
            "user": [f"u{user}" for user, _ in pairs],
            "item": [str(item) for _, item in pairs],
        }
    )
    pq.write_table(log, folder / "lastfm-colakg" / "interactions.parquet")


@pytest.fixture
def lastfm(monkeypatch, tmp_path):
    """Makes the protocol of artists in a given order."""

    def make(artists):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_lastfm(folder, artists)
        monkeypatch.setattr(protocols, "SHARED_DATA", folder)
        return protocols.lastfm()

    return make


def test_a_fifth_of_the_artists_is_cold_whatever_their_order(lastfm):
    items, log, cold = lastfm(ARTISTS)
    assert items["item_id"].to_pylist() == ARTISTS and items["text"][3].as_py() == "artist 3"
    assert log.num_rows == 500 and set(log.column_names) == {"user_id", "item_id"}
    assert len(set(cold.to_pylist())) == len(cold) == 10 and set(cold.to_pylist()) < set(ARTISTS)
    shuffled = np.random.default_rng(1).permutation(ARTISTS).tolist()
    assert lastfm(shuffled)[2].to_pylist() == cold.to_pylist()


def test_the_judge_is_told_the_cold_artists_and_who_likes_them(lastfm):
    _, log, cold = lastfm(ARTISTS)
    positives, candidates, dropped = judging.sides("lastfm-cold")
    assert candidates == set(cold.to_pylist()) and not dropped
    pairs = zip(log["user_id"].to_pylist(), log["item_id"].to_pylist(), strict=True)
    expected = {}
    for user, item in pairs:
        if item in candidates:
            expected.setdefault(user, set()).add(item)
    assert positives == expected and positives
