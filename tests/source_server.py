"""A web server of tests that gives files as it is told to: with ranges or without, honestly or not."""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Reply:
    """What is answered to GET of a path."""

    body: bytes = b""
    ranges: bool = True
    """Whether byte ranges are given."""
    announced: int | None = None
    """Content-Length, where it is a lie."""
    location: str = ""
    """Where to redirect."""
    status: int = 200
    """Status of the answer, if it is an error."""
    failures: int = 0
    """How many requests fail first, with status 503."""
    cuts: int = 0
    """How many ranges break off half-way first."""
    token: str = ""
    """Token without which the status is 401."""
    shift: int = 0
    """How many bytes off the ranges are that are given."""
    chunked: bool = False
    """Whether the answer comes without a length."""
    hold: threading.Event | None = None
    """What is waited for before anything is answered."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """A running server."""

    url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of every request."""

    def put(self, path: str, reply: Reply) -> str:
        """Set what a path answers, and return its URL."""
        self.replies[path] = reply
        return self.url + path


@contextlib.contextmanager
def source_server() -> Iterator[Server]:
    """Run one on loopback, in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            _answer(self, made.replies.get(self.path))

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Server(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, reply: Reply | None) -> None:
    def send(status: int, body: bytes = b"", **headers: object) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(body)

    if reply is None:
        return send(404)
    if reply.hold is not None:
        reply.hold.wait(60)
    if reply.failures:
        reply.failures -= 1
        return send(503, b"busy", Retry_After=0)
    if reply.location:
        return send(302, Location=reply.location)
    if reply.token and handler.headers.get("Authorization") != f"Bearer {reply.token}":
        return send(401)
    if reply.status != 200:
        return send(reply.status)
    if reply.chunked:
        return _chunked(handler, reply, send)
    place = _range(handler.headers.get("Range", ""), len(reply.body)) if reply.ranges else None
    if place is None:
        length = len(reply.body) if reply.announced is None else reply.announced
        send(200, reply.body, Content_Length=length, **reply.headers)
        handler.close_connection = True
        return None
    start, stop = place[0] + reply.shift, place[1] + reply.shift
    if reply.cuts:
        reply.cuts -= 1
        stop = (start + stop) // 2
    said = f"bytes {place[0]}-{place[1] - 1}/{len(reply.body)}"
    handler.close_connection = True
    length = place[1] - place[0]
    return send(206, reply.body[start:stop], Content_Length=length, Content_Range=said, ETag='"one"', **reply.headers)


def _chunked(handler: BaseHTTPRequestHandler, reply: Reply, send: Callable[..., None]) -> None:
    send(200, Content_Length=None, Transfer_Encoding="chunked")
    with contextlib.suppress(OSError):
        for start in range(0, len(reply.body), 1 << 16):
            piece = reply.body[start : start + (1 << 16)]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if reply.announced is None:
            handler.wfile.write(b"0\r\n\r\n")
    handler.close_connection = True


def _range(text: str, size: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if match is None:
        return None
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    return start, min(int(last) + 1, size) if first and last else size
