"""What a release holds, read from its files at the first use: profiles, users, search."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.features.facts import check_facts
from recsys.profiles.details import ItemDetails, open_details, require_items
from recsys.profiles.facts import ItemFacts
from recsys.profiles.histories import HISTORY_SCHEMA, PAIRS, Histories, joined
from recsys.profiles.history_files import load_histories, read_history
from recsys.profiles.item_ids import NamedRows
from recsys.profiles.items import Latest, Segment, latest
from recsys.profiles.ridge import Ridge
from recsys.profiles.shares import ItemShares
from recsys.publishing.entries import File, ReleasedSegment
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.publishing.row_checks import require_columns, require_rows
from recsys.retrieval.lexical import LexicalIndex
from recsys.retrieval.segment_terms import SegmentTerms, open_terms
from recsys.retrieval.segments import PAD, IndexedSegment, SegmentSearcher
from recsys.storage.arrays import read_array
from recsys.storage.strings import UNKNOWN
from recsys.storage.tables import map_foreign_arrow

READ_ALONE = 100
"""Users whose histories are read alone. Of ten million interactions in ten files this takes as long as reading all."""
UNREADABLE = "open another release, or publish again after dvc repro index users"


@dataclass(frozen=True)
class Profiles:
    """Item profiles, users and search of one release. Each is loaded at its first use."""

    manifest: Manifest
    files: ObjectFiles

    def searched_as(self, manifest: Manifest) -> "Profiles":
        """The same profiles under another manifest of the same segments. Which items are live is not read again.

        Args:
            manifest: it may differ in how it is searched.

        Returns:
            The profiles.
        """
        found = Profiles(manifest, self.files)
        found.__dict__.update(segments=self.segments, latest=self.latest)
        return found

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Segments in order of their parts. Only their rows are read, not their vectors."""
        found = []
        for released in self.manifest.segments:
            path = self.files.path(released.rows)
            with self._reading(released.rows):
                require_rows(path, released)
            found.append(Segment(released.name, released.parts, path, Path()))
        return tuple(found)

    @cached_property
    def latest(self) -> Latest:
        """The live row of each item, and its segment. ReleaseError where a row has no vector."""
        found = latest(self.segments)
        n_items = np.array([released.n_items for released in self.manifest.segments], np.int64)
        beyond = found.row_of_item >= n_items[found.segment_of_item]
        if beyond.any():
            released = self.manifest.segments[int(found.segment_of_item[int(beyond.argmax())])]
            raise ReleaseError(
                f"segment {released.name} has a live row beyond its {released.n_items} vectors",
                remedy=UNREADABLE,
            )
        return found

    @cached_property
    def searcher(self) -> SegmentSearcher:
        """Search over the live items."""
        indexed = [self._indexed(n) for n in range(len(self.segments))]
        return SegmentSearcher(indexed, self.latest, self.manifest.search_width or 0)

    @cached_property
    def histories(self) -> Histories:
        """Histories of all users."""
        return load_histories(self.history_paths)

    def opinions_of(self, user: str) -> pa.Table:
        """Opinions of one user, see `Histories.opinions_of`.

        The first users are read alone. After `READ_ALONE` of them the histories of all are read: by then reading users
        alone has cost as much, so whatever follows, at most twice as much is read as was needed.

        Args:
            user: a pseudonym.

        Returns:
            The opinions; empty for an unknown user.
        """
        if "histories" in self.__dict__ or next(self._readings) > READ_ALONE:
            return self.histories.opinions_of(user)
        return joined(read_history(path, user) for path in self.history_paths).opinions_of(user)

    def opinion_rows_of(self, user: str) -> tuple[NamedRows, NamedRows] | None:
        """Items that one user likes, oldest first, and items that they dislike.

        Args:
            user: a pseudonym.

        Returns:
            None where the histories of all users have not been read, or an item of the user's is no longer live.
        """
        if "histories" not in self.__dict__:
            return None
        likes, dislikes = (self._row_of_name[places] for places in self.histories.places_of(user))
        if (likes == UNKNOWN).any() or (dislikes == UNKNOWN).any():
            return None
        ids = self.latest.item_ids
        return NamedRows(ids, likes.tolist()), NamedRows(ids, dislikes.tolist())

    @cached_property
    def _row_of_name(self) -> NDArray[np.int32]:
        """The row of each of `Histories.names`; UNKNOWN for an item that is not live."""
        found: NDArray[np.int32] = self.latest.item_ids.rows_by_scan(self.histories.names).astype(np.int32)
        return found

    @cached_property
    def _readings(self) -> Iterator[int]:
        """Counts the users whose histories were read alone."""
        return count(1)

    @cached_property
    def history_paths(self) -> tuple[Path, ...]:
        """Files of histories, in order of their parts."""
        files = [history.file for history in self.manifest.histories]
        paths = [self.files.path(file) for file in files]
        for file, path in zip(files, paths, strict=True):
            with self._reading(file):
                require_columns(path, HISTORY_SCHEMA, PAIRS)  # files of version 1 have no other columns
        return tuple(paths)

    @cached_property
    def details(self) -> ItemDetails | None:
        """What a page shows of the live items; None in a release from before there were details."""
        tables = [self._details_of(position) for position in range(len(self.segments))]
        return None if all(table is None for table in tables) else ItemDetails(tables, self.latest)

    @cached_property
    def facts(self) -> ItemFacts | None:
        """Relations of the live items, for explanations and rankers; None in a release without any."""
        tables = [self._facts_of(released) for released in self.manifest.segments]
        return None if all(table is None for table in tables) else ItemFacts(tables, self.latest)

    @cached_property
    def shares(self) -> ItemShares:
        """How much text, words and views count in the profiles of the live items, for explanations."""
        return ItemShares(self.segments, self.latest)

    @cached_property
    def lexical(self) -> LexicalIndex | None:
        """Search by words over the live items; None in a release from before there was one."""
        if self.manifest.search is None:
            return None
        terms = [self._terms_of(released) for released in self.manifest.segments]
        return LexicalIndex(terms, self.latest, k1=self.manifest.search.k1, b=self.manifest.search.b)

    def items_of_parts(self, parts: Collection[str]) -> NDArray[np.bool_]:
        """Mask of the live items whose newest row is from one of these landed parts, [I]."""
        found = np.zeros(len(self.latest.item_ids), np.bool_)
        for position, segment in enumerate(self.segments):
            mine = self.latest.segment_of_item == position
            inside = [part in parts for part in segment.parts]
            if all(inside):
                found[mine] = True
            elif any(inside):
                part_R = segment.rows(["part"])["part"].to_pylist()
                wanted_R = np.fromiter((part in parts for part in part_R), bool, len(part_R))
                found[mine] = wanted_R[self.latest.row_of_item[mine]]
        return found

    def among(self, items: Collection[str], allowed_I: NDArray[np.bool_]) -> set[str]:
        """Ids of the given items that are live and allowed. Meant for few items."""
        names = list(items)
        rows = self.latest.item_ids.rows_by_scan(names)
        return {
            name for name, row in zip(names, rows.tolist(), strict=True) if row != UNKNOWN and allowed_I[row]
        }

    def nearest(
        self, queries_QD: NDArray[np.floating], k: int, allowed_I: NDArray[np.bool_] | None = None
    ) -> list[tuple[str, ...]]:
        """Find the items nearest to each query.

        Args:
            queries_QD: one vector per query.
            k: length of the lists.
            allowed_I: mask of the items that may be found; None: all.

        Returns:
            Ids of each query's list, best first; fewer than k where there are no more.
        """
        found = self.searcher.search(queries_QD, k, allowed_I=allowed_I)
        ids = self.latest.item_ids
        return [tuple(ids.at(row for row in rows if row != PAD)) for rows in found.rows_QK.tolist()]

    def gram(self) -> NDArray[np.float64]:
        """XᵀX of the users' ridge regression, [d, d]. ReleaseError where the file is damaged."""
        file, dim = self.manifest.users.gram, self.manifest.model.dim
        path = self.files.path(file)
        with self._reading(file):
            gram = read_array(path, (dim, dim), "float64")
            if not np.isfinite(gram.astype(np.float64)).all():
                raise ValueError("holds a number that is not finite")
        return gram.astype(np.float64, copy=False)

    def prior(self) -> NDArray[np.float32] | None:
        """Rows of the users' prior, [r, d]; None where there is none. ReleaseError where the file is damaged."""
        released, dim = self.manifest.users.prior, self.manifest.model.dim
        if released is None:
            return None
        path = self.files.path(released.file)
        with self._reading(released.file):
            rows_RD = read_array(path, (released.n_rows, dim), "float32").astype(np.float32, copy=False)
            if not np.isfinite(rows_RD).all():
                raise ValueError("holds a number that is not finite")
        return rows_RD

    def ridge(self, growth: float) -> Ridge:
        """The users' ridge regression.

        Args:
            growth: factor on λ, see `Ranker.growth`.

        Returns:
            What makes profiles of sums of item profiles.
        """
        users, first = self.manifest.users, self.manifest.model.lexical_width
        return Ridge(self.gram(), users.ridge_lambda * growth, first, self.prior())

    def _indexed(self, position: int) -> IndexedSegment:
        released = self.manifest.segments[position]
        path = self.files.path(released.vectors)
        with self._reading(released.vectors):
            shape = (released.n_items, self.manifest.model.dim)
            vectors = read_array(path, shape, "float32", in_place=True)
        index = self.files.path(released.index.file) if released.index.file else None
        return IndexedSegment(vectors.astype(np.float32, copy=False), index, path if index else None)

    def _details_of(self, position: int) -> pa.Table | None:
        released = self.manifest.segments[position]
        if released.details is None:
            return None
        path = self.files.path(released.details)
        with self._reading(released.details):
            table = open_details(path, released.n_items)
            require_items(table, position, self.latest)
            return table

    def _facts_of(self, released: ReleasedSegment) -> pa.Table | None:
        if released.facts is None:
            return None
        path = self.files.path(released.facts)
        with self._reading(released.facts):
            return map_foreign_arrow(path, check_facts(released.n_items))

    def _terms_of(self, released: ReleasedSegment) -> SegmentTerms | None:
        if released.terms is None:
            return None
        path = self.files.path(released.terms)
        with self._reading(released.terms):
            return open_terms(path, released.n_items)

    @contextmanager
    def _reading(self, file: File) -> Iterator[None]:
        """Turn an error of a file that passes its checksum, but is not valid, into one that names the file."""
        try:
            yield
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise ReleaseError(
                f"{file.name} of release {self.manifest.id} (object {file.sha256}) {error}", remedy=UNREADABLE
            ) from error
