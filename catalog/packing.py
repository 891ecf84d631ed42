"""Compression with preset dictionaries: items of a collection say most things in the same words.

Documents and properties of the first item of a collection are the dictionaries of all. What is packed starts with the
number of its dictionaries.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL: Final = 2
"""Of compression: higher ones take more time to write and hardly less to read."""

WINDOW: Final = 15
"""Binary logarithm of how far back documents are looked at."""

SMALL_WINDOW: Final = 12
"""The same of properties, which are shorter; negative to zlib, for no header."""

_NUMBER: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Dictionaries:
    """Dictionaries of a collection, for one thread."""

    number: int
    """Their number, which is never used again."""
    document: bytes
    """That of documents."""
    properties: bytes
    """That of properties."""

    def pack_document(self, text: bytes) -> bytes:
        """Compress a document."""
        return self._pack(self._documents, text)

    def pack_properties(self, text: bytes) -> bytes:
        """Compress properties."""
        return self._pack(self._small, text)

    def _pack(self, prepared: Any, text: bytes) -> bytes:
        packer = prepared.copy()  # much quicker than to take in the dictionary again
        return b"".join((_NUMBER.pack(self.number), packer.compress(text), packer.flush()))

    @cached_property
    def _documents(self) -> Any:
        return zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW, zdict=self.document)

    @cached_property
    def _small(self) -> Any:
        return zlib.compressobj(LEVEL, zlib.DEFLATED, -SMALL_WINDOW, 5, zdict=self.properties)


def unpack_document(data: bytes, dictionaries: Callable[[int], Dictionaries]) -> bytes:
    """Return the document that was packed."""
    (number,) = _NUMBER.unpack_from(data)
    unpacker = zlib.decompressobj(-WINDOW, zdict=dictionaries(number).document)
    return unpacker.decompress(memoryview(data)[_NUMBER.size :])


def unpack_properties(data: bytes, dictionaries: Callable[[int], Dictionaries]) -> bytes:
    """Return the properties that were packed."""
    (number,) = _NUMBER.unpack_from(data)
    unpacker = zlib.decompressobj(-SMALL_WINDOW, zdict=dictionaries(number).properties)
    return unpacker.decompress(memoryview(data)[_NUMBER.size :])


def shortened(text: bytes, window: int) -> bytes:
    """Return as much of a text as a dictionary of a window can have: its end."""
    return text[-(2**window) :]
