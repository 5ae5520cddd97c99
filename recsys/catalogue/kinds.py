"""The kinds of tables that may land. A kind is a folder of the landing zone and of data/.

A new kind needs entries in KINDS and OURS here, a schema in `schemas.py`, and a row reader beside `items.py` and
`interactions.py`, which `batch.py` calls. What else differs by kind, such as which rows supersede others, is in
`judging.py`, `measures.py`, `expectations.py` and `compaction.py`.
"""

from typing import Literal

CATALOGUE = "catalogue"
INTERACTIONS = "interactions"
KINDS = (CATALOGUE, INTERACTIONS)
"""Kinds in the order of intake: items first, so that their interactions find them."""
Kind = Literal["catalogue", "interactions"]

OURS = {
    CATALOGUE: ("item_id", "title", "description", "tags", "image", "updated_at", "deleted"),
    INTERACTIONS: ("user_id", "item_id", "event", "value", "timestamp"),
}
"""Kind -> its known columns."""
