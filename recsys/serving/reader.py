"""`Release`: how programs read a release. This interface is stable; nothing else in this room is."""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.pseudonyms import VARIABLE, Pseudonyms
from recsys.errors import ConfigError, ReleaseError
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.serving.answers import Explanation, ListRequest, Prediction, Scored, Taste
from recsys.serving.arguments import id_text, list_length, require_one
from recsys.serving.recommender import Recommender
from recsys.storage.atomic import write_parquet
from recsys.storage.opening import open_storage

AnyPath = str | os.PathLike[str]


class Release:
    """One published release, read-only: it never changes under its reader, whatever is published meanwhile.

    Opening reads the pointer and the manifest; everything else is loaded, and its checksum verified, when it is first
    asked for. A release may be shared between threads once each method that is used has been called.
    """

    def __init__(self, manifest: Manifest, profiles: Profiles) -> None:
        self.manifest = manifest
        self._profiles = profiles
        self._recommender = Recommender(manifest, profiles)

    @classmethod
    def open(cls, store: AnyPath, *, release: str | None = None, cache: AnyPath | None = None) -> "Release":
        """Open the current release of a store, or a named one.

        Args:
            store: a folder or s3://bucket/prefix (address and keys from AWS_*).
            release: a release id; None opens what the pointer says.
            cache: folder for downloads; default RECSYS_CACHE, else ~/.cache/firstlight. Safe to share and to delete.

        Returns:
            The release.

        Raises:
            ReleaseError: nothing is published, or the release is unknown, damaged or of a newer format.
            StorageError: the store cannot be reached.
        """
        where = ReleaseStore(open_storage(os.fspath(store)))
        manifest = where.manifest(release or where.current().current.release)
        folder = Path(cache or os.environ.get("RECSYS_CACHE") or "~/.cache/firstlight").expanduser()
        return cls(manifest, Profiles(manifest, ObjectFiles(where.storage, folder / "releases")))

    @property
    def id(self) -> str:
        """The release's id."""
        return self.manifest.id

    @cached_property
    def items(self) -> tuple[str, ...]:
        """Ids of all live items."""
        return tuple(self._profiles.latest.item_ids)

    @property
    def _n_items(self) -> int:
        """Number of live items; `items` would make a Python text of each."""
        return len(self._profiles.latest.item_ids)

    @cached_property
    def users(self) -> tuple[str, ...]:
        """Pseudonyms of all users who like something, sorted."""
        return tuple(self._profiles.histories.users)

    @property
    def ridge_lambda(self) -> float:
        """λ of the users behind `recommend`; with item weights it grows with the items that have interactions."""
        return self._recommender.ridge_lambda

    def recommend(
        self,
        user: str | int | None = None,
        *,
        pseudonym: str | None = None,
        history: Iterable[str | int] | None = None,
        k: SupportsIndex = 10,
        exclude_seen: bool = True,
    ) -> list[Scored]:
        """The best items for a known user, or for whoever has this history; ordered by the release's ranker.

        Args:
            user: a raw user id, as it lands; needs RECSYS_PSEUDONYM_KEY, the key of intake.
            pseudonym: one of `users`, instead of a raw id; needs no key.
            history: item ids, instead of a user; an id counts once, ids that are not in the release are left out.
            k: length of the list; all items where there are fewer.
            exclude_seen: leave out the items of the history, and those that the user dislikes.

        Returns:
            At most k items, best first.

        Raises:
            ReleaseError: the user is unknown, or no item of the history has a profile.
            ConfigError: a raw id is given and RECSYS_PSEUDONYM_KEY is not set, too short or another key.
            TypeError: history is one id instead of a list of ids, or something is not an id.
            ValueError: not exactly one of user, pseudonym and history is given, or k is less than 1.
        """
        require_one(user, pseudonym, history)
        k = list_length(k, self._n_items)
        taste = self._taste_of(user, pseudonym, history)
        found = self._recommender.recommend(taste, ListRequest(k=k, exclude_seen=exclude_seen))
        if found.basis != "profile":
            named = ", ".join(map(repr, found.unknown[:5])) or "(empty)"
            raise ReleaseError(
                f"no item of the history has a profile in release {self.id}: {named}",
                remedy="give ids of the catalogue (`Release.items`), or search by text with `search`",
            )
        return list(found.items)

    def predict(
        self,
        items: Iterable[str | int],
        user: str | int | None = None,
        *,
        pseudonym: str | None = None,
        history: Iterable[str | int] | None = None,
    ) -> list[Prediction]:
        """P(click), P(purchase | click) and value of given items, for a user given as in `recommend`.

        Args:
            items: ids; those that are not in the release are left out.
            user: a raw user id.
            pseudonym: one of `users`.
            history: item ids.

        Returns:
            One prediction per item, in their order.

        Raises:
            ReleaseError: the user is unknown.
            RequestError: the release has no event heads, or nothing of the history is in it.
            ValueError: not exactly one of user, pseudonym and history is given.
        """
        require_one(user, pseudonym, history)
        return list(self._recommender.predict(self._taste_of(user, pseudonym, history), items).items)

    def similar(self, item: str | int, k: SupportsIndex = 10) -> list[Scored]:
        """The items nearest to an item, without itself.

        Args:
            item: its id.
            k: length of the list; all items where there are fewer.

        Returns:
            At most k items, nearest first.

        Raises:
            ReleaseError: the item is unknown.
            TypeError: it is not an id.
            ValueError: k is less than 1.
        """
        k = list_length(k, self._n_items)
        return list(self._recommender.similar(item, ListRequest(k=k)).items)

    def explain(
        self,
        item: str | int,
        user: str | int | None = None,
        *,
        pseudonym: str | None = None,
        history: Iterable[str | int] | None = None,
    ) -> Explanation:
        """Why an item has its score for a user: what each item of the history adds, and how it is related to the item.

        Args:
            item: its id.
            user: see `recommend`, as pseudonym and history.
            pseudonym: one of `users`.
            history: item ids.

        Returns:
            Contributions that sum to the score, the largest first. Each names relations that both items share, such as
            one director, where the release holds relations.

        Raises:
            ReleaseError: the item or the user is unknown.
            RequestError: no item of the history has a profile.
            ConfigError: a raw id is given and RECSYS_PSEUDONYM_KEY is not set, too short or another key.
            TypeError: history is one id instead of a list of ids, or something is not an id.
            ValueError: not exactly one of user, pseudonym and history is given.
        """
        require_one(user, pseudonym, history)
        return self._recommender.explain(item, self._taste_of(user, pseudonym, history))

    def search(self, text: str, k: SupportsIndex = 10) -> list[Scored]:
        """The items that fit a text best, by its words and by its meaning; loads the encoder on first use.

        Args:
            text: words.
            k: length of the list; all items where there are fewer.

        Returns:
            At most k items, best first.

        Raises:
            ReleaseError: the text is empty.
            EncoderError: the release's texts were made by a newer preprocessing than this software knows.
            ValueError: k is less than 1.
        """
        k = list_length(k, self._n_items)
        return list(self._recommender.search(text, ListRequest(k=k)).items)

    def profile(self, item: str | int) -> NDArray[np.float32]:
        """An item's profile, float32 [d], of length 1.

        Args:
            item: its id.

        Returns:
            A copy.

        Raises:
            ReleaseError: the item is unknown.
        """
        vector: NDArray[np.float32] = self._profiles.searcher.vectors_of(np.array([self._row(item)]))[0]
        return vector

    def titles(self, items: Iterable[str | int]) -> dict[str, str]:
        """Titles of some items.

        Args:
            items: ids.

        Returns:
            Titles by id, of those that have one; empty for a release from before it held titles.

        Raises:
            UnknownItem: the release does not hold one of them.
        """
        return self._recommender.items.titles_of([id_text(item, "item_id") for item in items])

    def export(self, path: AnyPath) -> int:
        """Write all profiles as parquet: item_id (string), vector (list of float32), release (string).

        Args:
            path: the file; replaced whole.

        Returns:
            Number of rows.
        """
        profiles = self._profiles
        n = self._n_items
        vectors = profiles.searcher.vectors_of(np.arange(n)) if n else np.empty((0, 0))
        flat = pa.array(vectors.ravel().astype(np.float32, copy=False))
        dim = self.manifest.model.dim
        offsets = pa.array(np.arange(n + 1, dtype=np.int64) * dim)
        columns = {
            "item_id": profiles.latest.item_ids.column,
            "vector": pa.LargeListArray.from_arrays(offsets, flat).cast(pa.list_(pa.float32())),
            "release": pa.repeat(self.id, n),
        }
        write_parquet(Path(path), pa.table(columns))
        return n

    def place_of(self, item: str | int) -> tuple[str, dict[str, Any]]:
        """An item's segment, and its row there: item_id, text_hash, updated_at, deleted, tags, part, line.

        Args:
            item: its id.

        Returns:
            The segment's name, and the row.

        Raises:
            ReleaseError: the item is unknown.
        """
        row = self._row(item)
        position = int(self._profiles.latest.segment_of_item[row])
        place = int(self._profiles.latest.row_of_item[row])
        found: dict[str, Any] = self._profiles.segments[position].rows().slice(place, 1).to_pylist()[0]
        return self.manifest.segments[position].name, found

    def verify(self) -> int:
        """Check every file of the release against its checksum.

        Returns:
            Number of files.

        Raises:
            ReleaseError: one is missing or corrupt; names it.
        """
        files = self.manifest.files()
        for file in files:
            self._profiles.files.path(file, anew=True)
        return len(files)

    def _pseudonym(self, user: str) -> str:
        """The pseudonym of a raw user id, which may itself look like the pseudonym of somebody else."""
        key = os.environ.get(VARIABLE)
        if not key:
            raise ConfigError(
                f"{VARIABLE} is not set, so a raw user id cannot be looked up",
                remedy=f"export {VARIABLE}=… as at ingest; one of `Release.users` is given as pseudonym=…",
            )
        pseudonyms = Pseudonyms(key)
        pseudonyms.require_check(self.manifest.pseudonym_key_check, f"release {self.id}")
        return pseudonyms.of(user)

    def _taste_of(
        self, user: str | int | None, pseudonym: str | None, history: Iterable[str | int] | None
    ) -> Taste:
        if user is not None:
            pseudonym = self._pseudonym(id_text(user, "user_id"))
        if pseudonym is None:
            return Taste(likes=() if history is None else history)
        return self._taste(pseudonym)

    def _taste(self, pseudonym: str) -> Taste:
        """What a user likes and what they dislike."""
        found = self._recommender.taste_of(pseudonym)
        if not found.likes:
            raise ReleaseError(
                f"the user with pseudonym {pseudonym!r} has no history in release {self.id}",
                remedy="a raw id is given as user=…, one of `Release.users` as pseudonym=…; for a new user give "
                "history=[item ids]",
            )
        return found

    def _row(self, item: str | int) -> int:
        return self._recommender.items.row(item)
