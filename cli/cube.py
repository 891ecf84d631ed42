"""`abut cube`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from abut.cube import BEYOND
from abut.export.cube import format_of, write_cube
from abut.export.folder import require_absent
from abut.export.rasters import datasets
from cli.asking import asked_of, asking_options, connected
from cli.output import bar, print_json

if TYPE_CHECKING:
    import xarray as xr

    from abut.connection import Connection
    from abut.inputs import Asked

_AT_ONCE: Final = 1_000_000_000
"""Bytes of the largest cube that is read into memory; others are read piece by piece while they are written."""


@click.command
@asking_options
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="x.zarr, x.zarr.zip or x.nc; a name without a suffix is a folder of GeoTIFFs.",
)
def command(*, archive: str, out: Path, as_json: bool, **given: Any) -> None:
    """Write any ground over any time as Zarr, netCDF or GeoTIFF.

    Pixels are those of the SAFE products, not resampled, but for what comes from another zone, which is marked
    (`provenance`). What is there already is never replaced; the result appears when it is complete.

    \b
    abut cube --archive l1c --tile 32TNM --buffer 10km --datetime 2025-07 --bands B02,B8A --out cube.zarr
    abut cube --archive https://example.org/stac --bbox 11,46,11.5,46.5 --datetime 2025-07/2025-08 \\
        --bands B04,B08 --resolution 10 --reflectance --out ndvi.nc
    abut cube --archive l1c --geometry field.geojson --datetime 2025 --cloud 20 --out images
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    format_of(out)
    require_absent(out)
    asked = asked_of(given)
    cube = _read(connected(archive), asked, hidden=as_json)
    with bar(None, " pieces", hidden=as_json) as progress:

        def done(count: int, total: int) -> None:
            progress.total = total
            progress.update(count - progress.n)

        write_cube(cube, out, done=done)
    if as_json:
        print_json(_described(cube, out))
    else:
        click.echo(out)


def _read(connection: Connection, asked: Asked, *, hidden: bool) -> xr.Dataset | xr.DataTree:
    """Read the cube, or make it lazily if it is large."""
    with bar(None, " blocks", hidden=hidden) as progress:
        read = 0

        def show(size: int) -> None:
            nonlocal read
            read += size
            progress.set_postfix_str(f"{read / 1e6:,.0f} MB", refresh=False)
            progress.update()

        return asked.read(connection, limit=_AT_ONCE, chunks=BEYOND, on_block=show)


def _described(cube: xr.Dataset | xr.DataTree, out: Path) -> dict[str, Any]:
    groups = {
        path: {"variables": sorted(map(str, dataset.data_vars)), "sizes": {str(k): v for k, v in dataset.sizes.items()}}
        for path, dataset in datasets(cube).items()
        if dataset.data_vars
    }
    return {"path": str(out), "format": format_of(out), "groups": groups}
