"""Heads of requests, bounded: a client that never ends its own would fill the memory, whoever it is."""

from __future__ import annotations

from typing import Final, override

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST: Final = 65_536
"""Bytes of a request line and its headers that are taken; proxies take fewer."""


class Bounded(HttpToolsProtocol):
    """A connection that ends when a head, or the trailers of a body, are too large; trailers are no headers."""

    _open: int = 0
    _in_head: bool = True

    @override
    def data_received(self, data: bytes) -> None:
        """Read on, unless too much came since the last end of a head, or byte of a body."""
        self._open += len(data)
        super().data_received(data)
        if self._open > LARGEST and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has {LARGEST} bytes at most.")

    @override
    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what a client sends behind its body must not look as if a proxy had said it."""
        if self._in_head:
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        """End the head."""
        super().on_headers_complete()
        self._open, self._in_head = 0, False

    @override
    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        super().on_body(body)
        self._open = 0

    @override
    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._open = 0
