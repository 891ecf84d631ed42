"""A TCP proxy between a service and what it needs: it passes bytes on, swallows them, or refuses."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

type Mode = Literal["pass", "swallow", "refuse"]
"""What a proxy does."""


class Proxy:
    """Listens on a port of loopback, for as long as it lives.

    Parameters
    ----------
    port : int
        Port of the server behind it, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._behind = ("127.0.0.1", port)
        self._mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._lock, self._passes = threading.Lock(), threading.Event()
        self._passes.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def become(self, mode: Mode) -> None:
        """Behave otherwise from now on; what is open stays open, but for ``refuse``, which ends it."""
        self._mode = mode
        if mode == "swallow":
            self._passes.clear()
            return
        if mode == "refuse":
            self.cut()
        self._passes.set()

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def being(self, mode: Mode) -> Iterator[None]:
        """Behave otherwise until the end of the block; connections end with it."""
        self.become(mode)
        try:
            yield
        finally:
            self.cut()
            self.become("pass")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.become("refuse")

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "refuse":
                accepted.close()
                continue
            try:
                other = socket.create_connection(self._behind, timeout=5)
            except OSError:
                accepted.close()
                continue
            other.settimeout(None)
            with self._lock:
                self._open |= {accepted, other}
            for ends in ((accepted, other), (other, accepted)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass on what comes, while that is to be done, until either end is closed."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._passes.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()
