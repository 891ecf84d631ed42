"""A zone-wide Zarr that was made of an archive's products: the second kind of `abut.blocks.BlockSource`.

It has the hierarchy of `abut.zone_zarr`, so any Zarr client reads it as it reads the view; here it is read by blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.blocks import Slot
from abut.codec import PROFILES
from abut.errors import InvalidArchiveError
from abut.lattice import Zone
from abut.layout import BAND
from abut.store import open_store
from abut.unusable import explained
from abut.zone_layout import zone_blocks
from abut.zone_metadata import ATTRIBUTE, FORMAT

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import zarr
    from numpy.typing import NDArray

    from abut.lattice import Block
    from abut.layout import Band
    from abut.store import Store

ABSENT: Final = -1
"""In the array `source`: nobody holds the block."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ZonedPart:
    """A block of a zone-wide Zarr at a step, merged of all that held it: a `abut.blocks.Part`."""

    product: str
    """Id of the product that came first when it was made."""
    slot: int
    """Index of the step."""
    row: int
    """Row of the block."""
    column: int
    """Column of the block."""

    @property
    def whose(self) -> str:
        """Id of the product that came first."""
        return self.product

    @property
    def crop(self) -> None:
        """Nothing is cropped: that was done when it was made."""
        return

    def key(self, band: Band) -> str:
        """Key of the object of a band in the store."""
        return f"{band.group}/{band.key}/c/{self.slot}/{self.row}/{self.column}"


@dataclass(frozen=True, slots=True)
class Zoned:
    """A zone-wide Zarr as a source of blocks; open one with `open_zoned`."""

    store: Store
    """Where it is."""
    profile: str
    """How blocks are encoded, see `abut.codec`."""
    zone: Zone
    """The zone."""
    slots: tuple[Slot, ...]
    """Steps in time, in their order."""
    bands: tuple[Band, ...]
    """Bands that it has."""
    about: Mapping[str, Any]
    """What it says of itself."""
    products: tuple[str, ...] = field(repr=False)
    """Ids of all products, by step."""
    source: NDArray[np.int32] = field(repr=False, compare=False)
    """First holder of each block (slot, row, column), as index into `products`; -1 where there is none."""

    def parts(self, slot: int, block: Block) -> tuple[ZonedPart, ...]:
        """Return the block if anybody held it.

        Raises
        ------
        KeyError
            If the zone's arrays do not reach there.
        IndexError
            If there is no such step.
        """
        row, column = zone_blocks(self.zone).position(block)
        index = int(self.source[slot, row, column])
        return (ZonedPart(self.products[index], slot, row, column),) if index != ABSENT else ()

    def counts(self, slot: int) -> NDArray[np.intp]:
        """Return how many holders each block of the zone has at a step, 0 or 1; row 0 in the north."""
        held: NDArray[np.intp] = (self.source[slot] != ABSENT).astype(np.intp)
        return held

    @property
    def notes(self) -> tuple[str, ...]:
        """What other versions had and the chosen ones had not when it was made, see `abut.view.View.notes`."""
        return tuple(str(note) for note in self.about.get("notes", ()))

    @property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the products of each step."""
        return tuple(slot.products for slot in self.slots)

    def gone(self) -> tuple[str, ...]:
        """Return nothing: what becomes of the products is nothing to it."""
        return ()

    def renewed(self) -> Zoned:
        """Return the same: nothing in it changes."""
        return self


def open_zoned(url: str | os.PathLike[str]) -> Zoned:
    """Open a zone-wide Zarr that `abut zone materialise` made.

    Parameters
    ----------
    url : str or path
        A folder, ``s3://bucket/prefix`` or ``https://host/path``.

    Raises
    ------
    InvalidArchiveError
        If there is none, it is not complete, or this version does not understand it.
    UnsupportedStoreError
        If it can't be reached.
    """
    import zarr  # noqa: PLC0415 - slow to import
    from zarr.storage import ObjectStore  # noqa: PLC0415 - as above

    store = open_store(url)
    with explained(store.url):
        found = store.read("zarr.json")
    if found is None:
        raise InvalidArchiveError(f"{store.url}: no zone-wide Zarr, or one that is not complete (it has no zarr.json)")
    try:
        root = zarr.open_group(ObjectStore(store.backend, read_only=True), mode="r")
        about: Any = root.attrs[ATTRIBUTE]
        if about["format"] != FORMAT or about["profile"] not in PROFILES:
            raise InvalidArchiveError(f"{store.url}: format {about['format']!r} of {ATTRIBUTE} is not {FORMAT}")
        zone, bands = Zone(about["zone"]), tuple(BAND[name] for name in about["bands"])
        source = _values(root, "source").astype(np.int32)
        products = tuple(str(name) for name in _values(root, "product"))
        if source.shape[1:] != zone_blocks(zone).shape:
            raise InvalidArchiveError(f"{store.url}: {source.shape[1:]} blocks are not those of {zone}")
        _require_named(source, _values(root, "product_step"), len(products), store.url)
        return Zoned(store, about["profile"], zone, _slots(root, bands, products), bands, about, products, source)
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, InvalidArchiveError):
            raise
        raise InvalidArchiveError(f"{store.url}: not a zone-wide Zarr of abut ({error!r})") from error


def _require_named(source: NDArray[np.int32], steps: NDArray[np.int32], products: int, url: str) -> None:
    """See that the first holder of each block is a product of its step: a block is never taken for absent."""
    if len(steps) != products:
        raise InvalidArchiveError(f"{url}: product_step is of {len(steps)} products, product of {products}")
    for step, table in enumerate(source):
        for index in np.unique(table[table != ABSENT]).tolist():
            if not 0 <= index < products or steps[index] != step:
                raise InvalidArchiveError(f"{url}: source names product {index} at step {step}, which is none of it")


def _slots(root: zarr.Group, bands: tuple[Band, ...], products: tuple[str, ...]) -> tuple[Slot, ...]:
    """Read the steps."""
    groups = list(dict.fromkeys(band.group for band in bands))
    moments, steps = _values(root, "time"), _values(root, "product_step")
    datatakes = _values(root, f"{groups[0]}/datatake")
    quantification = _values(root, f"{groups[0]}/quantification_value")
    offsets: list[dict[str, int]] = [{} for _ in moments]
    for group in groups:
        names, table = _values(root, f"{group}/band"), _values(root, f"{group}/radio_add_offset")
        for step, row in enumerate(table):
            offsets[step] |= {str(name): int(value) for name, value in zip(names, row, strict=True)}
    return tuple(
        Slot(
            time=_EPOCH + timedelta(microseconds=int(moment)),
            datatakes=tuple(str(datatakes[step]).split()),
            products=tuple(name for name, at in zip(products, steps, strict=True) if at == step),
            quantification_value=int(quantification[step]),
            radio_add_offset=offsets[step],
        )
        for step, moment in enumerate(moments)
    )


def _values(root: zarr.Group, path: str) -> NDArray[Any]:
    import zarr  # noqa: PLC0415 - slow to import

    found = root[path]
    if not isinstance(found, zarr.Array):
        raise TypeError(f"{path} is no array")
    return np.asarray(found[...])
