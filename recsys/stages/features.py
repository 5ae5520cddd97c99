"""Stage `features`: one text per item, what a page shows of it, and which words find it; files per catalogue part."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.features.details import details_key, details_path, item_details
from recsys.features.evidence import evidence_parts, gather_evidence
from recsys.features.facts import facts_path
from recsys.features.terms import item_terms, terms_path
from recsys.features.text import SCHEMA, feature_key, feature_path, item_texts
from recsys.features.views_file import views_key, views_path, write_made_of, write_views
from recsys.images.view import IMAGE, open_pictures
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet_groups
from recsys.storage.strays import remove_strays
from recsys.storage.strings import Strings
from recsys.storage.tables import is_mappable, write_arrow


def run(settings: Settings, at: Artifacts) -> None:
    """Make missing files, and remove those of parts that no longer exist.

    Reads:   at.data, parts of catalogue, relations and vectors; at.image_view, the vectors of pictures
    Writes:  at.features, a file per part, and one of views where they say anything of its items; at.details, two files
             per part, and one of facts where there are relations; all named by content key
    """
    attributes, description_chars = settings.publish.attributes, settings.publish.description_chars
    wanted: set[Path] = set()
    for folder in (at.features, at.details):
        folder.mkdir(parents=True, exist_ok=True)
    for part in list_parts(at.data, CATALOGUE):
        rows_sha256 = part.arrival.rows_sha256
        texts = feature_path(at.features, part.id, feature_key(rows_sha256, settings.features))
        key = details_key(rows_sha256, attributes, description_chars)
        details, terms = details_path(at.details, part.id, key), terms_path(at.details, part.id, key)
        if not _whole(texts, part.arrival.n_rows):
            made = (item_texts(group, settings.features) for group in part.groups())
            write_parquet_groups(texts, SCHEMA, made)
        if not (is_mappable(details) and is_mappable(terms)):
            write_arrow(details, item_details(part.groups(), attributes, description_chars))
            write_arrow(terms, item_terms(part.groups(), attributes))
        wanted |= {texts, details, terms}
    wanted |= _write_views(settings, at)
    for folder in (at.features, at.details):
        remove_strays(folder, wanted)


def _write_views(settings: Settings, at: Artifacts) -> set[Path]:
    """Write what relations, vectors and pictures say about each part's items; nothing where there are none."""
    parts, pictures = evidence_parts(at.data), open_pictures(at.image_view)
    if not parts and pictures is None:
        return set()
    evidence = gather_evidence(at.data, settings.relations, {IMAGE: pictures.view} if pictures else {})
    wanted = {write_made_of(at.features, parts)}
    for part in list_parts(at.data, CATALOGUE):
        rows = part.rows(["item_id", "deleted"])
        live = rows.filter(pc.invert(rows["deleted"]))["item_id"].combine_chunks()
        item_ids = live.unique()
        key = views_key(Strings(item_ids), evidence.hashes_of(item_ids))
        if key:
            path = views_path(at.features, part.id, key)
            if not _whole(path, None):
                write_views(path, evidence, item_ids)
            wanted.add(path)
        if evidence.facts and (facts := evidence.facts.of(live)) is not None:
            path = facts_path(at.details, part.id, facts)
            if not is_mappable(path):
                write_arrow(path, facts)
            wanted.add(path)
    return wanted


def _whole(path: Path, n_rows: int | None) -> bool:
    """Whether the file exists, with a readable footer and all of its rows: what is cheap enough to check each time.

    Args:
        path: of a parquet file.
        n_rows: the rows it should have; None: any number.

    Returns:
        False also where it is damaged.
    """
    try:
        found: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return False
    return n_rows is None or found == n_rows
