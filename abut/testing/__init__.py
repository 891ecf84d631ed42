"""SAFE products made for tests: real structure, made-up ground, right sums.

A `Scene` is what a satellite saw on one datatake: a narrow, slanted swath whose pixels follow from the place alone,
so that tiles which share ground agree on it exactly, bit by bit. `make_safe` delivers a tile of it as ESA would,
in seconds: JP2 images and masks, metadata, weather, manifest with checksums. It shares no code with the readers of
SAFE, so that what they make of a product can be compared with what went into it. rasterio is needed
(``pip install abut[ingest]``).

Examples
--------
Two neighbours, in one of which a few pixels of the overlap differ by 3::

    from pathlib import Path

    from abut.lattice import Bounds
    from abut.layout import BAND
    from abut.testing import Scene, Swath, make_safe, nudged, safe_pixels
    from abut.tiling import tile

    west, east = tile("32TMT"), tile("32TNT")
    shared = west.footprint.intersection(east.footprint)
    scene = Scene(swath=Swath(zone=west.zone, easting=shared.left + 5_000, northing=shared.bottom + 50_000))
    x, y = shared.left + 4_800, shared.bottom + 49_800
    spot = Bounds(west.zone, x, y, x + 600, y + 600)  # on the 60 m grid

    folder = Path("products")
    ours = make_safe(scene, west, folder)
    theirs = make_safe(scene, east, folder, alter=nudged(spot, 3))
    pixels = safe_pixels(ours, "B02")
    assert (pixels == scene.pixels(BAND["B02"], west.footprint)).all()

Other situations: ``dataclasses.replace(scene, baseline="02.04")`` for GML masks, MD5 sums and no offset (``"04.00"``
for the first products with raster masks); ``scene.split(northing)`` for two datastrips, of which ``make_safe(...,
strip=1)`` delivers the second; any tile of any zone, north or south, beside a zone border or at the rim of the grid;
`make_multi_granule_safe` for the layout of 2016; ``zipped=True`` for a zip file; ``Scene(texture=...)`` for ground
of your own, of which `Landscape` is one: coast, fields and clouds with shadows, for detectors that know real pixels;
``Scene(frame=...)`` for data on a small patch only.
"""

from abut.testing.images import nudged
from abut.testing.landscape import Landscape
from abut.testing.safe import make_multi_granule_safe, make_safe, safe_pixels
from abut.testing.scene import Scene, Strip
from abut.testing.swath import Swath

__all__ = [
    "Landscape",
    "Scene",
    "Strip",
    "Swath",
    "make_multi_granule_safe",
    "make_safe",
    "nudged",
    "safe_pixels",
]
