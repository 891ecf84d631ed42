"""What an answer tells beside its picture, and what a client has of it already: the headers of one request."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from abut import __version__
from services.cubes.context import has

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

ITEM_SECONDS: Final = 600
"""Seconds for which clients may keep a picture of one product: its pixels never change, but it may be withdrawn."""
MOSAIC_SECONDS: Final = 30
"""Seconds for which they may keep what a search finds."""
FEW: Final = 10
"""So many products are named in a header; of more, the number is."""
LONGEST: Final = 200
"""Characters of a reason in a header."""

_UNPRINTABLE: Final = re.compile(r"[^ -~]")


class UnchangedError(Exception):
    """The client has the picture already; nothing was read."""


class EmptyTileError(Exception):
    """A map tile has nothing; the message says why.

    Parameters
    ----------
    reason : str
        Why.
    size : tuple of int
        Width and height of the tile in pixels.
    transparent : bool
        Whether the client wants a transparent picture.
    """

    def __init__(self, reason: str, size: tuple[int, int], *, transparent: bool) -> None:
        super().__init__(reason)
        self.size = size
        self.transparent = transparent


@dataclass(slots=True)
class Told:
    """What becomes known of an answer while it is made."""

    request: Request
    """What is answered."""
    seconds: int = 0
    """For how long it may be kept."""
    tag: str | None = None
    """ETag."""
    products: set[str] = field(default_factory=set)
    """Ids of the products that supplied pixels."""
    unreadable: set[str] = field(default_factory=set)
    """Ids of products that are left out because an object of theirs is broken."""
    reason: str | None = None
    """Why there is nothing, if there is nothing."""

    def of(self, parts: Iterable[str]) -> None:
        """Note what the pixels are made of; call it before they are read.

        Raises
        ------
        UnchangedError
            If the client has what is made of it.
        """
        if self.request.method not in ("GET", "HEAD"):
            return
        digest = hashlib.sha256(f"{__version__} {self.request.url.path}?{self._query()}".encode())
        for part in parts:
            digest.update(f" {part}".encode())
        self.tag = f'W/"{digest.hexdigest()[:32]}"'
        if has(self.request, self.tag):
            raise UnchangedError

    def _query(self) -> str:
        return "&".join(sorted(self.request.scope["query_string"].decode("latin-1").split("&")))

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        told = {"cache-control": "no-store" if self.unreadable else f"public, max-age={self.seconds}"}
        if self.tag and not self.unreadable:
            told["etag"] = self.tag
        if self.products:
            few = len(self.products) <= FEW
            told["abut-products"] = ",".join(sorted(self.products)) if few else str(len(self.products))
        if self.unreadable:
            told["abut-unreadable"] = ",".join(sorted(self.unreadable)[:FEW])
        if self.reason:
            told["abut-reason"] = _UNPRINTABLE.sub("?", self.reason)[:LONGEST]
        return told
