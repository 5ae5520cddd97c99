"""Stage `features` writes what relations and vectors say of each part's items, and only where they say anything."""

from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import RELATIONS, VECTORS
from recsys.catalogue.parts import next_sequence, write_part
from recsys.catalogue.schemas import SCHEMAS
from recsys.errors import DataDamaged
from recsys.features.evidence import content_hashes, gather_evidence
from recsys.features.facts import SCHEMA, check_facts
from recsys.features.text import feature_files
from recsys.features.views_file import PARTS, read_views
from recsys.stages import features
from recsys.storage.tables import map_arrow
from tests.stages.catalogue_world import contents, land

MANN = ("a", "director", "Michael Mann")


def land_rows(at, kind, rows):
    """Accept one part of relations or vectors."""
    sequence = next_sequence(at.data)
    digest = sha256(repr((sequence, rows)).encode()).hexdigest()
    part = f"{sequence:06d}-{digest[:10]}"
    plain = {"updated_at": datetime(2026, 1, 1 + sequence, tzinfo=UTC), "deleted": False, "part": part}
    table = pa.Table.from_pylist([plain | {"line": n} | row for n, row in enumerate(rows, 1)], SCHEMAS[kind])
    arrival = Arrival(
        part=part, kind=kind, source="x", sha256=digest, size=1, arrived_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return write_part(at.staging, at.data, arrival, table)


def relate(at, *triples, deleted=False):
    rows = [
        {"head": head, "relation": relation, "tail": tail, "deleted": deleted}
        for head, relation, tail in triples
    ]
    return land_rows(at, RELATIONS, rows)


def show(at, view, source, **vectors):
    rows = [{"item_id": item, "view": view, "source": source, "vector": v} for item, v in vectors.items()]
    return land_rows(at, VECTORS, rows)


@pytest.fixture
def two_parts(workspace, settings):
    land(workspace, {"a": "Heat", "b": "Ronin"})
    land(workspace, {"c": "Collateral", "d": "Ali"})
    features.run(settings, workspace)
    return workspace


@pytest.fixture
def settings(workspace):
    from recsys.settings import Settings

    return Settings.load(workspace.params)


def evidence_in(at):
    return read_views(file.views_path for file in feature_files(at.features) if file.views_path)


def test_without_views_nothing_is_written_and_with_them_the_files_of_texts_stay(two_parts, settings):
    before = contents(two_parts.features), contents(two_parts.details)
    assert not [name for name in before[0] if "views" in name]
    relate(two_parts, MANN)
    features.run(settings, two_parts)
    after = contents(two_parts.features), contents(two_parts.details)
    assert before[0].items() <= after[0].items() and before[1].items() <= after[1].items()
    assert (
        len(after[0]) == len(before[0]) + 2 and len(after[1]) == len(before[1]) + 1
    )  # one part has evidence


def test_relations_that_land_later_change_the_files_of_their_items_alone(two_parts, settings):
    relate(two_parts, MANN, ("c", "director", "Michael Mann"))
    features.run(settings, two_parts)
    first = {file.part: file for file in feature_files(two_parts.features)}
    relate(two_parts, ("d", "director", "Michael Mann"))
    features.run(settings, two_parts)
    second = {file.part: file for file in feature_files(two_parts.features)}
    changed = [part for part in first if first[part].views_key != second[part].views_key]
    assert changed == [part for part in first if part.startswith("000002")]
    assert all(first[part].key == second[part].key for part in first)


def test_a_relation_that_is_taken_back_leaves_nothing(two_parts, settings):
    before = contents(two_parts.features)
    relate(two_parts, MANN)
    features.run(settings, two_parts)
    relate(two_parts, MANN, deleted=True)
    features.run(settings, two_parts)
    after = contents(two_parts.features)
    assert set(after) - set(before) == {PARTS}


def test_what_is_read_is_what_was_gathered(two_parts, settings):
    relate(
        two_parts, MANN, ("c", "director", "Michael Mann"), ("a", "remade_as", "b"), ("x", "genre", "crime")
    )
    show(two_parts, "audio", "clap", a=[3.0, 4.0], d=[0.0, 2.0])
    features.run(settings, two_parts)
    gathered, read = gather_evidence(two_parts.data, settings.relations), evidence_in(two_parts)
    ids = pa.array(["d", "c", "nobody", "a", "b"])
    assert read.hashes_of(ids) == gathered.hashes_of(ids)
    assert read.hashes_of(ids)[2] == "" and len(set(read.hashes_of(ids))) == 5
    one, other = read.views_of(ids), gathered.views_of(ids)
    assert one["relations"].names == other["relations"].names == ("Michael Mann", "a", "b")
    assert (one["relations"].rows_NE != other["relations"].rows_NE).nnz == 0
    np.testing.assert_array_equal(one["audio"].vectors_ND, other["audio"].vectors_ND)
    np.testing.assert_allclose(one["audio"].vectors_ND, [[0, 1], [0, 0], [0, 0], [0.6, 0.8], [0, 0]])
    assert one["audio"].source == "clap"


def test_an_item_without_evidence_keeps_the_hash_of_its_text(two_parts, settings):
    relate(two_parts, MANN)
    features.run(settings, two_parts)
    hashes = content_hashes(["1" * 64, "2" * 64], evidence_in(two_parts).hashes_of(pa.array(["a", "b"])))
    assert hashes[0] != "1" * 64 and hashes[1] == "2" * 64


def test_of_two_sources_the_one_with_more_items_counts(two_parts, settings):
    show(two_parts, "audio", "old", a=[1.0, 0.0], b=[1.0, 0.0], c=[1.0, 0.0])
    show(two_parts, "audio", "new", a=[0.0, 0.0, 1.0])
    features.run(settings, two_parts)
    audio = evidence_in(two_parts).views_of(pa.array(["a", "b"]))["audio"]
    assert audio.source == "old" and audio.has_N.tolist() == [False, True]


def test_facts_name_what_an_item_is_linked_to_in_the_order_of_its_part(two_parts, settings):
    relate(two_parts, ("b", "stars", "De Niro"), ("De Niro", "was_in", "a"), ("a", "awards", "best film"))
    features.run(settings, two_parts)
    (path,) = two_parts.details.glob("*.facts.arrow")
    assert map_arrow(path).to_pylist() == [
        {"relations": ["was_in"], "things": ["De Niro"]},
        {"relations": ["stars"], "things": ["De Niro"]},
    ]  # awards are known only after the release


def test_a_hub_is_neither_evidence_nor_a_fact(two_parts, settings):
    few = settings.model_copy(update={"relations": settings.relations.model_copy(update={"max_degree": 3})})
    relate(two_parts, *((f"film {n}", "country", "US") for n in range(9)), ("a", "country", "US"), MANN)
    features.run(few, two_parts)
    assert evidence_in(two_parts).views["relations"].names == ("Michael Mann",)
    (path,) = two_parts.details.glob("*.facts.arrow")
    assert map_arrow(path)["things"].to_pylist() == [["Michael Mann"], []]


def test_foreign_facts_with_a_thing_without_a_name_are_refused():
    lists = {"relations": [["stars"]], "things": [[None]]}
    with pytest.raises(ValueError, match="one without a name"):
        check_facts(1)(pa.table(lists, schema=SCHEMA))


def test_running_again_changes_nothing_and_a_damaged_file_is_named(two_parts, settings):
    relate(two_parts, MANN)
    features.run(settings, two_parts)
    before = contents(two_parts.features), contents(two_parts.details)
    features.run(settings, two_parts)
    assert (contents(two_parts.features), contents(two_parts.details)) == before
    (file,) = (file for file in feature_files(two_parts.features) if file.views_path)
    file.views_path.write_bytes(b"PAR1")
    with pytest.raises(DataDamaged, match=r"views\.parquet"):
        evidence_in(two_parts)
    features.run(settings, two_parts)
    assert contents(two_parts.features) == before[0]
