"""The store of releases: objects by checksum, one manifest per release, and the pointer CURRENT."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from recsys.errors import ReleaseError, StorageError, SwapLost
from recsys.publishing.current import Current, Hold
from recsys.publishing.entries import File
from recsys.publishing.release import RELEASE_ID, Manifest
from recsys.publishing.signing import require_signed, sign, signing_key, verify_keys
from recsys.storage.protocol import Storage, Stored

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CURRENT = "CURRENT"
MANIFEST_KEY = re.compile(r"releases/(?P<id>[^/]+)/manifest\.json")


@dataclass(frozen=True)
class Pointer:
    """The content of CURRENT, with the tag that a swap expects."""

    current: Current
    tag: str


@dataclass(frozen=True)
class ReleaseStore:
    """Releases in a folder or a bucket."""

    storage: Storage

    def pointer(self) -> Pointer | None:
        """The pointer, or None where nothing has been published yet.

        Returns:
            The pointer with its tag, or None.

        Raises:
            ReleaseError: it is damaged or of a newer format.
        """
        found = self.storage.read_tagged(CURRENT)
        return Pointer(Current.from_bytes(found[0], self.storage.url), found[1]) if found else None

    def current(self) -> Pointer:
        """The pointer.

        Returns:
            The pointer with its tag.

        Raises:
            ReleaseError: nothing has been published yet, or it is damaged or of a newer format.
        """
        found = self.pointer()
        if found is None:
            raise ReleaseError(f"{self.storage.url} holds no release", remedy="recsys publish")
        return found

    def manifest(self, release: str) -> Manifest:
        """Read and check a release's manifest.

        Args:
            release: its id.

        Returns:
            The manifest.

        Raises:
            ReleaseError: the release is unknown, damaged, of a newer format, or not signed by a key that is trusted.
        """
        content = self._content(release)
        if trusted := verify_keys():
            signature = self.storage.read_tagged(signature_key(release))
            require_signed(content, signature[0] if signature else None, release, trusted)
        return Manifest.from_bytes(content, release)

    def sign(self, release: str, key: "Ed25519PrivateKey") -> None:
        """Sign a stored release.

        Args:
            release: its id.
            key: the private key.

        Raises:
            ReleaseError: the release is unknown, damaged or of a newer format.
        """
        content = self._content(release)
        Manifest.from_bytes(content, release)
        self.storage.write(signature_key(release), sign(content, key).to_bytes())

    def _content(self, release: str) -> bytes:
        found = self.storage.read_tagged(manifest_key(release)) if RELEASE_ID.fullmatch(release) else None
        if found is None:
            listed = "`recsys releases` lists them"
            raise ReleaseError(f"release {release!r} is not in {self.storage.url}", remedy=listed)
        return found[0]

    def release_ids(self) -> dict[str, datetime]:
        """Every stored release with the time at which its manifest was written, in order of the ids."""
        found = ((MANIFEST_KEY.fullmatch(o.key), o.modified) for o in self.storage.list("releases/"))
        return {match["id"]: at for match, at in found if match and RELEASE_ID.fullmatch(match["id"])}

    def objects(self) -> dict[str, Stored]:
        """Every stored object by checksum."""
        return {o.key.removeprefix("objects/"): o for o in self.storage.list("objects/")}

    def upload(self, manifest: Manifest, sources: Mapping[str, Path], trusted: Iterable[File]) -> int:
        """Upload the objects that the store lacks, and read them back.

        Args:
            manifest: names the objects.
            sources: checksum -> local file.
            trusted: files that were read back before. They are sent again if they are missing.

        Returns:
            Bytes written.

        Raises:
            ReleaseError: an object is missing on both sides, or what arrived differs from what was sent.
        """
        known = {file.sha256 for file in trusted}
        stored = self.objects()
        written = 0
        for file in manifest.files():
            there = stored.get(file.sha256)
            is_there = there is not None and there.size == file.size
            if is_there and file.sha256 in known:
                continue
            if not is_there:
                self._send(file, sources, there)
                written += file.size
            if not self.is_sound(file):  # another process's incomplete upload, or a failing disk
                self._send(file, sources, None)
                self.require_sound(file)
        return written

    def heal(self, manifest: Manifest, sources: Mapping[str, Path]) -> int:
        """Upload objects that a stored release lacks, as far as this workspace has them.

        Args:
            manifest: of a stored release.
            sources: checksum -> local file.

        Returns:
            Bytes written.

        Raises:
            ReleaseError: what arrived differs from what was sent.
        """
        stored = self.objects()
        sizes = {sha: there.size for sha, there in stored.items()}
        lost = [f for f in manifest.files() if sizes.get(f.sha256) != f.size and f.sha256 in sources]
        for file in lost:
            self._send(file, sources, None)
            self.require_sound(file)
        return sum(file.size for file in lost)

    def is_sound(self, file: File) -> bool:
        """Whether an object exists and has the right checksum when it is read back."""
        try:
            return self.storage.sha256(object_key(file)) == file.sha256
        except StorageError:
            if self.storage.find(object_key(file)) is None:
                return False
            raise

    def require_sound(self, file: File) -> None:
        """Read an object back.

        Args:
            file: an entry of a manifest.

        Raises:
            ReleaseError: its bytes do not have the checksum; names it.
        """
        if not self.is_sound(file):
            raise ReleaseError(
                f"object {file.sha256} ({file.name}) in {self.storage.url} is corrupt or gone",
                remedy="check the store's disk, then publish again from a workspace that has the file",
            )

    def require_objects(self, manifest: Manifest) -> None:
        """Require that every object of a release exists and has the right size.

        Args:
            manifest: names the objects.

        Raises:
            ReleaseError: one is missing or has another size; names it.
        """
        stored = self.objects()
        for file in manifest.files():
            there = stored.get(file.sha256)
            if there is None or there.size != file.size:
                state = "is missing" if there is None else f"has {there.size} bytes instead of {file.size}"
                raise ReleaseError(
                    f"object {file.sha256} ({file.name}) {state} in {self.storage.url}",
                    remedy="choose another release, or publish again from a workspace that has the file",
                )

    def write_manifest(self, manifest: Manifest) -> None:
        """Store a manifest, with a signature where there is a key. Safe to repeat.

        The signature is written first, so that no reader finds the release without it.
        """
        content, key = manifest.to_bytes(), signing_key()
        if key is not None:
            self.storage.write(signature_key(manifest.id), sign(content, key).to_bytes())
        self.storage.write(manifest_key(manifest.id), content)

    def swap(
        self, before: Pointer | None, release: str, hold: Hold | None, by: str, below: int = 0
    ) -> Current:
        """Move the pointer if it is still `before`.

        Args:
            before: the pointer as it was read; None where there was none.
            release: what readers get from now on.
            hold: None: the next release becomes current.
            by: who moves it.
            below: `collect` may delete releases with a lower sequence. It never decreases.

        Returns:
            The new pointer.

        Raises:
            SwapLost: another process moved it.
            StorageError: the store cannot be reached.
        """
        moved = before is None or before.current.release != release
        now = datetime.now(UTC).isoformat(timespec="seconds")
        after = Current(
            release=release,
            generation=before.current.generation + 1 if before else 1,
            nonce=uuid4().hex,
            hold=hold,
            collected_below=max(below, before.current.collected_below if before else 0),
            published_at=now if moved or before is None else before.current.published_at,
            by=by,
        )
        try:
            self.storage.swap(CURRENT, after.to_bytes(), before.tag if before else None)
        except StorageError:
            # The reply may have been lost after the write; then the pointer has our nonce.
            found = self.pointer()
            if found is None or found.current.nonce != after.nonce:
                raise
        return after

    def change(self, make: Callable[[Pointer], tuple[str, Hold | None, str, int] | None]) -> Current:
        """Read, decide, swap; repeat while other processes are faster.

        Args:
            make: from the pointer to release, hold, by and below for `swap`; None where there is nothing to do.

        Returns:
            The new pointer.

        Raises:
            ReleaseError: nothing has been published yet.
            StorageError: the store cannot be reached.
        """
        while True:
            before = self.current()
            wanted = make(before)
            if wanted is None:
                return before.current
            try:
                return self.swap(before, *wanted)
            except SwapLost:
                continue

    def _send(self, file: File, sources: Mapping[str, Path], there: Stored | None) -> None:
        if source := sources.get(file.sha256):
            self.storage.write(object_key(file), source)
        elif there is None:
            raise ReleaseError(
                f"object {file.sha256} ({file.name}) is neither here nor in {self.storage.url}",
                remedy="run the stages again (`dvc repro index users`), then publish",
            )


def object_key(file: File) -> str:
    """Key of an object in the store."""
    return f"objects/{file.sha256}"


def manifest_key(release: str) -> str:
    """Key of a manifest in the store."""
    return f"releases/{release}/manifest.json"


def signature_key(release: str) -> str:
    """Key of a manifest's signature in the store."""
    return f"releases/{release}/manifest.sig"
