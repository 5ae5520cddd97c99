"""The manifest of a release. It names every file with size and SHA-256."""

import hashlib
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from recsys.errors import ReleaseError
from recsys.models.legacy import as_legacy, parts_of_legacy
from recsys.models.reference import ModelReference
from recsys.publishing.entries import (
    Count,
    File,
    Frozen,
    Preprocessing,
    ReleasedHistory,
    ReleasedSearch,
    ReleasedSegment,
    ReleasedUsers,
    SmokeQuery,
)
from recsys.publishing.formats import FORMAT, NEWEST, PARTED, refuse_newer
from recsys.publishing.provenance import Provenance
from recsys.publishing.withheld import Withheld
from recsys.retrieval.params import WIDEST_SEARCH
from recsys.storage.names import PlainName

RELEASE_ID = re.compile(r"[0-9]{6,12}-[0-9a-f]{10}")
ReleaseId = Annotated[str, StringConstraints(pattern=rf"\A{RELEASE_ID.pattern}\z")]


class Manifest(Frozen):
    """One release. It holds no time and no address: the same content with the same parent is the same release."""

    format: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17] = FORMAT
    sequence: Count
    parent: ReleaseId | None
    preprocessing: Preprocessing
    code_commit: str
    model: ModelReference
    segments: tuple[ReleasedSegment, ...]
    histories: tuple[ReleasedHistory, ...]
    users: ReleasedUsers
    metrics: dict[str, Any] | None
    decision: dict[str, Any] | None
    smoke: tuple[SmokeQuery, ...]
    index_recall: float
    """The lowest recall of a segment's index against exact search."""
    provenance: Provenance
    search: ReleasedSearch | None = None
    """How items are found by words; None, and not written, in releases whose segments have no terms."""
    search_width: int | None = Field(default=None, ge=16, le=WIDEST_SEARCH)
    """Rows of a graph that a search for a user keeps in view, and the least that a search for an item does. None, and
    not written, where users need as many as the index files say."""
    pseudonym_key_check: str | None = Field(default=None, pattern=r"\A[0-9a-f]{32}\z")
    """Check value of the key that made the pseudonyms. None, and not written, where there is no interaction, or where
    all were accepted by a version that wrote no check value."""

    view_parts: tuple[PlainName, ...] = ()
    """Landed parts of relations and vectors that profiles and facts are made of. Not written where there is none."""
    withheld: tuple[Withheld, ...] = ()
    """Items that are in no list; empty, and not written, where there are none."""

    @model_validator(mode="before")
    @classmethod
    def _with_parts(cls, plain: Any) -> Any:  # noqa: ANN401  any JSON value
        """Read formats 1 to 5, which hold the model as one reference and the ranker's name."""
        if not isinstance(plain, dict) or "encoder" not in plain:
            return plain
        others = {key: value for key, value in plain.items() if key not in ("encoder", "ranker")}
        return {**others, "model": parts_of_legacy(plain["encoder"], plain.get("ranker"))}

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no blanks, UTF-8."""
        plain = self.model_dump(mode="json")
        if self.format < PARTED:
            del plain["model"]
            plain |= {"encoder": as_legacy(self.model), "ranker": {"name": self.model.ranker.name}}
        # Left out where they are None, which keeps the ids of older releases.
        for holder, names in (
            (plain, ("search", "search_width", "pseudonym_key_check")),
            *((segment, ("details", "terms", "facts")) for segment in plain["segments"]),
            *([(plain["search"], ("typical_weight", "temperature"))] if plain["search"] else []),
            (plain["users"], ("privacy", "prior")),
        ):
            for name in names:
                if holder[name] is None:
                    del holder[name]
        if not self.view_parts:
            del plain["view_parts"]
        if not self.withheld:
            del plain["withheld"]
        return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def id(self) -> str:
        """<sequence>-<first 10 hex of the manifest's SHA-256>."""
        return f"{self.sequence:06d}-{hashlib.sha256(self.to_bytes()).hexdigest()[:10]}"

    @classmethod
    def from_bytes(cls, content: bytes, release: str) -> Self:
        """Read the manifest of `release`.

        Args:
            content: the file's bytes.
            release: the id under which it is stored.

        Returns:
            The manifest.

        Raises:
            ReleaseError: it is damaged, of a newer format, or that of another release.
        """
        remedy = f"restore releases/{release}/manifest.json from a backup, or roll back to another release"
        if not release.endswith(hashlib.sha256(content).hexdigest()[:10]):
            raise ReleaseError(f"the manifest of release {release} fails its checksum", remedy=remedy)
        try:
            plain = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ReleaseError(f"the manifest of release {release} is not JSON", remedy=remedy) from error
        refuse_newer(plain, f"release {release}", NEWEST)
        try:
            found = cls.model_validate(plain)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"]))
            if "model" not in plain:  # formats 1 to 5
                place = place.removeprefix("model.")
            raise ReleaseError(
                f"the manifest of release {release}: {place}: {fault['msg']}", remedy=remedy
            ) from error
        if found.id != release:
            raise ReleaseError(f"the manifest of release {release} is that of {found.id}", remedy=remedy)
        return found

    def files(self) -> tuple[File, ...]:
        """Every object of the release, each once, sorted by checksum."""
        reports = [report.file for report in self.provenance.data_reports]
        found = sorted((*self.answering_files(), *reports), key=lambda file: file.sha256)
        return tuple({file.sha256: file for file in found}.values())

    def answering_files(self) -> tuple[File, ...]:
        """Every object that answers are made of: all but reports. One may come twice."""
        found = [file for segment in self.segments for file in segment.files]
        found += [history.file for history in self.histories]
        found += [File(**file.model_dump()) for file in self.model.files]
        return (*found, self.users.gram, *([self.users.prior.file] if self.users.prior else []))

    @property
    def parts(self) -> frozenset[str]:
        """Every landed part in it, of all kinds."""
        catalogue = {part for segment in self.segments for part in segment.parts}
        interactions = {part for history in self.histories for part in history.parts}
        return frozenset(catalogue | interactions | {*self.view_parts})

    def same_content(self, other: "Manifest") -> bool:
        """Whether both are the same to a reader; parent, provenance and smoke lists do not count."""
        return _content(self) == _content(other)


def _content(manifest: Manifest) -> tuple[object, ...]:
    return (
        manifest.model.hash,
        manifest.preprocessing,
        manifest.segments,
        manifest.histories,
        manifest.users,
        manifest.search,
        manifest.withheld,
        manifest.metrics,
        manifest.decision,
    )
