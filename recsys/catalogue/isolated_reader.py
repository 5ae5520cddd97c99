"""Read landed files in a separate process with a memory limit. If it dies, one file is refused.

The process starts with the first file, reads one after the other, and is replaced when it dies. It stays idle between
two intakes of one program, because starting it costs more than reading most files.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from recsys.catalogue import reading_process
from recsys.catalogue.batch import Batch
from recsys.catalogue.batch_files import load_batch
from recsys.catalogue.params import IngestParams
from recsys.catalogue.reader_child import ReaderChild, ReaderDied
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import BatchRefused, RecsysError, StorageError, UnreadableFile

_ERRORS = {error.__name__: error for error in (BatchRefused, UnreadableFile)}
_REPORT = "report it, and correct or remove the file"


class IsolatedReader:
    """Reads batches as `read_batch` does, in another process. Use it in a `with`.

    Args:
        params: limits; `reader_memory_mb` is what the process may grow by.
        key: for pseudonyms; goes to the process through a pipe.
        folder: where batches pass through, on a disk with room for a decoded file.
        log: for deaths of the process and unexpected errors; holds no values of rows.
        needed: further columns that `features.fields` names, see `read_batch`.
    """

    def __init__(
        self, params: IngestParams, key: str, folder: Path, log: Path, needed: Sequence[str] = ()
    ) -> None:
        self._params, self._key, self._needed = params, key, needed
        self._folder, self._log = folder, log
        self._child: ReaderChild | None = None
        self._numbers = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is None:
            return
        if kind is None:
            self._child.release()
        else:  # perhaps in the middle of an answer
            self._child.end()

    def read_batch(self, file: LandedFile, kind: str, arrived_at: datetime) -> Batch:
        """Read a staged file.

        Args:
            file: the staged copy.
            kind: one of KINDS.
            arrived_at: stands in for a missing updated_at.

        Returns:
            What `recsys.catalogue.batch.read_batch` would return.

        Raises:
            BatchRefused: it is empty, too wide or too large.
            UnreadableFile: it cannot be parsed at all, or it ended the process that read it.
            StorageError: no process can be started, or its output cannot be written; not a fault of the file.
        """
        # A name of its own: a process that outlives a killed intake writes where nobody looks.
        place = self._folder / f"read-{os.getpid()}-{time.monotonic_ns()}-{next(self._numbers)}"
        request = {
            "file": file.as_words(),
            "kind": kind,
            "arrived_at": arrived_at.isoformat(),
            "params": self._params.model_dump(mode="json"),
            "key": self._key,
            "needed": list(self._needed),
            "place": str(place.absolute()),
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            answer = self._request(file, request)
            return load_batch(answer["batch"], kind, place)
        except OSError as error:
            raise self._no_room(str(error)) from error
        except (ValueError, KeyError, pa.ArrowException) as error:
            self._write_log(file, f"{type(error).__name__}: what the reader sent is not sound")
            raise self._broken(file, "what was read of it is not sound", _REPORT) from error
        finally:
            for left in self._folder.glob(f"{place.name}.*"):
                with suppress(OSError):
                    left.unlink()

    def _request(self, file: LandedFile, request: Mapping[str, Any]) -> dict[str, Any]:
        child = self._running()
        try:
            answer = child.ask(request)
        except ReaderDied as death:
            self._child = None
            if death.is_memory:
                answer = {"status": reading_process.NO_MEMORY, "what": "it"}
            else:
                self._write_log(file, f"{death.how}\n{death.words}")
                how = f"the process that read it {death.how}"
                raise self._broken(file, how, self._more_memory()) from death
        if answer["status"] == reading_process.NO_MEMORY:
            child.end()
            self._child = None
            if child.n_answers:  # what earlier files left in its memory is not this file's fault
                return self._request(file, request)
            raise self._too_large(file, str(answer["what"]))
        if answer["status"] == reading_process.UNEXPECTED:
            self._write_log(file, f"{answer['error']}\n{answer['frames']}")
            raise self._broken(file, f"{answer['error']}, an error that nobody foresaw", _REPORT)
        if answer["status"] == reading_process.NO_ROOM:
            raise self._no_room(answer["message"])
        if answer["status"] == reading_process.REFUSED:
            raise _ERRORS.get(answer["error"], RecsysError)(answer["message"], remedy=answer["remedy"])
        return answer

    def _running(self) -> ReaderChild:
        if self._child and not self._child.is_alive:  # it died while it waited: no file's fault
            self._child.end()
            self._child = None
        self._child = self._child or ReaderChild.started(self._params.reader_memory_mb)
        return self._child

    def _no_room(self, problem: str) -> StorageError:
        remedy = "check free space, memory and permissions of the workspace, then run `recsys ingest` again"
        return StorageError(f"files cannot be read through {self._folder}: {problem}", remedy=remedy)

    def _too_large(self, file: LandedFile, what: str) -> UnreadableFile:
        limit = f"{self._params.reader_memory_mb:,} MB"
        return UnreadableFile(
            f"{file.key}: reading {what} takes more than {limit} of memory", remedy=self._more_memory()
        )

    def _more_memory(self) -> str:
        return (
            "shorten the value that is so large; where the file is sound, raise ingest.reader_memory_mb in "
            "params.yaml"
        )

    def _broken(self, file: LandedFile, what: str, remedy: str) -> UnreadableFile:
        return UnreadableFile(
            f"{file.key}: this file broke the reader: {what}; see {'/'.join(self._log.parts[-3:])}",
            remedy=remedy,
        )

    def _write_log(self, file: LandedFile, words: str) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {file.key!r}: {words}\n")
