"""A remote object of known size, read piece by piece: what S3 and web servers with byte ranges have in common."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

PIECE: Final = 8 << 20
"""Bytes that are asked for at once, and so what each connection holds in memory."""

TAIL: Final = 128 << 10
"""Bytes at the end of a zip that are read first: its directory, as a rule, and any comment."""


class Ranges(Protocol):
    """A remote object."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, exactly so many, or raise `SourceError`."""


def pieces(remote: Ranges) -> Iterator[bytes]:
    """Yield an object from its beginning to its end."""
    for start in range(0, remote.size, PIECE):
        yield remote.read(start, min(start + PIECE, remote.size))


@dataclass(frozen=True, slots=True)
class Zipped:
    """A remote zip with its end, which every reader of it needs."""

    remote: Ranges
    """The zip."""
    tail: bytes = field(repr=False)
    """Its last bytes."""

    def open(self, stop: int = 0) -> BinaryIO:
        """Return it as a file that can be read from anywhere; up to `stop` it is read in pieces, else as asked for."""
        return io.BufferedReader(_File(self.remote, self.tail, stop), buffer_size=1 << 16)


class _File(io.RawIOBase):
    """A file of which a piece is kept, so that reading on costs one request for each piece."""

    def __init__(self, remote: Ranges, tail: bytes, stop: int) -> None:
        self._remote, self._tail, self._stop = remote, tail, min(stop, remote.size)
        self._place, self._start, self._piece = 0, 0, b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._remote.size}[whence]
        if base + offset < 0:
            raise ValueError(f"place {base + offset} is before the file")
        self._place = base + offset
        return self._place

    @override
    def tell(self) -> int:
        return self._place

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's name of it is private
        size = self._remote.size
        if self._place >= size or not len(buffer):
            return 0
        first = size - len(self._tail)
        if self._place >= first:
            found = self._tail[self._place - first :][: len(buffer)]
        else:
            if not self._start <= self._place < self._start + len(self._piece):
                stop = min(self._place + PIECE, self._stop)
                if stop <= self._place:
                    stop = min(self._place + len(buffer), size)
                self._piece = self._remote.read(self._place, stop)
                self._start = self._place
            found = self._piece[self._place - self._start :][: len(buffer)]
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)
