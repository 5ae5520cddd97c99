"""A real web server with pictures and with everything that a picture's address may turn out to be."""

import io
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from tests.encoders.pictures import picture


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Pictures(ThreadingHTTPServer):
    """/picture/N answers picture N; see `Handler` for the rest."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """Bytes of bodies that were sent, by path."""
        self.delay_s = 0.0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on purpose."""


class Handler(BaseHTTPRequestHandler):
    server: Pictures

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requests[self.path] += 1
        time.sleep(self.server.delay_s)
        words = parts.path.strip("/").split("/")
        getattr(self, f"answer_{words[0]}")(words[-1], parse_qs(parts.query))

    def answer_picture(self, name: str, _: object) -> None:
        self.body(encoded(picture(int(name))))

    def answer_status(self, name: str, _: object) -> None:
        self.send_response(int(name))
        self.end_headers()

    def answer_redirect(self, _: str, query: dict[str, list[str]]) -> None:
        self.send_response(302)
        self.send_header("Location", query["to"][0])
        self.end_headers()

    def answer_loop(self, *_: object) -> None:
        self.send_response(302)
        self.send_header("Location", "/loop")
        self.end_headers()

    def answer_claims(self, name: str, _: object) -> None:
        """Claims a length, and would send that many bytes."""
        self.send_response(200)
        self.send_header("Content-Length", name)
        self.end_headers()
        self.flood()

    def answer_endless(self, *_: object) -> None:
        """Says nothing about its length."""
        self.send_response(200)
        self.end_headers()
        self.flood()

    def answer_drip(self, *_: object) -> None:
        """A byte now and then: no single read is slow."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.stopped.wait(0.05):
            self.send(b"x")

    def answer_dripheaders(self, *_: object) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.server.stopped.wait(0.05):
            self.send(b"x")

    def answer_silent(self, *_: object) -> None:
        self.server.stopped.wait(30)

    def answer_hangup(self, *_: object) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.send(b"half")

    def answer_nonsense(self, *_: object) -> None:
        self.send(b"\x00\x01\x02 this is no HTTP\r\n\r\n")

    def body(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.send(content)

    def flood(self) -> None:
        block = b"x" * 65536
        while not self.server.stopped.is_set():
            self.send(block)

    def send(self, content: bytes) -> None:
        self.wfile.write(content)
        self.server.sent[self.path] += len(content)

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def pictures_server():
    server = Pictures()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
