"""Stage `split`: divide accepted interactions into a training side before the cut and a test side after it."""

from recsys.artifacts import Artifacts
from recsys.catalogue.coded_rows import coded_rows
from recsys.catalogue.feedback import weighed
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.catalogue.split import split
from recsys.catalogue.split_feedback import with_feedback
from recsys.errors import ArtifactMissing
from recsys.features.text import read_features
from recsys.settings import Settings
from recsys.storage.strings import is_among

READ = ("item_id", "text", "text_hash", "updated_at", "deleted", "part", "line")


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
    interactions = coded_rows(parts, INTERACTIONS)
    versions = read_features(at.features, READ)
    # What waits for its item would move the cut, and change the holdout when the item comes or never does.
    is_known = is_among(interactions["item_id"], versions["item_id"].unique())
    if not is_known.all():
        interactions = interactions.filter(is_known)
    found = split(weighed(interactions, settings.feedback), versions, settings.split)
    with_feedback(found, interactions, settings.feedback, settings.weighting, settings.split).save(at.split)
