"""Compare what other people's readers make of two SAFE folders: the original and the re-created one.

Run by `tests/interop/run` in an environment of its own: ``readers.py ORIGINAL RECREATED``. One line per array; the exit
status is 1 if one differs, or holds nothing that could differ.
"""

# ruff: noqa: PLC0415, T201 - each reader is imported when its turn comes; a script that prints
from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# eoreader looks for nothing outside the product, unless these name a place.
for _name in ("EOREADER_DEM_PATH", "S3_DB_URL_ROOT", "TESTING_USING_S3_DB"):
    os.environ.pop(_name, None)
os.environ["SATPY_DOWNLOAD_AUX"] = "False"
warnings.simplefilter("ignore")

type Read = Callable[[Path], Iterator[tuple[str, Any]]]
"""Yields names, and arrays or values."""


def gdal(safe: Path) -> Iterator[tuple[str, Any]]:
    """GDAL's SENTINEL2 driver through rasterio: all 13 bands, place and metadata."""
    import rasterio

    with rasterio.open(safe / "MTD_MSIL1C.xml") as product:
        subdatasets = [name for name in product.subdatasets if ":TCI:" not in name]
        yield "metadata", product.tags()
    for name in subdatasets:
        with rasterio.open(name) as image:
            label = name.split(":")[-2]
            yield f"{label} place", (tuple(image.transform), str(image.crs), image.descriptions)
            for index in image.indexes:
                yield f"{label} {image.descriptions[index - 1].partition(',')[0]}", image.read(index)


def satpy(safe: Path) -> Iterator[tuple[str, Any]]:
    """satpy's `msi_safe`: counts, a reflectance, and angles on the grid of the 60 m bands."""
    from satpy import Scene  # type: ignore[import-not-found,unused-ignore] # in an environment of its own

    files = [
        str(path)
        for path in (*safe.glob("MTD*.xml"), *safe.glob("GRANULE/*/MTD*.xml"), *safe.glob("GRANULE/*/IMG_DATA/*"))
    ]
    scene = Scene(files, reader="msi_safe")
    for name in ("B01", "B04", "B8A", "B12"):
        scene.load([name], calibration="counts")
        yield f"{name} counts", scene[name].values
        scene.unload()
    scene = Scene(files, reader="msi_safe")
    scene.load(["B09"], calibration="reflectance")
    yield "B09 reflectance", scene["B09"].values
    angles = ["solar_zenith_angle", "solar_azimuth_angle", "satellite_zenith_angle", "satellite_azimuth_angle"]
    scene.load(angles, resolution=60)
    for name in angles:
        yield name, scene[name].values


def eoreader(safe: Path) -> Iterator[tuple[str, Any]]:
    """eoreader: reflectances at 60 m, cleaned with the masks, and angles."""
    from eoreader.bands import CA, SWIR_CIRRUS, WV  # type: ignore[import-not-found,unused-ignore] # as satpy
    from eoreader.reader import Reader  # type: ignore[import-not-found,unused-ignore] # as satpy

    with tempfile.TemporaryDirectory() as scratch:
        product = Reader().open(safe, output_path=scratch, remove_tmp=True)
        yield "bands", sorted(str(band) for band in product.get_existing_bands())
        yield "mean sun angles", product.get_mean_sun_angles()
        yield "footprint", product.footprint().to_json()
        for band in (CA, WV, SWIR_CIRRUS):
            yield f"{band.name} reflectance", product.load([band], pixel_size=60)[band].values


def fingerprint(value: Any) -> str:
    """Return a digest of an array or value; of a mere constant the word ``nothing``."""
    if not isinstance(value, np.ndarray):
        return hashlib.sha256(repr(value).encode()).hexdigest()
    array: NDArray[Any] = np.ascontiguousarray(value)
    finite = array[np.isfinite(array)]
    if finite.size == 0 or finite.min() == finite.max():
        return "nothing"
    return hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).hexdigest()


def compare(name: str, read: Read, original: Path, recreated: Path) -> bool:
    """Print a line for each thing that a reader reads; say whether all are equal."""
    theirs, ours = ({label: fingerprint(value) for label, value in read(safe)} for safe in (original, recreated))
    for label in sorted(theirs.keys() | ours.keys()):
        equal = theirs.get(label) == ours.get(label) != "nothing"
        print(f"{name}: {label}: {'equal' if equal else f'{theirs.get(label)} is not {ours.get(label)}'}", flush=True)
    return theirs == ours and "nothing" not in theirs.values()


def main() -> int:
    """Compare with all readers."""
    original, recreated = (Path(text) for text in sys.argv[1:3])
    readers: dict[str, Read] = {"gdal": gdal, "satpy": satpy, "eoreader": eoreader}
    results = {name: compare(name, read, original, recreated) for name, read in readers.items()}
    print(*(f"{name} {'passed' if passed else 'FAILED'}" for name, passed in results.items()), sep=", ")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # eoreader leaves threads behind that complain, without effect, when the interpreter ends in the usual way.
    os._exit(status)
