"""All accepted parts, read once per ingestion, because one run may take in a hundred thousand small files."""

from collections import defaultdict
from pathlib import Path

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.landing import Landed
from recsys.catalogue.parts import Part, all_parts, sequence_of


class Accepted:
    """Parts on disk and the records of their files; `add` keeps it up to date."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.read_again()

    def read_again(self) -> None:
        """Read the disk again, after parts were merged."""
        self._parts: list[Part] = []
        self._merged: set[tuple[str, str]] = set()
        self._by_content: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        for part in all_parts(self._data):
            self.add(part)

    def add(self, part: Part) -> None:
        """Add a part that was just accepted."""
        self._parts.append(part)
        self._merged |= {(part.kind, name) for name in part.arrival.merges}
        for record in part.arrival.landed():
            self._by_content[part.kind, record.sha256].append(record)

    @property
    def next_sequence(self) -> int:
        """The number of the next file to be accepted."""
        return 1 + max((sequence_of(part.id) for part in self._parts), default=0)

    def parts(self, kind: str) -> list[Part]:
        """Parts of a kind in order of acceptance, without those that another part has merged."""
        return [p for p in self._parts if p.kind == kind and (kind, p.id) not in self._merged]

    def arrivals(self, kind: str) -> list[Arrival]:
        """Records of every landed file of a kind, oldest first."""
        return [record for part in self.parts(kind) for record in part.arrival.landed()]

    def of_content(self, kind: str, sha256: str) -> list[Arrival]:
        """Records of landed files with exactly these bytes, oldest first; merged parts hold those of their files."""
        return self._by_content[kind, sha256]

    def same_arrival(self, landed: Landed, sha256: str) -> list[str]:
        """Parts made from exactly this file (same name, time and bytes) by a run that was killed after accepting it."""
        found = [
            record.part
            for record in self.of_content(landed.kind, sha256)
            if (record.source, record.arrived_at) == (landed.name, landed.modified)
        ]
        return list(dict.fromkeys(found))
