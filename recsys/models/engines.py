"""Where texts are encoded and profiles are made: in this process, or in actors of a Ray cluster.

Both take the same work in the same pieces and give the same bytes: a vector depends on its text alone, and the blocks
in which profiles are computed are the same.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.encoder import Encoder
from recsys.encoders.runtime import Device
from recsys.errors import ClusterError
from recsys.features.views import Views
from recsys.models.opening import open_head, open_vectors
from recsys.models.packed import lay_out, take_in
from recsys.models.reference import ModelReference
from recsys.ray_cluster import map_in_actors

if TYPE_CHECKING:
    from recsys.heads.kernel_head import KernelHead

Piece = TypeVar("Piece")
PROBED = 32
"""Texts that each actor encodes first, to be compared with what the driver makes of them."""


@dataclass(frozen=True)
class Block:
    """Items whose profiles are computed together."""

    texts: tuple[str, ...]
    """N texts."""
    vectors_NL: NDArray[np.float32]
    """Their vectors by the encoder."""
    views: Views
    """Further evidence about the same N items."""


@dataclass(frozen=True)
class Projected:
    """What a head made of a block."""

    profiles_ND: NDArray[np.float32]
    """Rows of length 1."""
    shares_NP: NDArray[np.float32]
    """How much each part of a head with views counts in the profiles, see `heads/view_shares.py`; [N, 0] for others."""


class Engine(Protocol):
    """Computes vectors and profiles, piece by piece."""

    def encode(
        self, chunks: Iterator[Sequence[str]], on_progress: Callable[[int], None]
    ) -> Iterator[NDArray[np.float32]]:
        """Encode.

        Args:
            chunks: texts, none of them empty; taken one by one.
            on_progress: called with the number of texts that were encoded since the last call.

        Returns:
            float32 [N, L] for each chunk of N texts, in order; rows of length 1.
        """

    def project(self, blocks: Iterator[Block]) -> Iterator[Projected]:
        """Make profiles with the model's head.

        Args:
            blocks: taken one by one.

        Returns:
            What was made of each block, in order.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Computes in this process."""

    model: ModelReference
    packed: Path
    """Folder of packed parts of models."""
    batch_tokens: int
    device: Device = "cpu"
    """Where texts are encoded. Heads project on processors."""

    @cached_property
    def encoder(self) -> Encoder:
        """Opened with the first text, so that an arrival that changes nothing loads no model."""
        return open_vectors(self.model, self.packed, self.batch_tokens, device=self.device)

    @cached_property
    def head(self) -> "KernelHead":
        """Opened when the first block needs it."""
        head = open_head(self.model, self.packed)
        if head is None:
            raise ValueError(f"model {self.model.hash[:10]} has no head: its vectors are the profiles")
        return head

    def encode(
        self, chunks: Iterator[Sequence[str]], on_progress: Callable[[int], None]
    ) -> Iterator[NDArray[np.float32]]:
        """See `Engine.encode`."""
        for chunk in chunks:
            yield self.encoder.encode(chunk, on_progress)

    def project(self, blocks: Iterator[Block]) -> Iterator[Projected]:
        """See `Engine.project`."""
        for block in blocks:
            yield _projected(self.head, block)


@dataclass(frozen=True)
class RayEngine:
    """Computes in actors of a Ray cluster; each gets the model's files through Ray and opens them."""

    local: LocalEngine
    """Opens the same model here."""
    actor_cpus: int
    """Processors of one actor."""

    def encode(
        self, chunks: Iterator[Sequence[str]], on_progress: Callable[[int], None]
    ) -> Iterator[NDArray[np.float32]]:
        """See `Engine.encode`."""
        first = next(chunks, None)
        if first is None:
            return
        probe = tuple(first[:PROBED])
        expected = _digest(self.local.encoder.encode(probe))
        materials, pieces = self._materials(probe, expected), map(tuple, _chain(first, chunks))
        for vectors in map_in_actors(_open_encoder, materials, pieces, self.actor_cpus):
            on_progress(len(vectors))
            yield vectors

    def project(self, blocks: Iterator[Block]) -> Iterator[Projected]:
        """See `Engine.project`."""
        first, dim = next(blocks, None), self.local.model.dim
        if first is None:
            return
        for both in map_in_actors(_open_head, self._materials(), _chain(first, blocks), self.actor_cpus):
            yield Projected(both[:, :dim], both[:, dim:])

    def _materials(self, probe: tuple[str, ...] = (), expected: str = "") -> "_Materials":
        local = self.local
        plain = ModelReference.of(local.model.encoder, local.model.head)  # actors order no lists
        with tempfile.TemporaryDirectory(prefix="firstlight-ray-") as folder:
            lay_out(plain, local.packed, Path(folder) / "model")
            files = {
                str(path.relative_to(folder)): path.read_bytes()
                for path in Path(folder).rglob("*")
                if path.is_file()
            }
        return _Materials(files, local.batch_tokens, self.actor_cpus, probe, expected)


@dataclass(frozen=True)
class _Materials:
    """The files that an actor opens a model from; they are sent to each node once."""

    files: dict[str, bytes]
    """Relative path -> content, as `lay_out` laid them."""
    batch_tokens: int
    threads: int
    probe: tuple[str, ...]
    """Texts to compare by."""
    expected: str
    """Digest of their vectors as the driver makes them."""

    def opened(self) -> LocalEngine:
        """Open the model from a temporary folder, which is deleted when the process ends."""
        folder = tempfile.TemporaryDirectory(prefix="firstlight-actor-")
        _KEPT.append(folder)
        for name, content in self.files.items():
            path = Path(folder.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        packed = Path(folder.name) / "packed"
        return LocalEngine(take_in(Path(folder.name) / "model", packed), packed, self.batch_tokens)


_KEPT: list[Any] = []
"""Temporary folders that this process, an actor's, has opened models from."""


def _open_encoder(materials: _Materials) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """In an actor: open the encoder, and compare it with the driver's."""
    engine = materials.opened()
    encoder = open_vectors(engine.model, engine.packed, materials.batch_tokens, materials.threads)
    if _digest(encoder.encode(materials.probe)) != materials.expected:
        raise ClusterError(
            "its vectors differ from the driver's, in their last bits at least: it has another kind of processor",
            remedy="start every node of the cluster on processors of one kind",
        )
    return encoder.encode


def _open_head(materials: _Materials) -> Callable[[Block], NDArray[np.float32]]:
    """In an actor: open the head. Profiles and shares travel side by side in one array."""
    head = materials.opened().head

    def project(block: Block) -> NDArray[np.float32]:
        made = _projected(head, block)
        return np.hstack([made.profiles_ND, made.shares_NP])

    return project


def _projected(head: "KernelHead", block: Block) -> Projected:
    from recsys.heads.view_shares import view_shares

    made = head.profiles(block.texts, block.vectors_NL, block.views)
    if not head.views:
        return Projected(made, np.empty((len(made), 0), np.float32))
    return Projected(made, view_shares(head, block.texts, block.vectors_NL, block.views, made))


def _digest(vectors: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(vectors).tobytes()).hexdigest()


def _chain(first: Piece, others: Iterable[Piece]) -> Iterator[Piece]:
    yield first
    yield from others
