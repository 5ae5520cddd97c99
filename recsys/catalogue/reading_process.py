"""The process in which landed files are read: `python -m recsys.catalogue.reading_process MEMORY_MB`.

One JSON line per request on standard input, one or more per answer on standard output. It may grow by MEMORY_MB and no
more. Files may be hostile, so it holds no secret except the key for pseudonyms.
"""

import json
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa

from recsys.catalogue.batch import read_batch
from recsys.catalogue.batch_files import ROWS, save_batch
from recsys.catalogue.params import IngestParams
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.readers.rows import LandedFile, OutOfMemory
from recsys.errors import RecsysError
from recsys.importing import without_pandas

READY, PROGRESS, DONE, REFUSED = "ready", "progress", "done", "refused"
NO_MEMORY, NO_ROOM, UNEXPECTED = "no_memory", "no_room", "unexpected"
"""Values of the key `status` of a line."""


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _limit_memory(int(sys.argv[1]) * 2**20)
    _write(answers, READY)
    with without_pandas():
        for line in sys.stdin.buffer:
            _answer(json.loads(line), answers)


def _answer(request: dict[str, Any], answers: BinaryIO) -> None:
    try:
        file = LandedFile(
            **(request["file"] | {"path": Path(request["file"]["path"])}),
            on_rows=lambda n_rows: _write(answers, PROGRESS, n_rows=n_rows),
        )
        place = Path(request["place"])
        try:
            batch = read_batch(
                file,
                request["kind"],
                datetime.fromisoformat(request["arrived_at"]),
                IngestParams(**request["params"]),
                Pseudonyms(request["key"]),
                request["needed"],
                spool=place.with_name(place.name + ROWS),
            )
            saved = save_batch(batch, place)
        except OSError as error:  # of the place: readers say in their own words what a file does
            _write(answers, NO_ROOM, message=str(error))
        else:
            _write(answers, DONE, batch=saved)
    except RecsysError as error:
        message = str(error).partition("\n  remedy: ")[0]
        _write(answers, REFUSED, error=type(error).__name__, message=message, remedy=error.remedy)
    except MemoryError as error:
        _write(answers, NO_MEMORY, what=str(error) if isinstance(error, OutOfMemory) else "it")
        os._exit(1)  # what is left of this process is not to be relied on
    except Exception as error:
        # The words of an error may hold a value of a row, hence a person's; its type and place hold none.
        _write(answers, UNEXPECTED, error=type(error).__name__, frames=_frames(error.__traceback__))


def _frames(trace: TracebackType | None) -> str:
    return "".join(traceback.format_tb(trace))


def _write(answers: BinaryIO, status: str, **more: object) -> None:
    answers.write(json.dumps({"status": status} | more).encode() + b"\n")
    answers.flush()


def _limit_memory(growth_bytes: int) -> None:
    """Limit the memory of this process, on systems that can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + growth_bytes
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold what it was reading


if __name__ == "__main__":
    main()
