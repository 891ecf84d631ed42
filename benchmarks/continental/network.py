"""A network between clients and a server: latency, bandwidth of each connection and of all, connections at once.

Delay can't be had from every kernel (netem), so a relay in user space shapes what goes through it; it has a process of
its own, whose CPU is told apart. With root it stands, with the server, in a network namespace of its own, so that
the kernel counts what crosses the interface between.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS: Final = "/--counts"
"""Path that the relay itself answers: bytes, requests and connections since it was started."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE: Final = 1 << 17
_MEGA: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of network."""

    latency: float
    """Seconds that each request waits."""
    connection: float
    """MB a second of each connection, each way."""
    total: float
    """MB a second of all together, each way."""
    connections: int
    """Requests that are answered at once; further ones wait. 0: any number. Providers count connections, of which
    clients keep idle ones for long: as many as may be used are used here."""
    source: str
    """Where the figures come from."""


PROFILES: Final = {
    "region": Profile(0.03, 90, 800, 0, "S3 from a machine in its region: 85-90 MB/s a connection, 6.5 Gbit/s a node"),
    "wan": Profile(0.04, 20, 80, 4, "general users of a provider: 4 connections of 20 MB/s"),
    "office": Profile(0.02, 12.5, 12.5, 0, "a line of 100 Mbit/s"),
}
"""Networks by name."""


@dataclass(slots=True)
class Bucket:
    """Bytes that may pass: so many a second, and those of a tenth of a second at once."""

    rate: float
    _free: float = field(default_factory=time.monotonic)

    async def take(self, count: int) -> None:
        """Wait until so many may pass."""
        now = time.monotonic()
        self._free = max(self._free, now - 0.1) + count / self.rate
        if self._free > now:
            await asyncio.sleep(self._free - now)


class Relay:
    """Passes requests on to one server and answers back, as slowly as a profile says."""

    def __init__(self, host: str, port: int, profile: Profile) -> None:
        self._host, self._port, self._profile = host, port, profile
        self._up, self._down = (Bucket(profile.total * _MEGA) for _ in range(2))
        self._gate = asyncio.Semaphore(profile.connections) if profile.connections else contextlib.nullcontext()
        self.counts = {"connections": 0, "requests": 0, "sent": 0, "received": 0}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.split(b" ", 2)[1] == COUNTS.encode():
                told = json.dumps(self.counts).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(told), told)
                )
                await writer.drain()
            else:
                self.counts["connections"] += 1
                await self._relayed(head, reader, writer)
        writer.close()

    async def _relayed(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on request after request of a connection, each with its answer: clients do not send two at once."""
        rate = self._profile.connection * _MEGA
        origin, upstream = await asyncio.open_connection(self._host, self._port, limit=_PIECE)
        up, down = Bucket(rate), Bucket(rate)
        try:
            while True:
                self.counts["requests"] += 1
                async with self._gate:
                    await asyncio.sleep(self._profile.latency)
                    await self._forward(head, up, upstream)
                    sending = asyncio.create_task(self._body(_length(head) or 0, reader, up, upstream))
                    try:
                        stays = await self._back(head, origin, writer, down)
                    finally:
                        if not sending.done():
                            sending.cancel()
                if not stays or sending.cancelled():
                    return
                head = await reader.readuntil(b"\r\n\r\n")
        finally:
            upstream.close()

    async def _body(self, left: int, reader: asyncio.StreamReader, own: Bucket, upstream: asyncio.StreamWriter) -> None:
        while left:
            piece = await reader.read(min(left, _PIECE))
            if not piece:
                upstream.close()
                return
            left -= len(piece)
            await self._forward(piece, own, upstream)

    async def _forward(self, piece: bytes, own: Bucket, upstream: asyncio.StreamWriter) -> None:
        self.counts["received"] += len(piece)
        await own.take(len(piece))
        await self._up.take(len(piece))
        upstream.write(piece)
        await upstream.drain()

    async def _back(
        self, request: bytes, origin: asyncio.StreamReader, writer: asyncio.StreamWriter, own: Bucket
    ) -> bool:
        """Pass on an answer; return whether the connection stays."""
        while (head := await origin.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 1"):
            await self._answer(head, writer, own)  # 100 Continue and its kind
        await self._answer(head, writer, own)
        if request.startswith(b"HEAD ") or head[9:12] in (b"204", b"304"):
            return True
        left, chunked = _length(head), b"\r\ntransfer-encoding: chunked" in head.lower()
        tail = b""
        while left is None or left:
            piece = await origin.read(_PIECE if left is None else min(left, _PIECE))
            if not piece:
                return False
            await self._answer(piece, writer, own)
            if left is not None:
                left -= len(piece)
            else:
                tail = (tail + piece)[-5:]
                if chunked and tail == b"0\r\n\r\n":
                    return True
        return True

    async def _answer(self, piece: bytes, writer: asyncio.StreamWriter, own: Bucket) -> None:
        self.counts["sent"] += len(piece)
        await own.take(len(piece))
        await self._down.take(len(piece))
        writer.write(piece)
        await writer.drain()


def _length(head: bytes) -> int | None:
    """Return the length that headers tell."""
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Link:
    """A relay that runs."""

    url: str
    """Where clients connect."""
    pid: int
    """Its process."""
    interface: str | None
    """Interface that everything crosses, on the clients' side; None: loopback."""

    def counted(self) -> dict[str, int]:
        """Return what passed so far: connections, requests, bytes sent to clients and received from them.

        Bytes are the interface's (headers of packets included), and without one the relay's.
        """
        with urlopen(f"{self.url}{COUNTS}", timeout=30) as answer:  # noqa: S310 - a relay on this machine
            counts: dict[str, int] = json.loads(answer.read())
        if self.interface is not None:
            folder = Path("/sys/class/net", self.interface, "statistics")
            counts["sent"] = int((folder / "rx_bytes").read_text())
            counts["received"] = int((folder / "tx_bytes").read_text())
        return counts


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: a network namespace, or this machine's loopback."""

    namespace: str | None = None
    """Name of the namespace."""
    interface: str | None = None
    """End of the pair of interfaces that is outside of it."""
    address: str = "127.0.0.1"
    """Address of the end inside of it."""

    def inside(self, command: list[str]) -> list[str]:
        """Return the command that runs a command there."""
        return ["ip", "netns", "exec", self.namespace, *command] if self.namespace else command


@contextlib.contextmanager
def apart() -> Iterator[Place]:
    """Make a network namespace as long as the block lasts; without root or `ip` there is loopback alone."""
    if os.geteuid() != 0 or (not Path("/usr/sbin/ip").exists() and not Path("/sbin/ip").exists()):
        yield Place()
        return
    number = os.getpid() % 60_000
    name, outer, inner = f"abut-{number}", f"abut{number}a", f"abut{number}b"
    net = f"10.{200 + number // 4096 % 16}.{number // 16 % 256}"
    commands = [
        f"netns add {name}",
        f"link add {outer} type veth peer name {inner}",
        f"link set {inner} netns {name}",
        f"addr add {net}.1/24 dev {outer}",
        f"link set {outer} up",
        f"-n {name} addr add {net}.2/24 dev {inner}",
        f"-n {name} link set {inner} up",
        f"-n {name} link set lo up",
    ]
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        yield Place(name, outer, f"{net}.2")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", outer], check=False, capture_output=True)


@contextlib.contextmanager
def shaped(place: Place, port: int, profile: Profile) -> Iterator[Link]:
    """Run a relay before a server that listens on loopback of a place."""
    command = [sys.executable, "-m", __name__, place.address, str(port), json.dumps(asdict(profile))]
    with subprocess.Popen(place.inside(command), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield Link(process.stdout.readline().strip(), process.pid, place.interface)
        finally:
            process.terminate()


async def _serve(address: str, port: int, profile: Profile) -> None:
    relay = Relay("127.0.0.1", port, profile)
    server = await asyncio.start_server(relay.connected, address, 0, limit=_PIECE, backlog=1024)
    print(f"http://{address}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), Profile(**json.loads(sys.argv[3]))))
