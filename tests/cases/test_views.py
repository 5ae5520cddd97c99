"""Relations and vectors as shops land them, through the real commands: what is odd is named, and stops nothing else."""

import json
import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import RELATIONS, VECTORS
from recsys.catalogue.parts import list_parts
from recsys.features.evidence import gather_evidence
from recsys.settings import Settings
from tests.cases.conftest import ITEMS, empty_intake

__all__ = ["empty_intake"]


def graph(*triples):
    return "head,relation,tail\n" + "".join(f"{head},{relation},{tail}\n" for head, relation, tail in triples)


def names_of(intake, item):
    settings = Settings.load(intake.at.params)
    view = gather_evidence(intake.at.data, settings.relations).views_of(pa.array([item])).get("relations")
    return () if view is None else tuple(view.names[place] for place in view.rows_NE[[0]].indices)


def test_a_relation_of_an_unknown_item_waits_until_the_item_lands(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS[:20])
    empty_intake.land("relations/graph.csv", graph(("s1", "maker", "Acme"), ("later", "maker", "Acme")))
    became = empty_intake.ingest()["relations/graph.csv"]
    assert (became["status"], became["n_rows"], became["quarantined"]) == ("accepted", 2, {})
    assert names_of(empty_intake, "later") == ()
    empty_intake.land("catalogue/later.jsonl", [ITEMS[0] | {"item_id": "later"}])
    empty_intake.ingest()
    assert names_of(empty_intake, "later") == ("Acme",)


def test_cycles_and_links_to_itself_are_ordinary(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    ring = [("s1", "next", "s2"), ("s2", "next", "s3"), ("s3", "next", "s1"), ("s4", "next", "s4")]
    empty_intake.land("relations/ring.csv", graph(*ring))
    assert empty_intake.ingest()["relations/ring.csv"]["n_rows"] == 4
    empty_intake.run("run", "features")
    assert names_of(empty_intake, "s1") == ("s1", "s2", "s3")
    assert names_of(empty_intake, "s4") == ()


def test_a_delete_that_lands_before_its_relation_holds(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    row = {"head": "s1", "relation": "maker", "tail": "Acme"}
    gone = [row | {"updated_at": "2026-10-02T00:00:00Z", "deleted": True}]
    empty_intake.land("relations/gone.jsonl", gone)
    empty_intake.ingest()
    empty_intake.land("relations/late.jsonl", [row | {"updated_at": "2026-10-01T00:00:00Z"}])
    assert empty_intake.ingest()["relations/late.jsonl"]["superseded"] == 1
    assert names_of(empty_intake, "s1") == ()


def test_vectors_of_two_widths_are_refused_and_the_message_says_what_to_do(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    first = [
        {"item_id": f"s{n}", "view": "audio", "source": "clap", "vector": [1, n, 2]} for n in range(1, 20)
    ]
    empty_intake.land("vectors/first.jsonl", first)
    empty_intake.ingest()
    empty_intake.land("vectors/second.jsonl", [row | {"vector": [*row["vector"], 1]} for row in first])
    became = empty_intake.ingest()["vectors/second.jsonl"]
    assert (became["status"], became["reasons"][0]["reason"]) == ("refused", "other_width")
    assert "name another source for another model" in empty_intake.output
    empty_intake.land("vectors/mixed.jsonl", [*first, first[0] | {"item_id": "s30", "vector": [1, 2]}])
    became = empty_intake.ingest()["vectors/mixed.jsonl"]
    assert (became["status"], became["quarantined"]) == ("accepted", {"other_width": 1})
    assert {
        len(row["vector"])
        for part in list_parts(empty_intake.at.data, VECTORS)
        for row in part.rows().to_pylist()
    } == {3}


@pytest.mark.whole
def test_a_hub_with_a_million_links_costs_bounded_memory(empty_intake):
    n_links = 1_000_000
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    hub = {
        "head": pa.array([f"film {n}" for n in range(n_links)]),
        "relation": pa.repeat("country", n_links),
        "tail": pa.repeat("US", n_links),
    }
    empty_intake.at.root.joinpath("landing/relations").mkdir(parents=True)
    pq.write_table(pa.table(hub), empty_intake.at.root / "landing/relations/hub.parquet")
    empty_intake.land("relations/few.csv", graph(("s1", "country", "US"), ("s1", "maker", "Acme")))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    became = empty_intake.ingest()
    assert became["relations/hub.parquet"]["n_rows"] == n_links
    empty_intake.run("run", "features")
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 3000, grown_mb
    assert names_of(empty_intake, "s1") == ("Acme",)  # a hub says nothing, and no way leads through it
    (facts,) = empty_intake.at.details.glob("*.facts.arrow")
    assert facts.stat().st_size < 10_000


def test_status_and_doctor_know_the_new_folders(empty_intake):
    empty_intake.land("relations/graph.csv", graph(("s1", "maker", "Acme")))
    empty_intake.land("embeddings/a.jsonl", [{}])
    status = json.loads(empty_intake.run("status", "--json").stdout)
    assert [file["file"] for file in status["pending"]] == ["relations/graph.csv"]
    empty_intake.ingest()
    assert "'embeddings/' is not read: files belong into vectors/" in empty_intake.output
    status = json.loads(empty_intake.run("status", "--json").stdout)
    (part,) = list_parts(empty_intake.at.data, RELATIONS)
    assert status["unpublished"] == [part.id]


def test_a_vector_of_many_items_is_one_unit_row_each(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    rows = [
        {"item_id": f"s{n}", "view": "audio", "source": "clap", "vector": [n, 2 * n]} for n in range(1, 31)
    ]
    empty_intake.land("vectors/a.jsonl", rows)
    empty_intake.ingest()
    at = Artifacts(empty_intake.at.root)
    audio = gather_evidence(at.data, Settings.load(at.params).relations).views["audio"]
    assert audio.has_N.sum() == 30
    np.testing.assert_allclose(
        audio.vectors_ND[audio.has_N], np.tile([0.2**0.5, 0.8**0.5], (30, 1)), rtol=1e-6
    )
