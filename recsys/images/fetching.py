"""Fetch pictures from all kinds of sources, several at once. Each gives a checked file, or a reason why not."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from recsys.errors import ImageBroken, StorageError
from recsys.images.params import ImagesParams
from recsys.images.pictures import check_picture
from recsys.images.reasons import OF_THE_HOST, WITHOUT_DELAY
from recsys.images.records import MAX_DETAIL, Fetched, Tried, append_to_journal, is_due, read_records
from recsys.images.sources import InBucket, InFolder, OnTheWeb, Sources
from recsys.images.web import Limits, fetch_web
from recsys.progress import Progress
from recsys.storage.atomic import write_whole
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage

MB = 1_000_000


@dataclass(frozen=True)
class Fetcher:
    """Fetches single pictures; may be shared between threads."""

    sources: Sources
    params: ImagesParams
    folder: Path
    """Where pictures are kept, each under the SHA-256 of its bytes."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    failures: dict[str, int] = field(default_factory=dict)
    """Host -> failures in a row that are due to the host."""
    buckets: dict[str, Storage] = field(default_factory=dict)
    """Those that were opened."""

    def fetch(self, address: str) -> Fetched:
        """Fetch, check and keep one picture.

        Args:
            address: as the catalogue has it.

        Returns:
            Its hash, or why it is broken. Nothing is raised for what a picture, a host or a folder may be.
        """
        try:
            content = self._content(address)
            check_picture(content, self.params.max_megapixels, self.params.min_side)
        except ImageBroken as broken:
            return self.record(address, broken)
        name = hashlib.sha256(content).hexdigest()
        write_whole(self.folder / name, content)
        return Fetched(address, name)

    def record(self, address: str, broken: ImageBroken) -> Fetched:
        """The record of a broken picture.

        Args:
            address: its address.
            broken: why.

        Returns:
            The record, with the time from which the next try is counted.
        """
        tried_at = None if broken.reason in WITHOUT_DELAY else int(self.clock().timestamp())
        return Fetched(address, None, broken.reason, broken.message[:MAX_DETAIL], tried_at)

    def _content(self, address: str) -> bytes:
        place = self.sources.find(address)
        max_bytes = int(self.params.max_file_mb * MB)
        if isinstance(place, InFolder):
            return _from_folder(place.path, max_bytes)
        if isinstance(place, InBucket):
            return _from_bucket(place, self._bucket(place.bucket), max_bytes)
        return self._from_web(place, max_bytes)

    def _bucket(self, name: str) -> Storage:
        if name not in self.buckets:
            self.buckets[name] = open_storage(f"s3://{name}")
        return self.buckets[name]

    def _from_web(self, place: OnTheWeb, max_bytes: int) -> bytes:
        host = place.url.netloc.decode()
        if self.failures.get(host, 0) >= self.params.give_up_after:
            raise ImageBroken("gave_up", f"{host} failed {self.params.give_up_after} times in a row")
        limits = Limits(max_bytes, self.params.timeout_s, self.params.private_addresses)
        try:
            content = fetch_web(place, self.sources, limits)
        except ImageBroken as broken:
            if broken.reason in OF_THE_HOST:
                self.failures[host] = self.failures.get(host, 0) + 1
            else:
                self.failures.pop(host, None)
            raise
        self.failures.pop(host, None)
        return content


def fetch_due(
    fetcher: Fetcher, wanted: Collection[str], table: Path, journal: Path
) -> tuple[dict[str, Fetched], Tried]:
    """Fetch pictures that are due, and record each result in the journal as it comes.

    Args:
        fetcher: what fetches one.
        wanted: addresses of all items' pictures.
        table: folder of the records of earlier runs.
        journal: of this run, or of one that was killed.

    Returns:
        A record of each wanted address, and what was tried.
    """
    fetcher.folder.mkdir(parents=True, exist_ok=True)
    there = {entry.name for entry in os.scandir(fetcher.folder)}
    records = {
        address: one
        for address, one in read_records(table, journal, fetcher.params.limits).items()
        if address in wanted and (one.sha256 is None or one.sha256 in there)
    }
    now, new, retry_h = fetcher.clock(), Fetched(""), fetcher.params.retry_h
    due = [address for address in sorted(wanted) if is_due(records.get(address, new), now, retry_h)]
    n_broken = 0
    with Progress("images: fetching", len(due)) as progress:
        for one in fetch_all(fetcher, due, fetcher.params.fetchers):
            append_to_journal(journal, one)
            records[one.address] = one
            n_broken += one.reason is not None
            progress.advance(1)
    return records, Tried(len(due), n_broken)


def fetch_all(fetcher: Fetcher, addresses: Iterable[str], at_once: int) -> Iterator[Fetched]:
    """Fetch pictures, several at once.

    Args:
        fetcher: what fetches one.
        addresses: without repeats.
        at_once: how many.

    Yields:
        A record per address, in the order in which they are done.
    """
    waiting = iter(addresses)
    with ThreadPoolExecutor(at_once, thread_name_prefix="images") as pool:
        running: set[Future[Fetched]] = set()
        try:
            while True:
                more = islice(waiting, 2 * at_once - len(running))
                running |= {pool.submit(fetcher.fetch, address) for address in more}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in done)
        finally:
            for one in running:
                one.cancel()


def _from_folder(path: Path, max_bytes: int) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would never end
            raise ImageBroken("no_picture", f"{path} is no file")
        if found.st_size > max_bytes:
            raise _too_large(path, found.st_size, max_bytes)
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageBroken("not_found", f"{path} does not exist") from error
    except OSError as error:
        raise ImageBroken("refused", f"{path}: {error}") from error
    if len(content) > max_bytes:
        raise _too_large(path, len(content), max_bytes)
    return content


def _from_bucket(place: InBucket, storage: Storage, max_bytes: int) -> bytes:
    address = f"s3://{place.bucket}/{place.key}"
    try:
        found = storage.find(place.key)
        if found is None:
            raise ImageBroken("not_found", f"{address} does not exist")
        if found.size > max_bytes:
            raise _too_large(address, found.size, max_bytes)
        return storage.read(place.key)
    except StorageError as error:
        raise ImageBroken("unreachable", f"{address}: {error.message}") from error


def _too_large(place: object, n_bytes: int, max_bytes: int) -> ImageBroken:
    return ImageBroken("too_large", f"{place} has {n_bytes:,} bytes, above {max_bytes:,}")
