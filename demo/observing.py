"""What the demo sees of the workspace and the store from outside: counts that it checks its claims against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.artifacts import Artifacts
from recsys.catalogue.parts import Part, all_parts
from recsys.publishing.current import Current
from recsys.publishing.store import ReleaseStore


@dataclass(frozen=True)
class Sight:
    """The state between two steps."""

    parts: tuple[Part, ...]
    """In order of acceptance, both kinds."""
    n_encoded: int
    """Distinct texts that have a vector in the cache."""
    current: Current | None
    """The pointer."""

    @property
    def head(self) -> str:
        """The newest release, swapped in or held; empty before the first."""
        return self.current.head if self.current else ""


def look(at: Artifacts, store: ReleaseStore) -> Sight:
    """Read parts, vector cache and pointer."""
    pointer = store.pointer()
    return Sight(all_parts(at.data), encoded_texts(at.vectors), pointer.current if pointer else None)


def encoded_texts(vectors: Path) -> int:
    """Distinct texts in the vector cache: the keys of every chunk that was ever written."""
    keys = [np.load(path) for path in sorted(vectors.glob("*/*.keys.npy"))]
    return len(np.unique(np.concatenate(keys), axis=0)) if keys else 0
