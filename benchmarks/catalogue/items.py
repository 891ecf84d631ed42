"""Realistic items by the hundred thousand: the tiles of Europe, 24 months, one visit every six days or so.

One item a tile is made as ingest makes it; the others of that tile differ in id, times, orbit, clouds and digests.
"""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.layout import BAND, BANDS
from abut.metadata import ANGLE_NODES, DETECTORS, BandMetadata, ProductMetadata
from abut.tiling import all_tiles
from catalog.item import StoreDescription, make_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.layout import Band
    from abut.tiling import Tile

ZONES: Final = range(32627, 32641)
"""UTM zones from the Azores to the Urals, as EPSG codes."""

NORTHINGS: Final = (3_900_000, 7_900_000)
"""From Crete to the North Cape, in metres."""

FIRST: Final = datetime(2024, 1, 1, 10, 0, 31, 24_000, tzinfo=UTC)
MONTHS: Final = 24
DAYS: Final = 730
SEED: Final = 20_240_101

_MASKS: Final = [f"{kind}/{band.name}" for kind in ("quality", "detector_footprint") for band in BANDS]
_LEGACY: Final = {"manifest.safe": 70_000, "MTD_MSIL1C.xml": 54_321, "GRANULE/L1C/MTD_TL.xml": 600_000}


def europe(count: int) -> list[Tile]:
    """Return `count` tiles of Europe, spread evenly over it."""
    low, high = NORTHINGS
    found = [place for place in all_tiles() if place.zone.epsg in ZONES and low <= place.uly <= high]
    step = len(found) / count
    return [found[int(step * number)] for number in range(min(count, len(found)))]


def items(count: int, tiles: int = 2_484) -> Iterator[dict[str, Any]]:
    """Yield items in the order of time, as an archive would register them."""
    templates = _templates(tiles)
    rounds = -(-count // len(templates))
    chance = random.Random(SEED)  # noqa: S311 - reproducible, not secret
    made = 0
    for number in range(rounds):
        for index, template in enumerate(templates):
            if made == count:
                return
            made += 1
            day = DAYS * (number + (index % 7) / 7) / rounds
            yield template.item(FIRST + timedelta(days=int(day), seconds=index % 3000), chance)


@cache
def _templates(tiles: int) -> list[_Template]:
    return [_Template(place) for place in europe(tiles)]


class _Template:
    """One tile's item as text, with marks where items of other days differ."""

    def __init__(self, place: Tile) -> None:
        self.orbit = 1 + hash_of(place.id) % 143
        metadata = _metadata(place, self.orbit)
        item = make_item(metadata, _store(metadata)).to_dict(include_self_link=False, transform_hrefs=False)
        self.tile = place.id
        self.name = metadata.id
        self.text = json.dumps(item)

    def item(self, moment: datetime, chance: random.Random) -> dict[str, Any]:
        """Return the item of another visit."""
        stamp = moment.strftime("%Y%m%dT%H%M%S")
        satellite = "AB"[chance.getrandbits(1)]
        name = f"S2{satellite}_MSIL1C_{stamp}_N0511_R{self.orbit:03d}_T{self.tile}_{stamp}"
        item: dict[str, Any] = json.loads(self.text.replace(self.name, name))
        # Clear and overcast skies are the usual ones.
        cloud = round(100 * chance.betavariate(0.4, 0.4), 4)
        moment_text = moment.isoformat().replace("+00:00", "Z")
        item["properties"] |= {
            "datetime": moment_text,
            "eo:cloud_cover": cloud,
            "platform": f"sentinel-2{satellite.lower()}",
            "s2:datatake_id": f"GS2{satellite}_{stamp}_0{self.orbit:05d}_N05.11",
            "abut:datastrip_start": moment.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
            "abut:record_digest": f"{chance.getrandbits(256):064x}",
            "view:sun_elevation": round(chance.uniform(10, 65), 4),
        }
        bands = item["properties"]["abut:digests"]["bands"]
        item["properties"]["abut:digests"]["bands"] = {band: f"{chance.getrandbits(256):064x}" for band in bands}
        return item


def hash_of(text: str) -> int:
    """Return a number that is the same on every run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def _metadata(place: Tile, orbit: int) -> ProductMetadata:
    stamp = FIRST.strftime("%Y%m%dT%H%M%S")
    name = f"S2B_MSIL1C_{stamp}_N0511_R{orbit:03d}_T{place.id}_{stamp}"
    return ProductMetadata(
        id=name,
        safe_name=f"{name}.SAFE",
        safe_format="compact",
        tile=place,
        granule_id=f"S2B_OPER_MSI_L1C_TL_2BPS_{stamp}_A033753_T{place.id}_N05.11",
        datastrip_id=f"S2B_OPER_MSI_L1C_DS_2BPS_{stamp}_S{stamp}_N05.11",
        datatake_id=f"GS2B_{stamp}_033753_N05.11",
        datatake_type="INS-NOBS",
        datatake_start=FIRST,
        datastrip_start=FIRST.replace(microsecond=0),
        sensing_time=FIRST + timedelta(seconds=317.25),
        product_start=FIRST,
        product_stop=FIRST,
        generation_time=FIRST + timedelta(hours=2),
        spacecraft="Sentinel-2B",
        processing_baseline="05.11",
        product_type="S2MSI1C",
        product_doi="https://doi.org/10.5270/S2_-742ikth",
        relative_orbit=orbit,
        absolute_orbit=33753,
        orbit_direction="descending",
        quantification_value=10000,
        special_values={"NODATA": 0, "SATURATED": 65535},
        reflectance_conversion_u=0.976,
        cloud_percentage=12.5,
        nodata_percentage=0.25,
        degraded_percentage=0.01,
        mean_sun_zenith=41.25,
        mean_sun_azimuth=164.5,
        sun_angles=np.full((2, ANGLE_NODES, ANGLE_NODES), 41.25),
        view_angles=np.full((len(BANDS), DETECTORS, 2, ANGLE_NODES, ANGLE_NODES), np.nan),
        bands=tuple(_band(band) for band in BANDS),
    )


def _band(band: Band) -> BandMetadata:
    centre = 443.0 + 60 * band.index
    return BandMetadata(
        band=band,
        image=f"GRANULE/L1C/IMG_DATA/{band.name}.jp2",
        radio_add_offset=-1000,
        solar_irradiance=1874.3 - band.index,
        physical_gain=3.9,
        wavelength_min=centre - 10,
        wavelength_central=centre,
        wavelength_max=centre + 10,
        response_step=1.0,
        response=tuple(1 - abs(i - 10) / 10 for i in range(21)),
        mean_view_zenith=3.0 + band.index / 10,
        mean_view_azimuth=(100.0 + 2 * band.index) % 360,
    )


def _store(metadata: ProductMetadata) -> StoreDescription:
    rows, columns = metadata.tile.hull.shape
    return StoreDescription(
        prefix=f"{metadata.id}.0a1b2c3d.zarr",
        layer=metadata.layer,
        band_digests={name: hashlib.sha256(name.encode()).hexdigest() for name in BAND},
        mask_digests={name: hashlib.sha256(name.encode()).hexdigest() for name in _MASKS},
        record_digest=hashlib.sha256(metadata.id.encode()).hexdigest(),
        valid=frozenset((row, column) for row in range(rows) for column in range(columns)),
        legacy_files=_LEGACY,
        data_bytes=712_345_678,
        created=FIRST + timedelta(hours=6),
        bands=tuple(BAND),
    )
