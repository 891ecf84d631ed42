"""What two runs of a program wrote, compared: rasters pixel by pixel, everything else byte by byte."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.runs.distance import is_different, largest_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PIXELS: Final = 1 << 24
"""Most pixels of a band that are decoded at once."""
_PLACE: Final = (
    *("width", "height", "count", "dtypes", "crs", "transform", "nodatavals"),
    *("scales", "offsets", "units", "descriptions", "colorinterp"),
)
"""What rasters have to agree in, besides their pixels: names in rasterio."""
_IMAGES: Final = ("GTiff", "JP2OpenJPEG", "PNG", "ENVI", "HFA")
"""Formats that hold one image and nothing else; what others hold beside it would not be seen."""


def _colours(image: Any) -> dict[int, Any]:
    kinds = zip(image.indexes, image.colorinterp, strict=True)
    return {band: image.colormap(band) for band, kind in kinds if kind.name == "palette"}


def _points(image: Any) -> tuple[list[Any], str]:
    points, crs = image.gcps
    return [(one.row, one.col, one.x, one.y, one.z) for one in points], str(crs)


def _polynomials(image: Any) -> Any:
    return image.rpcs and image.rpcs.to_dict()


_BESIDE: Final[dict[str, Callable[[Any], Any]]] = {
    "colour tables": _colours,
    "ground control points": _points,
    "rational polynomials": _polynomials,
}
"""What else a raster may have that says what its pixels are, or where."""


@dataclass(frozen=True, slots=True)
class BandDifference:
    """A band of a raster whose pixels differ."""

    band: int
    """Number of the band, from 1."""
    pixels: int
    """Its pixels."""
    differing: int
    """Those that differ."""
    largest: float | None
    """Largest absolute difference; None if only NaN is on one side."""
    row: int
    """Row of the first that differs, from the top."""
    column: int
    """Its column."""

    def __str__(self) -> str:
        by = "" if self.largest is None else f" by up to {self.largest:g}"
        return (
            f"band {self.band}: {self.differing:,} of {self.pixels:,} pixels differ{by}, "
            f"the first in row {self.row}, column {self.column}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that a program wrote of the original SAFE, against the same of the re-created one."""

    path: str
    """Path inside of the folder that it wrote to."""
    original: str | None
    """SHA-256 of the file made of the original, hex; None if there is none."""
    recreated: str | None
    """The same of the re-created one."""
    raster: bool = False
    """Whether both were compared as rasters: their bytes differ."""
    unequal: tuple[str, ...] = ()
    """What differs: bands, the grid, or that one is missing."""
    notes: tuple[str, ...] = ()
    """What differs and is neither pixels nor georeference."""
    varies: bool = False
    """Whether it differs between two runs on the original, too."""

    @property
    def equal(self) -> bool:
        """Whether the bytes are equal, or pixels and georeference of a raster."""
        return not self.unequal

    def __str__(self) -> str:
        if not self.equal:
            text = "; ".join(self.unequal)
        elif self.raster:
            text = f"equal pixels and georeference ({', '.join(self.notes)} not compared as such)"
        else:
            text = "equal, byte for byte"
        varies = "; so it does between two runs on the original" if self.varies else ""
        return f"{self.path}: {text}{varies}"


def compare_written(original: Path, recreated: Path) -> list[Written]:
    """Compare two folders, file by file.

    Parameters
    ----------
    original, recreated : Path
        What a program wrote of each SAFE. Links are followed if they lead to files.

    Returns
    -------
    list of Written
        One for each path that is in either, sorted.
    """
    there, here = _files(original), _files(recreated)
    return [compare_file(path, original / path, recreated / path) for path in sorted(there | here)]


def _files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def compare_file(name: str, first: Path, second: Path) -> Written:
    """Compare a file that was written of the original SAFE with the same of the re-created one.

    Parameters
    ----------
    name : str
        What it is called.
    first, second : Path
        The files, as far as they are there.
    """
    digests = [_digest(path) for path in (first, second)]
    one, two = digests
    if one == two and one is not None:
        return Written(path=name, original=one, recreated=two)
    if one is None or two is None:
        lost = "the original" if one is None else "the re-created SAFE"
        both = one is None and two is None
        return Written(
            path=name,
            original=one,
            recreated=two,
            unequal=("no file, or one that can't be read" if both else f"not written of {lost}",),
        )
    found = _raster_differences(first, second)
    if found is None:
        sizes = first.stat().st_size, second.stat().st_size
        return Written(path=name, original=one, recreated=two, unequal=(_bytes(first, second, *sizes),))
    unequal, notes = found
    return Written(
        path=name, original=one, recreated=two, raster=True, unequal=tuple(unequal), notes=tuple(notes) or ("bytes",)
    )


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _bytes(first: Path, second: Path, one: int, two: int) -> str:
    """Say how bytes differ."""
    if one != two:
        return f"{one:,} bytes of the original, {two:,} of the re-created SAFE"
    with first.open("rb") as a, second.open("rb") as b:
        wrong, place, start = 0, -1, 0
        while left := a.read(_PIXELS):
            here = np.frombuffer(left, np.uint8) != np.frombuffer(b.read(_PIXELS), np.uint8)
            if place < 0 and here.any():
                place = start + int(here.argmax())
            wrong += int(np.count_nonzero(here))
            start += len(left)
    return f"{wrong:,} of {one:,} bytes differ, the first at {place:,}"


def _raster_differences(first: Path, second: Path) -> tuple[list[str], list[str]] | None:
    """Return what differs in two rasters, and what does but does not count; None if they are no rasters."""
    import rasterio  # noqa: PLC0415 - slow to import
    from rasterio.errors import RasterioError  # noqa: PLC0415 - as above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rasters without georeference are rasters, too
        try:
            with rasterio.open(first) as one, rasterio.open(second) as two:
                if any(image.driver not in _IMAGES or image.subdatasets or not image.count for image in (one, two)):
                    return None  # there may be more than the image that would be compared
                unequal = [
                    f"{name} {found[0]!s:.100} and {found[1]!s:.100}"
                    for name in _PLACE
                    if not _same(*(found := (getattr(one, name), getattr(two, name))))
                ]
                unequal += [name for name, told in _BESIDE.items() if told(one) != told(two)]
                notes = ["bytes", *(["tags"] if one.tags() != two.tags() else [])]
                if (one.width, one.height, one.count) == (two.width, two.height, two.count):
                    unequal += [str(found) for found in _bands(one, two)]
        except RasterioError:
            return None
    return unequal, notes


def _same(one: Any, two: Any) -> bool:
    """Whether two values are equal; NaN as nodata equals itself."""
    if isinstance(one, tuple) and isinstance(two, tuple) and not hasattr(one, "a"):
        return len(one) == len(two) and all(_same(left, right) for left, right in zip(one, two, strict=True))
    nan = isinstance(one, float) and isinstance(two, float) and np.isnan(one) and np.isnan(two)
    return bool(nan or one == two)


def _bands(one: Any, two: Any) -> Iterator[BandDifference]:
    """Yield the bands that differ; some rows are decoded at a time."""
    from rasterio.windows import Window  # noqa: PLC0415 - slow to import

    rows = max(1, _PIXELS // one.width)
    for band in range(1, one.count + 1):
        masked = any(image.mask_flag_enums[band - 1][0].name == "per_dataset" for image in (one, two))
        count, place, largest = 0, (0, 0), None
        for start in range(0, one.height, rows):
            window = Window(0, start, one.width, min(rows, one.height - start))
            left, right = (image.read(band, window=window) for image in (one, two))
            if left.dtype != right.dtype:
                common = np.result_type(left, right)
                left, right = left.astype(common), right.astype(common)
            wrong = is_different(left, right)
            if masked:
                wrong |= one.read_masks(band, window=window) != two.read_masks(band, window=window)
            if not wrong.any():
                continue
            if not count:
                row, column = (int(index) for index in np.argwhere(wrong)[0])
                place = start + row, column
            count += int(np.count_nonzero(wrong))
            largest = largest_step(largest, left[wrong], right[wrong])
        if count:
            yield BandDifference(band, one.width * one.height, count, largest, *place)
