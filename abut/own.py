"""A product by itself as a source of blocks: what its legacy tile is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import xarray as xr

from abut.blocks import Slot
from abut.labels import angle_attributes, place
from abut.layout import Band, block_key
from abut.view_angles import read_sun_angles, read_view_angles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abut.archive import Archive
    from abut.lattice import Block, Zone
    from abut.product import Product
    from abut.store import Store


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the product, whoever holds it."""

    product: str
    folder: str
    row: int
    column: int

    @property
    def whose(self) -> str:
        return self.product

    @property
    def crop(self) -> None:
        return

    def key(self, band: Band) -> str:
        return f"{self.folder}/{block_key(band.path, self.row, self.column)}"


@dataclass(frozen=True, slots=True)
class _Own:
    """All blocks of a product's footprint as if it held them; for its masks and angles, which it keeps whole."""

    archive: Archive
    """The archive."""
    item: Product
    """The product."""

    @property
    def store(self) -> Store:
        """Where the objects are."""
        return self.archive.store

    @property
    def profile(self) -> str:
        """How they are encoded."""
        return self.archive.profile

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.item.tile.zone

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The product is the only step."""
        offsets = self.item.record.safe.get("offsets", {})
        return (Slot(datetime(1970, 1, 1, tzinfo=UTC), (), (self.item.id,), 10_000, offsets),)

    def parts(self, slot: int, block: Block) -> tuple[_Block, ...]:  # noqa: ARG002 - there is one step
        """Return the product, on its hull."""
        hull = self.item.tile.hull
        return (_Block(self.item.id, self.item.folder, *hull.position(block)),) if block in hull else ()

    def renewed(self) -> _Own:
        """Return the same: masks and angles stay."""
        return self


def own_angles(archive: Archive, product: Product, bands: Sequence[Band], resolution: int) -> xr.Dataset:
    """Return a product's angles pixel by pixel on its legacy footprint, from its own masks and grids alone.

    Returns
    -------
    xarray.Dataset
        ``b02_view_zenith``, ``b02_view_azimuth`` ..., ``sun_zenith``, ``sun_azimuth``: float32 degrees (y, x), see
        `abut.view_angles`.

    Raises
    ------
    MissingObjectError, DigestMismatchError
        If something is gone or damaged.
    """
    source, bounds = _Own(archive, product), product.tile.footprint
    angles = {"sun": read_sun_angles(source, archive.store, bounds, resolution, [0])}
    for band in bands:
        angles[f"{band.key}_view"] = read_view_angles(source, archive.store, bounds, band, resolution, [0])
    variables = {
        f"{name}_{kind}": (("y", "x"), values[0], angle_attributes("solar" if name == "sun" else "sensor", kind))
        for name, both in angles.items()
        for kind, values in zip(("zenith", "azimuth"), both, strict=True)
    }
    made = xr.Dataset(variables, place(bounds, resolution), {"product": product.id})
    for variable in made.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    return made
