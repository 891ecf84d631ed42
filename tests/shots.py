"""Toy products of several datatakes, strips and versions; and archives of such products without a pixel."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from abut import ledger as ledgers
from abut.archive import Archive
from abut.layout import BANDS
from abut.ledger import Ledger, Member
from abut.product import item_key
from abut.store import Store, open_store
from catalog.bitmap import pack
from catalog.item import StoreDescription, make_item
from tests.catalog_products import band_metadata, product, store
from tests.toy import START, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.metadata import ProductMetadata

MADE = datetime(2024, 1, 1, tzinfo=UTC)
"""When datastrips were made that are not asked for another time."""


@dataclass(frozen=True)
class Shot(ToySource):
    """A toy product whose datatake, strip, version and clouds are chosen."""

    datatake: datetime = START
    baseline: str = "05.11"
    made: datetime = MADE
    cloud: float = 10.0
    offset: int = -1000
    orbit: int = 122

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        number = self.baseline.replace(".", "")
        made = f"{self.made:%Y%m%dT%H%M%S}{self.label}"
        return f"S2B_MSIL1C_{self.datatake:%Y%m%dT%H%M%S}_N{number}_R{self.orbit:03d}_T{self.tile_id}_{made}"

    @property
    def datastrip(self) -> str:
        times = f"{self.made:%Y%m%dT%H%M%S}_S{self.datastrip_start:%Y%m%dT%H%M%S}"
        return f"S2B_OPER_MSI_L1C_DS_2BPS_{times}_N{self.baseline}"

    @property
    def layer(self) -> str:
        return f"{self.tile.zone.epsg}.{self.datastrip}"

    @property
    def slot(self) -> str:
        """Id of its datatake without the baseline."""
        return f"GS2B_{self.datatake:%Y%m%dT%H%M%S}_033753"

    @property
    def metadata(self) -> ProductMetadata:
        """What its SAFE would say."""
        return product(
            self.tile_id,
            id=self.id,
            start=self.datatake,
            datatake_id=f"{self.slot}_N{self.baseline}",
            datastrip_id=self.datastrip,
            datastrip_start=self.datastrip_start,
            processing_baseline=self.baseline,
            cloud_percentage=self.cloud,
            relative_orbit=self.orbit,
            bands=tuple(replace(band_metadata(band), radio_add_offset=self.offset) for band in BANDS),
        )

    def item(self, written: StoreDescription) -> dict[str, Any]:
        made: dict[str, Any] = make_item(self.metadata, written).to_dict(transform_hrefs=False)
        return made


def shot_days_later(days: int, tile_id: str, **changes: Any) -> Shot:
    """A product of the same orbit some days later."""
    start = START + timedelta(days=days)
    return Shot(tile_id, **{"datatake": start, "datastrip_start": start, **changes})


def empty_archive() -> Archive:
    """An archive in memory."""
    return Archive(open_store("memory://"), "default", "")


def commit(archive: Archive, shot: Shot, member: Member, layer: str | None = None) -> None:
    """Put the item of a product that never was written, with the blocks of a member as valid."""
    hull = shot.tile.hull
    item = json.loads(_template(shot.tile_id))
    properties, metadata = item["properties"], shot.metadata
    told = {
        "datetime": metadata.datatake_start.isoformat(),
        "s2:datatake_id": metadata.datatake_id,
        "s2:datastrip_id": metadata.datastrip_id,
        "abut:datastrip_start": metadata.datastrip_start.isoformat(),
        "processing:version": metadata.processing_baseline,
        "sat:relative_orbit": metadata.relative_orbit,
        "eo:cloud_cover": metadata.cloud_percentage,
        "abut:layer": layer or shot.layer,
        "abut:store": member.prefix,
    }
    assert told.keys() <= properties.keys()
    properties |= told
    properties["abut:blocks"]["valid"] = pack((hull.position(block) for block in member.valid), hull.shape)
    for band in metadata.bands:
        item["assets"][band.band.name]["abut:radio_add_offset"] = band.radio_add_offset
    put(archive.store, item_key(shot.id), json.dumps(item | {"id": shot.id}).encode())


@cache
def _template(tile_id: str) -> str:
    """An item of a tile; to make each anew takes ten times as long."""
    metadata = Shot(tile_id).metadata
    return json.dumps(make_item(metadata, store(metadata)).to_dict(transform_hrefs=False))


def enlist(archive: Archive, layer: str, members: Iterable[Member], revision: int = 1) -> None:
    """Put a ledger."""
    made = Ledger(layer, revision, {member.product: member for member in members})
    put(archive.store, ledgers.key(layer), ledgers.encode(made))


def put(where: Store, key: str, data: bytes) -> None:
    """Put an object, whatever is there."""
    found = where.read(key)
    where.swap(key, data, found.version if found else None)
