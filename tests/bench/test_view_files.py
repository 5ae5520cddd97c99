"""Files of views for the protocols: nothing in them may be known only after a cold item came."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import view_files


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """Data sets of our own."""
    monkeypatch.setattr(view_files, "SHARED_DATA", tmp_path)
    for name in ("citeulike-a", "ml-100k-multimodal"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_cold_paper_keeps_links_to_older_warm_papers_alone(shared):
    edges = [(1, 2), (4, 1), (3, 4), (4, 9), (10, 4), (10, 2), (8, 9)]  # 4 and 10 are cold
    triples = [(f"item:{one}", "cites_undirected", f"item:{other}") for one, other in edges]
    triples.append(("item:4", "has_tag", "item:1"))
    columns = dict(zip(("head", "relation", "tail"), zip(*triples, strict=True), strict=True))
    pq.write_table(pa.table(columns), shared / "citeulike-a" / "kg_triples.parquet")
    found = view_files.citations(pa.array(["4", "10"])).to_pylist()
    assert [(row["head"], row["tail"]) for row in found] == [
        ("2", "1"),
        ("4", "1"),
        ("4", "3"),
        ("10", "2"),
        ("9", "8"),
    ]
    assert {row["relation"] for row in found} == {"cites"}


def test_films_stand_in_the_graph_by_their_item_ids(shared):
    folder = shared / "ml-100k-multimodal"
    triples = {
        "head": ["m.film", "m.other"],
        "relation": ["directed_by", "sequel"],
        "tail": ["m.person", "m.film"],
    }
    pq.write_table(pa.table(triples), folder / "kg_triples_freebase.parquet")
    pq.write_table(pa.table({"entity_id": ["m.film"], "item_id": [7]}), folder / "kg_item_link.parquet")
    assert view_files.freebase().to_pylist() == [
        {"head": "7", "relation": "directed_by", "tail": "m.person"},
        {"head": "m.other", "relation": "sequel", "tail": "7"},
    ]


def test_vectors_are_those_that_their_benchmark_left_else_it_is_said_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.setattr(view_files, "POSTERS", tmp_path / "posters.parquet")
    monkeypatch.setattr(view_files, "vectors_path", lambda protocol: tmp_path / f"made-{protocol}.parquet")
    ids = pa.array(["1"])
    with pytest.raises(SystemExit, match="run make bench-posters"):
        view_files.write_view("ml100k_cold", "posters", ids, tmp_path)
    with pytest.raises(SystemExit, match="run make bench-encoders"):
        view_files.write_view("citeulike_H", "encoders", ids, tmp_path)
    (tmp_path / "made-citeulike_H.parquet").write_bytes(b"vectors")
    assert view_files.write_view("citeulike_H", "encoders", ids, tmp_path).read_bytes() == b"vectors"
