"""A proxy on loopback that passes requests on to a real server, but for those that a test has told it to spoil."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, override
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

type Kind = Literal[
    "slow down",
    "internal error",
    "reset",
    "lost answer",
    "closed answer",
    "late error",
    "cut body",
    "stalled",
    "denied if absent",
]
"""What happens to a request.

It is refused with 503 or 500 and never passed on; the connection is reset before it is; it is passed on, and the
connection reset or closed instead of an answer, or 500 is the answer; the answer ends, or falls silent, halfway through
its body; absent objects are denied, as S3 does to whoever may not list.
"""

_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
_REFUSALS = {
    "slow down": (503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"),
    "internal error": (500, b"<Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>"),
}


@dataclass(slots=True)
class Fault:
    """What happens to the next requests of a kind."""

    kind: Kind
    """What happens."""
    method: str
    """Method of the requests."""
    path: str
    """Regular expression that is looked for in their path and query."""
    times: int = 1
    """How many."""
    every: int = 1
    """Of how many that come one is meant."""
    seen: int = 0
    """How many came."""
    done: int = 0
    """How many it happened to."""


@dataclass(slots=True)
class Proxy:
    """The proxy; faults can be added at any time."""

    url: str = ""
    """Where it listens."""
    faults: list[Fault] = field(default_factory=list)
    """What is to happen; the first that fits does."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by what they ask for: ``GET``, ``HEAD``, ``PUT``, ``DELETE``, ``LIST``; a delete of many is one."""
    moved: Counter[str] = field(default_factory=Counter)
    """Bytes of bodies by the same: of requests, and for GET, HEAD and LIST of answers."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a fault is chosen."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when the proxy ends, so that what is stalled ends too."""

    def spoil(self, kind: Kind, method: str, path: str = "", times: int = 1, every: int = 1) -> Fault:
        """Let something happen to the next requests of a kind."""
        fault = Fault(kind, method, path, times, every)
        with self.lock:
            self.faults.append(fault)
        return fault

    def count(self, method: str, path: str, sent: int, answered: int) -> None:
        """Count a request that was passed on."""
        verb = "LIST" if method == "GET" and "list-type=" in path else "DELETE" if "?delete" in path else method
        with self.lock:
            self.asked[verb] += 1
            self.moved[verb] += answered if verb in ("GET", "HEAD", "LIST") else sent

    def next_fault(self, method: str, path: str) -> Kind | None:
        """Return what is to happen to a request that has come."""
        with self.lock:
            for fault in self.faults:
                if fault.done < fault.times and fault.method == method and re.search(fault.path, path):
                    fault.seen += 1
                    if fault.seen % fault.every == 0:
                        fault.done += 1
                        return fault.kind
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    """Whose requests come here."""
    server_address: tuple[str, int]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.proxy.next_fault(self.command, self.path)
        if kind in _REFUSALS:
            self._answer(*_REFUSALS[kind], [])
        elif kind == "reset":
            self._reset()
        else:
            self._pass_on(body, kind)

    def _pass_on(self, body: bytes, kind: Kind | None) -> None:
        upstream = http.client.HTTPConnection(*self.server_address)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            data = answer.read()
        self.proxy.count(self.command, self.path, len(body), len(data))
        if kind == "lost answer":
            self._reset()
        elif kind == "closed answer":
            self.close_connection = True
        elif kind == "late error":
            self._answer(*_REFUSALS["internal error"], [])
        else:
            self._pass_back(answer, data, kind)

    def _pass_back(self, answer: http.client.HTTPResponse, data: bytes, kind: Kind | None) -> None:
        status, kept = (
            answer.status,
            [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in ("content-length", "transfer-encoding", "connection")
            ],
        )
        if kind == "denied if absent" and status == 404:
            status, data = 403, _DENIED
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        cut = len(data) // 2 if kind in ("cut body", "stalled") else None
        self._answer(status, data, kept, length, cut)
        if kind == "stalled":
            self.proxy.ended.wait(120)
        if cut is not None:
            self._reset()

    def _answer(
        self,
        status: int,
        data: bytes,
        headers: list[tuple[str, str]],
        length: str | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)) if length is None else length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:cut])
            self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    @override
    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    @override
    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever asked went away, or was cut off
            super().handle()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def flaky_proxy(url: str) -> Iterator[Proxy]:
    """Run a proxy before the server at a URL; yields it."""
    proxy, parts = Proxy(), urlsplit(url)
    methods = {f"do_{method}": _Handler.answer for method in ("GET", "HEAD", "PUT", "POST", "DELETE")}
    known = {"proxy": proxy, "server_address": (parts.hostname, parts.port)}
    handler = type("Handler", (_Handler,), {**known, **methods})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()
