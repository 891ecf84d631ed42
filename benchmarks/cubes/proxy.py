"""A web server that is far away: each request waits before it is passed on; requests and bytes are counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS: Final = "/--counts"
"""Path that the proxy itself answers, at once: what was asked for and sent since the last time, and how deep."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE: Final = 1 << 20


class Proxy:
    """Connections to one server; keep-alive is the client's and the server's affair, bandwidth is not limited.

    The *depth* of a request is by one more than that of the deepest one whose answer had begun to come when it was
    sent: how many round trips had to be waited for, one after another, whatever went side by side.

    Parameters
    ----------
    target : str
        URL of the server, without a path.
    delay : float
        Seconds that each request waits.
    """

    def __init__(self, target: str, delay: float) -> None:
        parts = urlsplit(target)
        self._host, self._port, self._delay = str(parts.hostname), int(parts.port or 80), delay
        self.requests = self.sent = self.depth = self._answered = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        origin, upstream = await asyncio.open_connection(self._host, self._port, limit=_PIECE)
        depth = [0]
        back = asyncio.create_task(self._copy(origin, writer, depth))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    await self._request(reader, upstream, writer, depth)
        finally:
            back.cancel()
            for one in (upstream, writer):
                one.close()

    async def _request(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        depth: list[int],
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if head.split(b" ", 2)[1] == COUNTS.encode():
            writer.write(self._counted())
            await writer.drain()
            return
        self.requests += 1
        depth[0] = self._answered + 1
        self.depth = max(self.depth, depth[0])
        await asyncio.sleep(self._delay)
        upstream.write(head + body)
        await upstream.drain()

    def _counted(self) -> bytes:
        told = json.dumps({"requests": self.requests, "bytes": self.sent, "depth": self.depth}).encode()
        self.requests = self.sent = self.depth = self._answered = 0
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(told), told)

    async def _copy(self, origin: asyncio.StreamReader, writer: asyncio.StreamWriter, depth: list[int]) -> None:
        """Pass the answers on as they come; the connection ends where the server ends it."""
        with contextlib.suppress(ConnectionError):
            while piece := await origin.read(_PIECE):
                self.sent += len(piece)
                self._answered = max(self._answered, depth[0])
                writer.write(piece)
                await writer.drain()
        writer.close()


@contextlib.contextmanager
def delayed(target: str, delay: float = 0.03) -> Iterator[str]:
    """Run a proxy in a thread; yields its URL."""
    ready, stop = threading.Event(), asyncio.Event()
    loop, address = asyncio.new_event_loop(), ""

    async def serve() -> None:
        nonlocal address
        server = await asyncio.start_server(Proxy(target, delay).connected, "127.0.0.1", 0, limit=_PIECE, backlog=1024)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
