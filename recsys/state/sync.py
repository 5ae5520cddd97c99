"""Bring a workspace's state before a task, and store it after. Both directions are safe to kill and to repeat."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.errors import StateMoved, StorageError, SwapLost
from recsys.models.packed import remember_model
from recsys.models.reference import ModelReference
from recsys.state import code
from recsys.state.checkpoints import checkpoints_now, is_of_training
from recsys.state.content import lay_out, push, survey
from recsys.state.document import State, Versions
from recsys.state.record import Known, Record, carried
from recsys.state.scope import Scope, place_of
from recsys.state.store import StateStore

ATTEMPTS = 10
"""Attempts to store a state while other workers are faster, or to bring one that is replaced meanwhile."""


@dataclass(frozen=True)
class Moved:
    """What was brought or stored."""

    changed: bool
    """False: there was nothing to do."""
    n_bytes: int = 0
    """Of files under their checksums, without what DVC moved."""


@dataclass(frozen=True)
class Sync:
    """One workspace on this machine and its state in the store."""

    store: StateStore
    name: str
    at: Artifacts
    scope: Scope

    def bring(self, source: Artifacts | None = None, further: Callable[[], object] = lambda: None) -> Moved:
        """Bring the newest version. Files of it that this machine already has stay.

        Args:
            source: a workspace whose DVC settings a new one gets.
            further: brings what else belongs to it; called where there was something to bring.

        Returns:
            What was brought; nothing where this machine stored the newest version itself.

        Raises:
            StorageError: the store or DVC's remote is out of reach, or something is missing there.
        """
        for left in reversed(range(ATTEMPTS)):
            found = self.store.read(self.name)
            if found is None:
                return Moved(changed=False)
            try:
                with self._alone() as record:
                    if record.nonce == found[0].nonce:
                        return Moved(changed=False)
                    return self._brought(found[0], record, source, further)
            except StorageError:
                newer = self.store.read(self.name)
                if not left or newer is None or newer[0].nonce == found[0].nonce:
                    raise  # else another worker has replaced it, and what only that version needed
        raise AssertionError("unreachable")

    def keep(self) -> Moved:
        """Store the workspace's present content; checkpoints stay as `keep_training` has stored them.

        Returns:
            What was stored; nothing where nothing has changed.

        Raises:
            StateMoved: another worker has gone on meanwhile, in an exclusive scope; or the state was removed.
            StorageError: the store or DVC's remote is out of reach.
        """
        with self._alone() as record:
            ours, files, known = survey(self.at, self.scope, record)
            ours = ours.model_copy(update={"done": record.state.done})
            push(self.at, ours, record.state)
            return self._swapped(ours, files, known, record)

    def keep_training(self) -> Moved:
        """Store the checkpoints of a training that goes on, beside what was stored before.

        Returns:
            What was stored; nothing where there is no newer checkpoint.

        Raises:
            StateMoved: the state was removed.
            StorageError: the store is out of reach.
        """
        with self._alone() as record, checkpoints_now(self.at) as found:
            known = dict(record.known)
            now = {name: carried(name, path, known) for name, path in found.items()}
            others = {name: file for name, file in record.state.files.items() if not is_of_training(name)}
            ours = record.state.model_copy(update={"files": others | now})
            if not now or ours.files == record.state.files:
                return Moved(changed=False)
            return self._swapped(ours, found, known, record)

    def begin(self) -> bool:
        """Store the workspace's content as the first version of its state.

        Returns:
            Whether it is the first one; False where another worker was faster.

        Raises:
            StorageError: the store or DVC's remote is out of reach.
        """
        with self._alone():
            ours, files, known = survey(self.at, self.scope, Record("", State(), {}))
            push(self.at, ours, State())
            pairs = [(ours.files[name], path) for name, path in files.items()]
            uploaded, _ = self.store.upload(self.name, pairs, {})
            ours = ours.renewed(uploaded)
            try:
                self.store.swap(self.name, ours, None)
            except SwapLost:
                self._give_up(uploaded)
                return False
            Record(ours.nonce, ours, known).save(self._record_path)
            return True

    def mark_done(self) -> None:
        """Record that the workspace's run has succeeded, whichever part of it is on this machine.

        Raises:
            StorageError: the store is out of reach, or other workers are faster each time.
        """
        for _ in range(ATTEMPTS):
            found = self.store.read(self.name)
            if found is None or found[0].done:
                return
            done = found[0].model_copy(update={"done": True}).renewed(found[0].held())
            try:
                self.store.swap(self.name, done, found[1])
                return
            except SwapLost:
                continue

    @contextmanager
    def _alone(self) -> Iterator[Record]:
        """Hold this machine's lock on the state, since tasks of a run may share a folder.

        Yields:
            What this machine knows about the state.
        """
        folder = self.at.cache / "states"  # the workspace itself need not be there yet
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{self.name}.lock"):
            yield Record.load(self._record_path)

    @property
    def _record_path(self) -> Path:
        return self.at.var / "state" / f"{self.name}.json"

    def _brought(
        self, theirs: State, record: Record, source: Artifacts | None, further: Callable[[], object]
    ) -> Moved:
        at, known = self.at, dict(record.known)
        at.root.mkdir(parents=True, exist_ok=True)
        if source is not None and not (at.root / ".dvc").is_dir():
            dvc.adopt_settings(source.root, at.root, share_cache=True)
        base, places = record.state.files, {name: place_of(at, name) for name in theirs.files}
        missing = [
            (file, places[name])
            for name, file in theirs.files.items()
            if not places[name].is_file()
            or (file != base.get(name) and carried(name, places[name], known) != file)
        ]
        n_bytes = self.store.download(self.name, theirs, missing)
        for name in base.keys() - theirs.files.keys():
            path = place_of(at, name)
            # Caches are shared, and never wrong; what has changed here since is of a task that runs here.
            if path.is_relative_to(at.root) and path.is_file() and carried(name, path, known) == base[name]:
                path.unlink()
        if self.scope.whole:
            code.unpack(at.root)
            if ModelReference.is_at(at.model_reference("champion")):
                remember_model(ModelReference.load(at.model_reference("champion")), at.cache)
        lay_out(at, self.scope, theirs, record.state)
        further()
        for name, path in places.items():
            with suppress(FileNotFoundError):  # a checkpoint: the training goes on in the same folder
                carried(name, path, known)
        known = {name: value for name, value in known.items() if name in theirs.files}
        Record(theirs.nonce, theirs, known).save(self._record_path)
        return Moved(changed=True, n_bytes=n_bytes)

    def _swapped(
        self,
        ours: State,
        files: Mapping[str, Path],
        known: Known,
        record: Record,
    ) -> Moved:
        """Make it the current version. If another worker was faster, merge it with that worker's results first.

        Args:
            ours: what this worker has.
            files: name in the state -> local file, of those that may have to be stored.
            known: of the files here.
            record: of the version that this worker went on from.

        Returns:
            What was stored.
        """
        uploaded, n_bytes = dict[str, str](), 0
        for _ in range(ATTEMPTS):
            found = self.store.read(self.name)
            theirs, tag = found or (State(), None)
            wanted = ours
            try:
                self._refuse_moved(theirs, record)
            except StateMoved:
                self._give_up(uploaded)
                raise
            if theirs.nonce != record.nonce:
                wanted = Versions(record.state, ours, theirs).merged()
            if found and wanted.same_content(theirs):
                self._give_up(uploaded)
                self._remember(theirs, whole=theirs.nonce == record.nonce, ours=ours, known=known)
                return Moved(changed=False)
            mine = [
                name for name, file in wanted.files.items() if name in files and ours.files.get(name) == file
            ]
            held = theirs.held() | uploaded
            new, n_new = self.store.upload(
                self.name, [(ours.files[name], files[name]) for name in mine], held
            )
            uploaded, n_bytes = uploaded | new, n_bytes + n_new
            wanted = wanted.renewed(held | new)
            try:
                self.store.swap(self.name, wanted, tag)
            except SwapLost:
                continue
            named = {*theirs.held().values(), *uploaded.values()}
            self.store.delete(self.name, named - set(wanted.held().values()))
            self._remember(wanted, whole=theirs.nonce == record.nonce, ours=ours, known=known)
            return Moved(changed=True, n_bytes=n_bytes)
        self._give_up(uploaded)
        raise StateMoved(
            f"other workers stored {self.store.storage.url}/{self.name} {ATTEMPTS} times meanwhile",
            remedy="run the task again",
        )

    def _give_up(self, uploaded: Mapping[str, str]) -> None:
        """Delete what was stored for a swap that was lost, but not what the current version names.

        The swap may have succeeded and only its reply was lost; other workers have gone on from it since.
        """
        if uploaded:
            found = self.store.read(self.name)
            named = found[0].held().values() if found else ()
            self.store.delete(self.name, set(uploaded.values()).difference(named))

    def _remember(self, stored: State, *, whole: bool, ours: State, known: Known) -> None:
        """Record which version was stored, and whether it holds only what this machine has."""
        ours = ours.model_copy(update={"nonce": stored.nonce})
        Record(stored.nonce if whole else "", ours, known).save(self._record_path)

    def _refuse_moved(self, theirs: State, record: Record) -> None:
        if record.state.nonce and not theirs.nonce:
            raise StateMoved(
                f"{self.store.storage.url}/{self.name} was removed while this worker used it",
                remedy="nothing need be done where the run has ended; otherwise start the run again",
            )
        if self.scope.exclusive and theirs.nonce != record.nonce:
            raise StateMoved(
                f"another worker has gone on from {self.store.storage.url}/{self.name} meanwhile",
                remedy="run the task again: it brings what that worker has stored, and goes on from there",
            )
