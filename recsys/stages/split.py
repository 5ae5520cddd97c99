"""Stage `split`: divide accepted interactions into a training side before the cut and a test side after it."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.feedback import weighed
from recsys.catalogue.parts import INTERACTIONS, INTERACTIONS_SCHEMA, list_parts
from recsys.catalogue.split import split
from recsys.catalogue.split_feedback import with_feedback
from recsys.errors import ArtifactMissing
from recsys.features.text import SCHEMA, feature_files
from recsys.settings import Settings


def run(settings: Settings, at: Artifacts) -> None:
    """Make the holdout.

    Reads:   at.data, interactions, of which `feedback` says which are likes; at.features, every version of every text
    Writes:  at.split: split.json, train.parquet, test.parquet, items.parquet; feedback.parquet where likes differ or
             where there are dislikes
    Raises:  ConfigError where there is too little to test on; ArtifactMissing without interactions or features
    """
    parts = list_parts(at.data, INTERACTIONS)
    if not parts:
        raise ArtifactMissing(
            f"{at.data / INTERACTIONS} holds no part",
            remedy="land a file of interactions and run: recsys ingest",
        )
    interactions = pa.concat_tables([INTERACTIONS_SCHEMA.empty_table(), *(part.rows() for part in parts)])
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    versions = pa.concat_tables([SCHEMA.empty_table(), *features])
    # What waits for its item would move the cut, and change the holdout when the item comes or never does.
    known = pc.unique(versions["item_id"])
    interactions = interactions.filter(pc.is_in(interactions["item_id"], value_set=known))
    found = split(weighed(interactions, settings.feedback), versions, settings.split)
    with_feedback(found, interactions, settings.feedback, settings.weighting, settings.split).save(at.split)
