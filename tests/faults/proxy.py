"""A TCP proxy between a service and what it needs: it passes bytes on, swallows them, or refuses."""

from __future__ import annotations

import contextlib
import selectors
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
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def become(self, mode: Mode) -> None:
        """Behave otherwise from now on; what is open stays open, but for ``refuse``, which ends it."""
        with self._lock:
            self._mode = mode
            if mode == "refuse":
                self._cut()

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            self._cut()

    @contextlib.contextmanager
    def being(self, mode: Mode) -> Iterator[None]:
        """Behave otherwise until the end of the block; connections end with it."""
        self.become(mode)
        try:
            yield
        finally:
            self.become("pass")
            self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self.cut()
        self._listener.close()

    def _cut(self) -> None:
        for one in list(self._pairs):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._pairs.clear()

    def _run(self) -> None:
        with selectors.DefaultSelector() as looked_at:
            while not self._ending.is_set():
                with self._lock:
                    wanted = {self._listener} | (set(self._pairs) if self._mode == "pass" else set())
                    for key in list(looked_at.get_map().values()):
                        if key.fileobj not in wanted:
                            looked_at.unregister(key.fileobj)
                    for new in wanted - {key.fileobj for key in looked_at.get_map().values()}:
                        looked_at.register(new, selectors.EVENT_READ)
                for key, _ in looked_at.select(0.02):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    self._accept() if one is self._listener else self._relay(one)

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        if self._mode == "refuse":
            accepted.close()
            return
        try:
            other = socket.create_connection(self._behind, timeout=5)
        except OSError:
            accepted.close()
            return
        with self._lock:
            self._pairs[accepted], self._pairs[other] = other, accepted

    def _relay(self, one: socket.socket) -> None:
        with self._lock:
            other = self._pairs.get(one)
            if other is None:
                return
            try:
                data = one.recv(1 << 18)
                if data:
                    other.sendall(data)
                    return
            except OSError:
                pass
            for end in (one, other):
                self._pairs.pop(end, None)
                end.close()
