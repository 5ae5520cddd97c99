"""How many users of one or several sites like each item: all that a site contributes to the shared matrix.

Sites that share a catalogue but no users compute XᵀX together. Their matrices cannot be added: an item that is liked at
two sites would count twice. Likes by item can be added. From them each site computes the matrix with its own profiles,
and gets, bit for bit, the matrix of a single site with all users. The sites' models may differ, and no user's data is
sent.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.errors import DataDamaged, ReleaseError
from recsys.profiles.params import SiteName
from recsys.profiles.privacy import are_liked, noise_scale
from recsys.storage.atomic import write_parquet

# Shape suffix: I items.
FORMAT = 1
SCHEMA = pa.schema([("item_id", pa.string()), ("n_users", pa.int64()), ("sum", pa.int64())])
"""Sorted by item_id. n_users: of sites without noise; sum: noisy sums of the others, in units of `privacy.UNIT`."""
MOST = 2**53
"""Largest number of users, and largest sum: 8.6 billion users who each like one item. Totals stay far below 2^63."""
METADATA = b"firstlight"
FILE_NAME = re.compile(r"likes-.+-(?P<sha>[0-9a-f]{16})\.parquet")


class Site(BaseModel):
    """Whose likes are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SiteName
    digest: str = Field(pattern=r"\A[0-9a-f]{16}\z")
    """Fingerprint of its likes, made with the site's pseudonym key. Two equal ones are one site under two names."""
    n_users: int = Field(ge=0, le=MOST)
    epsilon: float | None = Field(default=None, ge=0.01, allow_inf_nan=False)
    """ε of the noise in its sums; None: they are exact counts."""
    delta: float | None = Field(default=None, gt=0, lt=1)

    @property
    def sigma(self) -> float:
        """σ of the noise in its sums; 0 without noise."""
        if self.epsilon is None or self.delta is None:
            return 0.0
        return noise_scale(self.epsilon, self.delta)


@dataclass(frozen=True)
class ItemLikes:
    """Likes by item of one or several sites, as SCHEMA."""

    table: pa.Table
    sites: tuple[Site, ...]
    """Sorted by name."""

    @cached_property
    def liked(self) -> pa.Array:
        """Ids of the items that somebody likes, sorted: at a site without noise, or by the sums of all others."""
        sigma = math.sqrt(sum(site.sigma**2 for site in self.sites))
        is_liked_I = self.table["n_users"].to_numpy() > 0
        if sigma:
            is_liked_I |= are_liked(self.table["sum"].to_numpy(), sigma)
        return self.table["item_id"].combine_chunks().filter(pa.array(is_liked_I))

    def file_name(self) -> str:
        """likes-<sites>-<first 16 hex digits of the SHA-256 of its content>.parquet."""
        content = hashlib.sha256(self._about())
        for name in SCHEMA.names:
            content.update(json.dumps(self.table[name].to_pylist()).encode())
        names = "+".join(site.name for site in self.sites)
        return f"likes-{names[:80]}-{content.hexdigest()[:16]}.parquet"

    def save(self, folder: Path) -> Path:
        """Write it under `file_name`."""
        target = folder / self.file_name()
        write_parquet(target, self.table.replace_schema_metadata({METADATA: self._about()}))
        return target

    @classmethod
    def load(cls, path: Path, shown: str = "") -> "ItemLikes":
        """Read what `save` wrote.

        Args:
            path: the file.
            shown: its address, for messages; it ends with the name under which it was written.

        Returns:
            The likes.

        Raises:
            DataDamaged: it is no such file, of a newer format, or its content is not that of its name.
        """
        shown = shown or str(path)
        remedy = "take the file as `recsys gram export` wrote it, under its own name"
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
            if about.get("format") != FORMAT:
                raise DataDamaged(
                    f"{shown} has format {about.get('format')}, this Firstlight reads {FORMAT}",
                    remedy="update Firstlight, or take a file that `recsys gram export` wrote",
                )
            sites = tuple(Site.model_validate(site) for site in about["sites"])
            found = cls(table.replace_schema_metadata().cast(SCHEMA), sites)
            _check(found)
        except (OSError, pa.ArrowException, ValidationError, ValueError, KeyError, TypeError) as error:
            raise DataDamaged(f"{shown} holds no likes by item: {error}", remedy=remedy) from error
        named = FILE_NAME.fullmatch(shown.rpartition("/")[2])
        if named is None or named["sha"] not in found.file_name():
            raise DataDamaged(f"{shown} does not hold what its name says", remedy=remedy)
        return found

    def _about(self) -> bytes:
        plain = {
            "format": FORMAT,
            "sites": [site.model_dump(mode="json", exclude_none=True) for site in self.sites],
        }
        return json.dumps(plain, sort_keys=True).encode()


def merged(several: Sequence[ItemLikes]) -> ItemLikes:
    """Add up the likes of sites that share no users. The order does not matter.

    Args:
        several: likes of one or several sites each; at least one.

    Returns:
        Likes of all sites.

    Raises:
        ReleaseError: one site is in two of them, under one name or two; or their sums are larger than any users' are.
    """
    sites = tuple(sorted((site for one in several for site in one.sites), key=lambda site: site.name))
    for what, names in (("name", [site.name for site in sites]), ("likes", [site.digest for site in sites])):
        twice = next((one for one, n in Counter(names).items() if n > 1), None)
        if twice is not None:
            named = sorted({site.name for site in sites if twice in (site.name, site.digest)})
            raise ReleaseError(
                f"site {' and '.join(named)} would count twice: two files have its {what}",
                remedy="give one file of each site, the newest",
            )
    _refuse_too_large(several)
    table = pa.concat_tables([one.table for one in several]).group_by("item_id")
    summed = table.aggregate([("n_users", "sum"), ("sum", "sum")]).sort_by("item_id")
    columns = [summed["item_id"], summed["n_users_sum"], summed["sum_sum"]]
    return ItemLikes(pa.table(columns, schema=SCHEMA), sites)


def _refuse_too_large(several: Sequence[ItemLikes]) -> None:
    """Refuse files whose values may together exceed MOST: Arrow's sums of int64 overflow silently."""
    for name in ("n_users", "sum"):
        largest = [_largest(one.table[name]) for one in several]
        if sum(largest) > MOST:
            worst = several[largest.index(max(largest))]
            sites = " and ".join(site.name for site in worst.sites)
            raise ReleaseError(
                f"column {name} of all files adds up to {sum(largest):,}, more than {MOST:,}; "
                f"the largest value, {max(largest):,}, is of site {sites}",
                remedy="ask that site to export again, and leave it out until then",
            )


def _largest(column: pa.ChunkedArray) -> int:
    """Largest absolute value; 0 of none."""
    found = pc.min_max(column).as_py()
    return max(abs(int(found[end] or 0)) for end in ("min", "max"))


def _check(found: ItemLikes) -> None:
    """ValueError where rows are not sorted, or counts are impossible."""
    ids, n_users = found.table["item_id"], found.table["n_users"].to_numpy()
    if any(found.table[name].null_count for name in SCHEMA.names):
        raise ValueError("a value is missing")
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        raise ValueError("its items are not sorted, or one is there twice")
    if not found.sites:
        raise ValueError("it names no site")
    most = sum(site.n_users for site in found.sites if site.epsilon is None)
    if len(n_users) and not 0 <= int(np.min(n_users)) <= int(np.max(n_users)) <= most:
        raise ValueError(f"an item is liked by fewer than 0 or more than {most} users")
