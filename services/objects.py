"""Objects of an archive, read in the background: whole or in part, in pieces of bounded size."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import anyio.to_thread
import obstore
from obstore.exceptions import BaseError

from abut import meter
from services.ranges import ByteRange, Entity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obstore import GetResult, ObjectMeta, OffsetRange, SuffixRange
    from obstore.store import ObjectStore

    from abut.store import Store

PIECE: Final = 4 << 20
"""Bytes that are in memory at once for one request; blocks are smaller."""

PATIENCE: Final = 20.0
"""Seconds after which a store that has not begun to answer counts as down; obstore itself tries for minutes."""

_ABSENT: Final = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


@dataclass(frozen=True, slots=True)
class Opened:
    """An object that is about to be sent."""

    entity: Entity
    """The whole object."""
    start: int
    """First byte of the part."""
    stop: int
    """Byte after the last."""
    pieces: AsyncIterator[bytes]
    """The part; to be exhausted or closed."""


class Objects(Protocol):
    """Where objects are read; keys are relative to the archive."""

    async def head(self, key: str) -> Entity | None:
        """Return what is known of an object, or None if there is none."""

    async def read(self, key: str, part: ByteRange | None = None) -> Opened | None:
        """Open an object, or a part of it; None if there is none.

        Raises
        ------
        UnsatisfiableRangeError
            If no byte of the object is in the range.
        """


def objects_of(store: Store) -> Objects:
    """Return the reader of a store's objects."""
    if store.root is None:
        return RemoteObjects(store.backend)
    return LocalObjects(store.root, (store.root.resolve(), (store.root / "products").resolve()))


@dataclass(frozen=True, slots=True)
class LocalObjects:
    """Files of a folder; links that lead out of it are not followed."""

    root: Path
    """The folder."""
    homes: tuple[Path, ...]
    """Where its files may really lie: there, or where an operator has put the folder ``products``."""

    async def head(self, key: str) -> Entity | None:
        """Return what is known of a file."""
        with meter.request("head") as asked:
            return _told(await anyio.to_thread.run_sync(self._head, key), asked)

    async def read(self, key: str, part: ByteRange | None = None) -> Opened | None:
        """Open a file and read its first piece."""
        with meter.request("get") as asked:
            return _told(await anyio.to_thread.run_sync(self._read, key, part), asked)

    def _head(self, key: str) -> Entity | None:
        descriptor = self._open(key)
        if descriptor is None:
            return None
        try:
            return _entity_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def _read(self, key: str, part: ByteRange | None) -> Opened | None:
        descriptor = self._open(key)
        if descriptor is None:
            return None
        try:
            entity = _entity_of(os.fstat(descriptor))
            start, stop = part.within(entity.size) if part else (0, entity.size)
            first = os.pread(descriptor, min(PIECE, stop - start), start)
            complete = start + len(first) >= stop
            pieces = _single(first) if complete else _pieces(os.dup(descriptor), first, start, stop)
            return Opened(entity, start, stop, pieces)
        finally:
            os.close(descriptor)

    def _open(self, key: str) -> int | None:
        """Open a regular file that lies in the folder; what a link led to is known only once it is open."""
        try:
            descriptor = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and self._is_inside(key):
            return descriptor
        os.close(descriptor)
        return None

    def _is_inside(self, key: str) -> bool:
        path = Path(os.path.realpath(self.root / key))
        return any(path.is_relative_to(home) for home in self.homes)


@dataclass(frozen=True, slots=True)
class RemoteObjects:
    """Objects of a bucket."""

    store: ObjectStore
    """Where they are."""

    async def head(self, key: str) -> Entity | None:
        """Return what is known of an object."""
        with meter.request("head") as asked:
            return _told(await self._head(key), asked)

    async def _head(self, key: str) -> Entity | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return _entity(await obstore.head_async(self.store, key))
        except FileNotFoundError:
            return None

    async def read(self, key: str, part: ByteRange | None = None) -> Opened | None:
        """Ask for an object or a part of it."""
        with meter.request("get") as asked:
            return _told(await self._ask(key, part), asked)

    async def _ask(self, key: str, part: ByteRange | None) -> Opened | None:
        try:
            async with asyncio.timeout(PATIENCE):
                result = await obstore.get_async(self.store, key, options={"range": _option(part)} if part else None)
        except FileNotFoundError:
            return None
        except BaseError:
            await self._require_bytes(key, part)
            raise
        start, stop = result.range
        return Opened(_entity(result.meta), start, stop, _streamed(result))

    async def _require_bytes(self, key: str, part: ByteRange | None) -> None:
        """Raise if a range lies outside of an object: stores say so in many ways."""
        entity = await self.head(key) if part else None
        if part and entity:
            part.within(entity.size)


@dataclass(frozen=True, slots=True)
class OneObject:
    """An object that was read already."""

    entity: Entity
    """What is known of it."""
    data: bytes
    """Its bytes."""

    async def head(self, key: str) -> Entity:  # noqa: ARG002 - there is but one
        """Return what is known of it."""
        return self.entity

    async def read(self, key: str, part: ByteRange | None = None) -> Opened:  # noqa: ARG002 - there is but one
        """Open it."""
        start, stop = part.within(len(self.data)) if part else (0, len(self.data))
        return Opened(self.entity, start, stop, _single(self.data[start:stop]))


async def whole(objects: Objects, key: str) -> OneObject | None:
    """Read a small object, or return None if there is none."""
    opened = await objects.read(key)
    return None if opened is None else OneObject(opened.entity, b"".join([piece async for piece in opened.pieces]))


def _told[T: Opened | Entity](found: T | None, asked: meter.Request) -> T | None:
    if found is None:
        asked.outcome = "missing"
    elif isinstance(found, Opened):
        asked.read = found.stop - found.start
    return found


def _option(part: ByteRange) -> tuple[int, int] | OffsetRange | SuffixRange:
    if part.first is None:
        return {"suffix": part.last or 0}
    return {"offset": part.first} if part.last is None else (part.first, part.last + 1)


def _entity(meta: ObjectMeta) -> Entity:
    tag = meta["e_tag"] or f'"{meta["last_modified"].timestamp():x}-{meta["size"]:x}"'
    return Entity(meta["size"], tag.removeprefix("W/"), meta["last_modified"])


def _entity_of(status: os.stat_result) -> Entity:
    tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    return Entity(status.st_size, tag, datetime.fromtimestamp(status.st_mtime, UTC))


async def _single(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _pieces(descriptor: int, first: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
    try:
        yield first
        position = start + len(first)
        while position < stop:
            data = await anyio.to_thread.run_sync(os.pread, descriptor, min(PIECE, stop - position), position)
            if not data:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            yield data
            position += len(data)
    finally:
        os.close(descriptor)


async def _streamed(result: GetResult) -> AsyncIterator[bytes]:
    async for chunk in result.stream(min_chunk_size=PIECE):
        yield bytes(chunk)
