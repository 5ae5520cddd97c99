"""A proxy before an S3 server that answers some requests as a busy one does, and cuts some connections."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import SplitResult, urlsplit

ERRORS = {
    "slow down": (503, "SlowDown"),
    "unavailable": (503, "ServiceUnavailable"),
    "error": (500, "InternalError"),
}
FAULTS = (*ERRORS, "refused", "reply lost", "cut short")
"""refused: the connection ends before the request is passed on; reply lost: after it; cut short: in the middle of the
reply's body, where it has one of some bytes."""


class Trouble:
    """Which requests meet which fault: every `every`-th, one kind after the other."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.met: Counter[str] = Counter()
        self._numbers, self._kinds = count(1), count()

    def next(self) -> str | None:
        """The fault of the next request; None: it is answered."""
        if self.every == 0 or next(self._numbers) % self.every:
            return None
        return FAULTS[next(self._kinds) % len(FAULTS)]


class _Handler(BaseHTTPRequestHandler):
    target: SplitResult
    trouble: Trouble
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.trouble.next()
        if fault in ERRORS:
            self.trouble.met[fault] += 1
            return self._answer_error(*ERRORS[fault])
        if fault == "refused":
            return self._cut(fault)
        upstream = http.client.HTTPConnection(self.target.hostname or "", self.target.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        upstream.request(self.command, self.path, body, headers)
        reply = upstream.getresponse()
        content = reply.read()
        upstream.close()
        if fault == "reply lost":
            return self._cut(fault)
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault == "cut short" and len(content) > 1:
            self.wfile.write(content[: len(content) // 2])
            return self._cut(fault)
        return self.wfile.write(content) and None

    def _answer_error(self, status: int, code: str) -> None:
        content = f"<Error><Code>{code}</Code><Message>try again</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self, fault: str) -> None:
        self.trouble.met[fault] += 1
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  names of http.server


@contextmanager
def troubled(endpoint: str, trouble: Trouble) -> Iterator[str]:
    """Run the proxy.

    Args:
        endpoint: address of the real server.
        trouble: faults; it counts those that were met.

    Yields:
        The proxy's address.
    """
    made = type("Handler", (_Handler,), {"target": urlsplit(endpoint), "trouble": trouble})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  clients that were cut off hang up too
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
