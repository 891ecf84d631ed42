"""Cubes as files in a temporary folder, from which they are sent."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from abut import __version__
from abut.errors import TooLargeError
from abut.export.cube import write_cube
from abut.export.cube_zarr import zip_folder
from abut.export.rasters import datasets

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from abut.connection import Connection
    from services.cubes.execution import Stop
    from services.cubes.inputs import Format, Single

ZIP: Final = "application/zip"
NETCDF: Final = "application/x-netcdf"
TIFF: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
MEDIA_TYPES: Final[dict[Format, str]] = {"zarr": ZIP, "netcdf": NETCDF, "geotiff": TIFF, "cog": TIFF}
"""Media type by format; several GeoTIFFs come as a zip."""

_NAMES: Final[dict[Format, str]] = {"zarr": "cube.zarr.zip", "netcdf": "cube.nc", "geotiff": "cube", "cog": "cube"}
_LONGEST: Final = 4_000
_TRIPLES: Final = 3 << 16


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made for one answer."""

    folder: Path
    """Temporary folder that holds nothing else; whoever takes it removes it."""
    path: Path
    """The file."""
    media_type: str
    """Its media type."""
    tag: str
    """ETag, weak: the same pixels of the same products have the same one."""
    products: tuple[str, ...]
    """Ids of the products that supplied pixels, or may have."""

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of an answer with it."""
        listed = ",".join(self.products)
        return {
            "cache-control": "no-cache",
            "content-disposition": f'attachment; filename="{self.path.name}"',
            "etag": self.tag,
            "abut-products": listed if len(listed) <= _LONGEST else str(len(self.products)),
        }


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The client has the file already."""

    tag: str
    """Its ETag."""


def planned(connection: Connection, single: Single, limit: int) -> xr.Dataset | xr.DataTree:
    """Return a lazy cube that is not too large; no pixel is read. Errors as `planned_pixels` and `Single.cube`."""
    return single.cube(planned_pixels(connection, single, limit))


def planned_pixels(connection: Connection, single: Single, limit: int) -> xr.Dataset | xr.DataTree:
    """Return the lazy pixels that a cube is made of, if they are not too many; none is read.

    Raises
    ------
    TooLargeError
        If they are more than `limit` bytes; the message has both figures. Where one step is, nothing is looked for.
    AbutError
        As `abut.connection.Connection.tile`.
    """
    from services.cubes.worker import without_paths  # noqa: PLC0415 - loads xarray, which cubes have loaded by now

    require_size(single.asked.least_bytes, limit, "at least ")
    pixels = without_paths(single.pixels(connection))
    require_size(size_of(pixels), limit)
    return pixels


def size_of(cube: xr.Dataset | xr.DataTree) -> int:
    """Return the bytes of all variables of a cube."""
    return sum(int(variable.nbytes) for one in datasets(cube).values() for variable in one.data_vars.values())


def require_size(size: int, limit: int, least: str = "") -> None:
    """Raise `TooLargeError` if a size is above a limit."""
    if size > limit:
        raise TooLargeError(
            f"the cube has {least}{size:,} bytes, more than the limit of {limit:,}; ask for fewer bands, less ground "
            "or time"
        )


def make_cube_file(
    connection: Connection,
    single: Single,
    form: Format,
    *,
    limit: int,
    scratch: str | None,
    is_known: Callable[[str], bool],
    stop: Stop,
) -> Made | Unchanged:
    """Make the file of a cube.

    Parameters
    ----------
    connection : Connection
        The archive.
    single : Single
        The cube.
    form : str
        zarr, netcdf, geotiff or cog.
    limit : int
        Bytes of the largest cube that is read.
    scratch : str, optional
        Folder for temporary folders. Default: the system's.
    is_known : callable
        Whether the client has what an ETag names.
    stop : Stop
        Ends it early.

    Raises
    ------
    TooLargeError
        If the cube is larger than the limit; nothing was read then.
    AbutError
        As `abut.connection.Connection.tile` and `abut.export.cube.write_cube`.
    """
    cube = planned(connection, single, limit)
    products = products_of(cube)
    tag = _tag(cube, single, form)
    if is_known(tag):
        return Unchanged(tag)
    stop.check()
    folder = Path(tempfile.mkdtemp(prefix="abut-cube-", dir=scratch))
    try:
        out = folder / _NAMES[form]
        # Small enough to be held; and threads here, whatever cluster runs the jobs.
        write_cube(cube.compute(scheduler="threads"), out, done=stop.check)
        path, media_type = (out, MEDIA_TYPES[form]) if out.is_file() else only(out)
        stop.check()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Made(folder, path, media_type, tag, products)


def only(out: Path) -> tuple[Path, str]:
    """Return what is sent of a folder of GeoTIFFs, and its media type: the only one, or a zip of them."""
    images = sorted(out.iterdir())
    if len(images) == 1:
        return images[0], TIFF
    packed = out.with_name(f"{out.name}.zip")
    zip_folder(out, packed)
    shutil.rmtree(out)
    return packed, ZIP


def as_document(made: Made, output: str) -> Made:
    """Return a file as the value of an output in a JSON document, in base64 (qualifiedInputValue of OGC)."""
    path = made.folder / "results.json"
    about = {"mediaType": made.media_type, "encoding": "base64"}
    head, tail = json.dumps({output: {**about, "value": "|"}}).split("|")
    with path.open("wb") as target, made.path.open("rb") as source:
        target.write(head.encode())
        while piece := source.read(_TRIPLES):
            target.write(base64.b64encode(piece))
        target.write(tail.encode())
    return Made(made.folder, path, "application/json", made.tag.replace('/"', '/"document-'), made.products)


def products_of(cube: xr.Dataset | xr.DataTree) -> tuple[str, ...]:
    """Return the ids of the products of all zones that a cube is read from, sorted."""
    return tuple(
        sorted({str(name) for one in datasets(cube).values() if "product" in one for name in one["product"].to_numpy()})
    )


def _tag(cube: xr.Dataset | xr.DataTree, single: Single, form: Format) -> str:
    """Return the ETag of a cube: pixels of a product never change, so what it is made of and the request say it all."""
    digest = hashlib.sha256(f"{__version__} {form} {single.asked} {single.derived}".encode())
    for path, one in datasets(cube).items():
        digest.update(path.encode())
        for name in ("time", "step_time", "datatake", "radio_add_offset", "quantification_value", "product", "source"):
            if name in one.coords:
                values: Any = one[name].to_numpy()
                digest.update(f"{name}{values.dtype}{values.shape}".encode() + values.tobytes())
    return f'W/"{digest.hexdigest()[:32]}"'
