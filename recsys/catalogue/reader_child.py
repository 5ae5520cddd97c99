"""The process that reads files: start it, send requests, find out how it died."""

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self, cast

import recsys
from recsys.catalogue import reading_process

STALLED_S = 600
"""After this long without a message (one comes every few thousand rows) the process counts as hung."""

_MAX_ANSWER_BYTES = 64 * 2**20
_MAX_WORDS = 10_000
_PASSED_ON = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME")
"""The only environment variables it gets: the others hold keys of stores, and the process reads hostile files."""

_FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve far more address space than they use
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # larger blocks are given back; in the heap small ones would keep them apart
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONUTF8": "1",
}


class ReaderDied(Exception):  # noqa: N818  caught by the reader; never leaves the room
    """The process ended, or had to be ended, before it answered.

    Args:
        how: for people, such as `was ended by SIGSEGV`.
        words: the end of what it wrote on standard error.
    """

    def __init__(self, how: str, words: str) -> None:
        super().__init__(how, words)
        self.how, self.words = how, words

    @property
    def is_memory(self) -> bool:
        """Whether it ran out of its memory limit."""
        return any(word in self.words for word in ("bad_alloc", "MemoryError", "out of memory"))


class ReaderChild:
    """A running process, ready to read a file."""

    _idle: ClassVar["ReaderChild | None"] = None
    """The process that a finished intake left for the next one of this program."""

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.n_answers = 0
        self._owner = os.getpid()
        self._errors = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  lives as long as the process
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", reading_process.__name__, str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
            bufsize=0,
        )

    @classmethod
    def started(cls, memory_mb: int) -> Self:
        """A process with this memory limit: the idle one if it fits, else a new one.

        Args:
            memory_mb: the limit.

        Returns:
            A process to be released or ended.
        """
        idle, ReaderChild._idle = ReaderChild._idle, None
        if idle is not None and idle._owner == os.getpid():
            if idle.memory_mb == memory_mb and idle.is_alive:
                return cast(Self, idle)
            idle.end()
        return cls(memory_mb)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Args:
            request: as `reading_process` reads it.

        Returns:
            The line that ends the answer.

        Raises:
            ReaderDied: the process is gone, or was ended because it hung.
        """
        try:
            stdin = cast(BinaryIO, self._process.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._died() from None
        while True:
            answer = self._line()
            if answer["status"] not in {reading_process.READY, reading_process.PROGRESS}:
                self.n_answers += answer["status"] != reading_process.NO_MEMORY
                return answer

    def release(self) -> None:
        """Keep the process for the next intake of this program."""
        if ReaderChild._idle is not None:
            ReaderChild._idle.end()
        ReaderChild._idle = self

    def end(self) -> None:
        """End the process and free what it held."""
        if self._owner != os.getpid():  # a fork of this program may not end what is not its own
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()

    def _line(self) -> dict[str, Any]:
        source = cast(BinaryIO, self._process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(STALLED_S):
                    raise self._died(f"did nothing for {STALLED_S} s")
                block = os.read(source.fileno(), 2**16)
                self._buffer += block
                if not block or len(self._buffer) > _MAX_ANSWER_BYTES:
                    raise self._died()
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line)
            answer["status"]
        except (ValueError, KeyError, TypeError):
            raise self._died("sent an answer that is none") from None
        return cast(dict[str, Any], answer)

    def _died(self, how: str = "") -> ReaderDied:
        if how:
            self._process.kill()
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _MAX_WORDS))
        words = self._errors.read().decode(errors="replace")
        self.end()
        return ReaderDied(how or _how_it_ended(code), words)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("LC_")}
    # Where this program found the package, the other one must find it; installed, it does so anyway.
    root = Path(recsys.__file__).parents[1]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root.name not in {"site-packages", "dist-packages"}:
        paths.append(str(root))
    return own | _FRUGAL | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


@atexit.register
def _end_idle() -> None:
    if ReaderChild._idle is not None:
        ReaderChild._idle.end()
        ReaderChild._idle = None
