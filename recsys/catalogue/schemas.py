"""Schemas of parts, by kind."""

import pyarrow as pa

from recsys.catalogue.kinds import CATALOGUE, IMPRESSIONS, INTERACTIONS, RELATIONS, VECTORS

TIME = pa.timestamp("us", tz="UTC")
CATALOGUE_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("image", pa.string()),
        ("attributes", pa.string()),
        ("updated_at", TIME),
        ("deleted", pa.bool_()),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
INTERACTIONS_SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("item_id", pa.string()),
        ("event", pa.string()),
        ("value", pa.float64()),
        ("timestamp", TIME),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
RELATIONS_SCHEMA = pa.schema(
    [
        ("head", pa.string()),
        ("relation", pa.string()),
        ("tail", pa.string()),
        ("updated_at", TIME),
        ("deleted", pa.bool_()),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
VECTORS_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("view", pa.string()),
        ("source", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("updated_at", TIME),
        ("deleted", pa.bool_()),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
IMPRESSIONS_SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("item_id", pa.string()),
        ("request", pa.string()),
        ("position", pa.float64()),
        ("propensity", pa.float64()),
        ("timestamp", TIME),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("row", pa.string()),
        ("part", pa.string()),
    ]
)
SCHEMAS = {
    CATALOGUE: CATALOGUE_SCHEMA,
    INTERACTIONS: INTERACTIONS_SCHEMA,
    RELATIONS: RELATIONS_SCHEMA,
    VECTORS: VECTORS_SCHEMA,
    IMPRESSIONS: IMPRESSIONS_SCHEMA,
}

RETRY_OF = "retry_of"
"""Column that `quarantine retry` adds: where the row was quarantined. Never stored as an attribute."""
USER, PSEUDONYM, SIGNATURE = "user_id", "user_pseudonym", "user_signature"
"""Who acted: a raw id, or a pseudonym with the proof that it was made here. Only we write the last two."""
SHOWN_CHARS = 10
"""Characters of a pseudonym in a report: enough to distinguish the users of one page."""
