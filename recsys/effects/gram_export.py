"""Effect `gram export`: write how much this workspace's users like each item, for sites that share the catalogue."""

from dataclasses import dataclass
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.errors import ConfigError, ReleaseError
from recsys.profiles.history_files import history_files, load_histories
from recsys.profiles.item_likes import ItemLikes
from recsys.profiles.items import latest, list_segments
from recsys.profiles.like_counts import LikeCounts
from recsys.profiles.sharing import Sharing
from recsys.profiles.sites import noise_secret
from recsys.profiles.users_summary import UsersSummary
from recsys.settings import Settings


@dataclass(frozen=True)
class Exported:
    """A file for other sites."""

    path: Path
    likes: ItemLikes


def gram_export(at: Artifacts, chosen: Settings, folder: Path) -> Exported:
    """Write the likes by item of this workspace alone, as stage `users` counted them last. Safe to repeat.

    With noise they are the noisy sums that releases are made of: exporting them costs nothing more.

    Args:
        at: the workspace.
        chosen: its settings.
        folder: gets the file, whose name says what it holds.

    Returns:
        The file.

    Raises:
        ArtifactMissing: stage `users` has not run.
        ConfigError: `users.site` is not set, or the pseudonym key is not that of the interactions.
        ReleaseError: with noise: data or settings have changed since, so the sums would be those of no release.
    """
    if chosen.users.site is None:
        raise ConfigError(
            "users.site is not set, so other sites could not tell whose likes these are",
            remedy="give this workspace a name in params.yaml, such as users.site: berlin",
        )
    sharing = Sharing(chosen.privacy, chosen.users.site, None, noise_secret(at))
    histories = load_histories(file.path for file in history_files(at.users / "histories"))
    parts = (*list_parts(at.data, CATALOGUE), *list_parts(at.data, INTERACTIONS))
    landed_at = (record.arrived_at for part in parts for record in part.arrival.landed())
    item_ids = latest(list_segments(at.profiles("champion"))).item_ids.column
    likes = sharing.likes_of(LikeCounts.of(histories), lambda: histories, item_ids, landed_at)
    counted = UsersSummary.load(at.users / "users.json").guarantee
    if sharing.privacy.epsilon is not None and (
        counted is None or counted.statistics != likes.sites[0].digest
    ):
        raise ReleaseError(
            f"{at.users / 'users.json'} is of other data or settings: the account of ε would lack this publication",
            remedy="run: dvc repro users, then recsys publish, then export",
        )
    return Exported(likes.save(folder), likes)
