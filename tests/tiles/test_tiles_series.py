"""Series of a point: whose pixel it is, where several products have the block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyproj import Transformer

from abut.lattice import BLOCK_SIZE
from tests.shots import Shot
from tests.tiles.pictures import archive_of
from tests.tiles.serving import BAND, tiles
from tests.toy import TILES

if TYPE_CHECKING:
    from pathlib import Path


def test_the_product_is_that_of_the_pixel_and_not_the_first_of_the_block(tmp_path: Path) -> None:
    west, east = Shot(TILES[0]), Shot(TILES[1])
    common = west.tile.footprint.intersection(east.tile.footprint)
    assert common is not None
    middle = (common.left // BLOCK_SIZE + 1) * BLOCK_SIZE + 2_400  # inside of a block that both have
    row = (common.bottom + common.top) // 120 * 60
    ground = replace(common, bottom=row - 1_200, top=row + 1_200)
    halves = replace(west, place=replace(ground, right=middle)), replace(east, place=replace(ground, left=middle))
    archive = archive_of(tmp_path / "archive", *halves)
    to_degrees = Transformer.from_crs(common.zone.epsg, 4326, always_xy=True)
    with tiles(archive) as client:
        for one, x in zip(halves, (middle - 90, middle + 90), strict=True):
            lon, lat = to_degrees.transform(x, row + 30)
            answer = client.get(f"/mosaic/point/{lon},{lat}/series", params=BAND)
            assert answer.status_code == 200, answer.text
            (step,) = answer.json()["steps"]
            assert step["values"]["B01"] is not None
            assert step["product"] == one.id
