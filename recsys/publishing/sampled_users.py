"""Some users and what they like, without reading what all users like.

Pseudonyms are keyed hashes, so those that follow each other in the alphabet are users drawn at random. New users change
few of them.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys.profiles.users import history_users, load_histories
from recsys.publishing.objects import Profiles
from recsys.storage.checked import read_checked, write_checked


def sampled_likes(profiles: Profiles, n: int, seed: int, kept: Path | None = None) -> list[tuple[str, ...]]:
    """What a sample of users likes.

    Args:
        profiles: of a release.
        n: users.
        seed: where in the alphabet the sample begins.
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
    found = _drawn(profiles.history_paths, n, seed)
    if kept:
        write_checked(kept, json.dumps({"made_of": made_of, "likes": found}).encode())
    return found


def _drawn(files: Sequence[Path], n: int, seed: int) -> list[tuple[str, ...]]:
    users = history_users(files)
    first = hashlib.sha256(str(seed).encode()).hexdigest()
    begin = int(pc.sum(pc.less(users, first)).as_py() or 0)
    users = pa.concat_arrays([users.slice(begin), users.slice(0, begin)])
    found: list[tuple[str, ...]] = []
    start = 0
    while len(found) < n and start < len(users):  # some users like nothing
        some = users.slice(start, 2 * n)
        histories = load_histories(files, some)
        likes = (histories.items_of(user) for user in some.to_pylist())
        found += [items for items in likes if items]
        start += len(some)
    return found[:n]
