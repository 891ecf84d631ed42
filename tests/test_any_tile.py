"""Tile + 10 km, read at one place of each kind, against toys pasted by hand: "any tile" is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import create_archive
from abut.connection import connect
from abut.ground import ground_in, tiles_on
from abut.lattice import Bounds
from abut.tiling import tile, tiles_touching
from abut.window import neighbour_zones, tile_window
from ingest.ingest import ingest
from tests.toy import ToySource, ground

if TYPE_CHECKING:
    from pathlib import Path

    from abut.tiling import Tile

KINDS = {
    "inner": ("32TNM", "NE", ()),
    "zone border": ("32TQM", "NE", ()),
    "three zones": ("43XEJ", "NE", ()),
    "31V beside 32V": ("31VEG", "NE", ()),
    "32V beside 31V": ("32VKM", "NW", ()),
    "Svalbard": ("33XVG", "NW", ()),
    "antimeridian": ("01WCM", "NW", ()),
    "equator, from the north": ("32NNF", "SE", ()),
    "equator, from the south": ("32MNE", "NE", ()),
    "coast without its eastern and northern neighbours": ("32TNM", "NE", ("32TPM", "32TNN", "32TPN")),
}
SEEN = 14_400
"""Data lie so far around a corner of the tile, in metres."""


def corner(where: Tile, which: str) -> Bounds:
    footprint = where.footprint
    x = footprint.right if which[1] == "E" else footprint.left
    y = footprint.top if which[0] == "N" else footprint.bottom
    return Bounds(where.zone, x - SEEN, y - SEEN, x + SEEN, y + SEEN)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_and_10_km_around_it(kind: str, tmp_path: Path) -> None:
    name, which, missing = KINDS[kind]
    window = tile_window(name, 10_000)
    place = corner(tile(name), which)
    archive = create_archive(tmp_path / "archive")
    own = [one for one in tiles_touching(window) if one.footprint.intersection(place) and one.id not in missing]
    for one in own:
        ingest(archive, ToySource(one.id, place=place, band_names=("B01",)))
    elsewhere = 0
    for zone in neighbour_zones(window):
        beyond = ground_in(zone, place)
        for one in () if beyond is None else tiles_on(zone, place):
            assert beyond is not None
            ingest(archive, ToySource(one.id, place=beyond, band_names=("B01",)))
            elsewhere += 1

    cube = connect(archive.store.url).tile(name, 10_000, bands="B01")["r60m"]

    pixels = cube["b01"].to_numpy()[0]
    expected = np.zeros(window.shape(60), np.uint16)
    for one in own:
        seen = one.footprint.intersection(place)
        part = seen and seen.intersection(window)
        if part:
            expected[window.slices(part, 60)] = ground("B01", place)[place.slices(part, 60)]
    native = expected > 0
    assert native.any()
    assert (pixels[native] == expected[native]).all()
    assert pixels.shape == (2_164, 2_164)
    if not elsewhere:
        assert "provenance" not in cube
        assert (pixels == expected).all()
        return
    provenance = cube["provenance"].to_numpy()[0]
    assert (provenance[native] == 1).all()
    assert ((provenance == 2) == (~native & (pixels > 0))).all()
    assert (provenance == 2).any(), "the other zone has ground that this one lacks"


def test_the_kinds_are_what_they_are_called() -> None:
    zones = {
        kind: {zone.epsg for zone in neighbour_zones(tile_window(name, 10_000))} for kind, (name, _, _) in KINDS.items()
    }
    assert not zones["inner"]
    assert len(zones["zone border"]) == 1
    assert len(zones["three zones"]) == 2
    assert 32660 in zones["antimeridian"]
    assert 32732 in zones["equator, from the north"]
    assert 32632 in zones["equator, from the south"]
