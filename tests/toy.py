"""Toy products: real tiles and blocks, but only two 60 m bands and data in a small place, so that a test is quick."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.lattice import Bounds, Zone
from abut.layout import BAND, Band
from abut.tiling import Tile, tile
from catalog.item import StoreDescription, make_item
from tests.catalog_products import product

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

START = datetime(2023, 8, 23, 9, 55, 59, tzinfo=UTC)
CORNER = Bounds(Zone(32632), 585_600, 4_886_400, 624_000, 4_924_800)
"""Around the corner of the tiles 32TNP, 32TPP, 32TNQ and 32TPQ: 4 x 4 blocks."""
TILES = ("32TNP", "32TPP", "32TNQ", "32TPQ")


@cache
def ground(band: str, place: Bounds) -> NDArray[np.uint16]:
    """What the satellite saw, at 60 m: a function of place alone."""
    rows, columns = place.shape(60)
    y = (place.top - 60 * np.arange(rows, dtype=np.int64))[:, None]
    x = (place.left + 60 * np.arange(columns, dtype=np.int64))[None, :]
    value = (x * 7919 + y * 104_729 + BAND[band].index * 15_485_863) // 60
    return (1 + (value * value // 97) % 9999).astype("<u2")


@dataclass(frozen=True)
class ToySource:
    """A product of one tile that sees only `place`."""

    tile_id: str
    place: Bounds = CORNER
    added: Mapping[str, int] = field(default_factory=dict)
    """DN added to the pixels of a band within this product: unequal overlaps."""
    label: str = ""
    datastrip_start: datetime = START
    band_names: tuple[str, ...] = ("B01", "B09")
    hole: Bounds | None = None
    """Ground that has no data in the last band."""

    @property
    def id(self) -> str:
        return f"S2B_MSIL1C_20230823T095559_N0509_R122_T{self.tile_id}_2023082{self.label}"

    @property
    def tile(self) -> Tile:
        return tile(self.tile_id)

    @property
    def layer(self) -> str:
        return f"{self.tile.zone.epsg}.S2B_DS_{self.datastrip_start:%H%M%S}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.id}{sorted(self.added.items())}".encode()).hexdigest()

    @property
    def bands(self) -> tuple[Band, ...]:
        return tuple(BAND[name] for name in self.band_names)

    @property
    def safe(self) -> Mapping[str, Any]:
        return {"source": self.digest}

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.uint16]]:
        """The legacy arrays: the truth of every test."""
        return {band.name: self._array(band) for band in self.bands}

    def check(self) -> None:
        """Toys are whole."""

    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        whole = self.arrays[band.name]
        for start in range(0, len(whole), 192):
            yield whole[start : start + 192]

    def extras(self, masks: dict[str, str], profile: str) -> Iterator[tuple[str, bytes]]:  # noqa: ARG002
        masks["classification"] = hashlib.sha256(self.tile_id.encode()).hexdigest()
        yield "zarr.json", b'{"zarr_format": 3, "node_type": "group"}'

    def item(self, written: StoreDescription) -> dict[str, Any]:
        metadata = product(self.tile_id, id=self.id)
        made: dict[str, Any] = make_item(metadata, written).to_dict(transform_hrefs=False)
        return made

    def _array(self, band: Band) -> NDArray[np.uint16]:
        footprint = self.tile.footprint
        whole = np.zeros(footprint.shape(60), "<u2")
        seen = footprint.intersection(self.place)
        if seen is not None:
            whole[footprint.slices(seen, 60)] = ground(band.name, seen) + self.added.get(band.name, 0)
        if self.hole is not None and band == self.bands[-1]:
            part = footprint.intersection(self.hole)
            if part is not None:
                whole[footprint.slices(part, 60)] = 0
        return whole
