"""Heads of requests as bytes on a socket: endless ones end, and what is sent behind a body is no header."""

from __future__ import annotations

import contextlib
import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from abut.archive import create_archive
from services.heads import LARGEST
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

MUCH = 500 * LARGEST
"""More than what waits in the buffers between two sockets."""
CHUNKED = b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    archive = create_archive(tmp_path_factory.mktemp("heads") / "archive")
    with serving(archive.store.url, "--part", "zarr") as running:
        yield running


@contextlib.contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nx: ", b"a" * 10_000),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"a: b\r\n" * 1_000),
        (CHUNKED + b"\r\n1\r\na\r\n0\r\n", b"a: b\r\n" * 1_000),
    ],
    ids=["path", "value", "headers", "trailers"],
)
def test_a_head_without_end_is_cut(served: Served, begin: bytes, piece: bytes) -> None:
    with connected(served) as connection:
        connection.sendall(begin)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < MUCH:
                connection.sendall(piece)
                sent += len(piece)
    assert sent < MUCH


def test_a_large_head_is_told_so(served: Served) -> None:
    with connected(served) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nx: " + b"a" * (LARGEST - 1_000))
        connection.sendall(b"a" * 1_001)
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_many_requests_and_long_bodies_of_one_connection_are_taken(served: Served) -> None:
    """They are more than a head may have only together."""
    small = b"GET /healthz HTTP/1.1\r\nHost: a\r\nx: " + b"a" * 20_000 + b"\r\n\r\n"
    large = CHUNKED + b"x: " + b"a" * 40_000 + b"\r\n\r\n" + b"1\r\na\r\n" * 40_000 + b"0\r\n\r\n"
    last = small.replace(b"Host", b"Connection: close\r\nHost")
    with connected(served) as connection:
        for piece in itertools.batched(small * 8 + large + last, 5_000):
            connection.sendall(bytes(piece))
        answer = received(connection)
    assert answer.count(b"HTTP/1.1 200 ") == 9
    assert answer.count(b"HTTP/1.1 405 ") == 1


def test_what_is_sent_behind_a_body_is_not_what_a_proxy_said(served: Served) -> None:
    """The peer is a proxy that is trusted, and passes on what its client sent behind the body."""
    head = CHUNKED + b"Connection: close\r\nX-Forwarded-For: 192.0.2.1\r\nX-Request-ID: %s\r\n\r\n"
    for name, behind in (("plain", b""), ("spoofed", b"X-Forwarded-For: 203.0.113.9\r\n")):
        with connected(served) as connection:
            connection.sendall(head % name.encode() + b"1\r\na\r\n0\r\n" + behind + b"\r\n")
            assert received(connection).startswith(b"HTTP/1.1 405 ")
        assert served.logged(name)["client"] == "192.0.2.1"
