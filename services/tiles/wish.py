"""What a picture is made of: one product, or what a search finds, and which of several comes first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from abut.errors import BadRequestError, InvalidTileError, ProductNotFoundError
from abut.messages import quoted
from abut.period import Period, parse_period
from abut.tiling import tile

type Order = Literal["latest", "earliest", "least-cloudy", "given"]
"""Which product is shown where several have data: `latest` and `earliest` by the start of the datatake, `least-cloudy`
by the product's cloud cover and then the latest, `given` in the order of the ids."""

ORDERS: Final[tuple[Order, ...]] = ("latest", "earliest", "least-cloudy", "given")
"""All of them."""

PRODUCT: Final = re.compile(r"\w[\w.-]{0,199}", re.ASCII)
"""Ids that a product can have; a store may take others for another place, or refuse to think of them."""

_DATATAKE: Final = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
_TILE: Final = re.compile(r"[\w-]{5,10}", re.ASCII)
_LONGEST: Final = 300
"""Characters of what is asked for, in a message or header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for, checked; it can be the key of a cache.

    Raises
    ------
    BadRequestError
        If the order is none, or `given` comes without ids; if an item is asked for together with a search; if no
        product or datatake can have such an id.
    ProductNotFoundError
        If no product can have the id of the item.
    InvalidPeriodError, InvalidTileError
        If the period or a tile is none.
    """

    item: str | None = None
    """Id of one product; then nothing else is given."""
    ids: tuple[str, ...] = ()
    """Ids of products; empty: any."""
    period: str | None = None
    """When the datatake starts, as `abut.period.parse_period` reads it; None: ever."""
    tiles: tuple[str, ...] = ()
    """Ids of tiles such as ``32TNM``; empty: any."""
    cloud: float | None = None
    """Largest cloud cover in percent."""
    orbit: int | None = None
    """Relative orbit."""
    datatake: str | None = None
    """Id of a datatake, with or without its baseline."""
    filter: str | None = None
    """Any condition on items, as canonical CQL2-JSON."""
    order: Order = "latest"
    """Which product is shown where several have data."""

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise BadRequestError(f"order {quoted(self.order)} is not one of {', '.join(ORDERS)}")
        if self.order == "given" and not self.ids:
            raise BadRequestError("order 'given' is the order of ids, and no ids are given")
        if self.item is not None:
            if self.is_search:
                raise BadRequestError(f"item {quoted(self.item)} is asked for together with a search")
            if not PRODUCT.fullmatch(self.item):
                raise ProductNotFoundError(f"no product {quoted(self.item)}")
            object.__setattr__(self, "item", self.item.removesuffix(".SAFE"))
        for name in self.ids:
            if not PRODUCT.fullmatch(name):
                raise BadRequestError(f"ids: {quoted(name)} is not the id of a product")
        for name in self.tiles:
            if not _TILE.fullmatch(name):
                raise InvalidTileError(f"tiles: {quoted(name)} is not a tile of the Sentinel-2 grid")
        if self.datatake is not None and not _DATATAKE.fullmatch(self.datatake):
            raise BadRequestError(f"datatake: {quoted(self.datatake)} is not the id of a datatake")
        parse_period(self.period)
        object.__setattr__(self, "ids", tuple(dict.fromkeys(name.removesuffix(".SAFE") for name in self.ids)))
        object.__setattr__(self, "tiles", tuple(sorted({tile(name).id for name in self.tiles})))

    @property
    def is_search(self) -> bool:
        """Whether any condition of a search is given."""
        return bool(self.ids or self.tiles) or any(
            one is not None for one in (self.period, self.cloud, self.orbit, self.datatake, self.filter)
        )

    @property
    def said(self) -> str:
        """What is asked for in one line, in the words of the URL, such as ``datetime=2025-07, cloud=20``."""
        if self.item is not None:
            return f"item={self.item}".encode("unicode_escape").decode("ascii")[:_LONGEST]
        given = {
            "ids": ",".join(self.ids) or None,
            "datetime": self.period,
            "tiles": ",".join(self.tiles) or None,
            "cloud": None if self.cloud is None else f"{self.cloud:g}",
            "orbit": self.orbit,
            "datatake": self.datatake,
            "filter": self.filter,
        }
        line = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
        line = line.encode("unicode_escape").decode("ascii")  # it goes into headers
        return (line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}...") or "any product"

    @property
    def time(self) -> Period:
        """The period, parsed."""
        return parse_period(self.period)
