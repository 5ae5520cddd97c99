"""Some users and what they like, without reading what all users like.

Pseudonyms are keyed hashes, so those that follow each other in the alphabet are users drawn at random. New users change
few of them.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from recsys.profiles.histories_by_user import HistoriesByUser
from recsys.publishing.released_profiles import Profiles
from recsys.storage.checked import read_checked, write_checked


def sampled_likes(
    profiles: Profiles, n: int, seed: int, by_user: HistoriesByUser, kept: Path | None = None
) -> list[tuple[str, ...]]:
    """What a sample of users likes.

    Args:
        profiles: of a release.
        n: users.
        seed: where in the alphabet the sample begins.
        by_user: reads the histories of single users.
        kept: file of the last sample, which is taken where no history has changed; None: none is kept.

    Returns:
        For each user with likes, the items, oldest first; fewer users where there are no more.
    """
    made_of = [[history.file.sha256 for history in profiles.manifest.histories], n, seed]
    content = read_checked(kept) if kept else None
    if content is not None:
        before = json.loads(content)
        if before["made_of"] == made_of:
            return [tuple(items) for items in before["likes"]]
    found = _drawn(profiles.history_paths, n, seed, by_user)
    if kept:
        write_checked(kept, json.dumps({"made_of": made_of, "likes": found}).encode())
    return found


def _drawn(files: Sequence[Path], n: int, seed: int, by_user: HistoriesByUser) -> list[tuple[str, ...]]:
    first, n_users = hashlib.sha256(str(seed).encode()).hexdigest(), 2 * n
    while True:
        users = by_user.next_users(files, first, n_users)
        histories = by_user.of(files, users)
        found = [items for user in users.to_pylist() if (items := histories.items_of(user))]
        if len(found) >= n or len(users) < n_users:
            return found[:n]
        n_users *= 2  # some users like nothing
