"""The options by which commands ask for ground, time and bands, and what becomes of them."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from abut import inputs
from abut.errors import CatalogueError, InvalidWindowError
from cli.options import archive_option, debug_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from abut.connection import Connection
    from abut.inputs import Asked
    from cli.options import Decorator


def asking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `asked_of` understands."""
    return reduce(lambda made, option: option(made), reversed(_options()), command)


def _options() -> list[Decorator]:
    group = click.Choice(["datatake", "solar_day"])
    kinds = click.Choice(["nearest", "bilinear", "cubic", "average"])
    return [
        archive_option("The archive: a folder, s3://bucket/prefix, or the URL of a service (`abut serve`)."),
        click.option("--tile", metavar="TILE", help="A tile, such as 32TNM."),
        click.option("--buffer", metavar="LENGTH", help="Ground around the tile: 10km, 500m.  [default: none]"),
        click.option("--bbox", metavar="W,S,E,N", help="A box, in degrees or as --crs says; W > E crosses 180."),
        click.option(
            "--geometry",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="The box around a GeoJSON geometry.",
        ),
        click.option("--crs", metavar="CRS", help="What box or geometry are written in.  [default: EPSG:4326]"),
        click.option("--zone", metavar="EPSG", help="Zone of the result, such as 32632.  [default: the centre's]"),
        click.option("--datetime", metavar="FROM[/TO]", help="Years, months, days or RFC 3339; .. for an open end."),
        click.option("--bands", metavar="NAMES", help="Such as B02,B8A.  [default: all]"),
        click.option("--to", metavar="CRS", help="Resample to this coordinate system, such as EPSG:3035."),
        click.option(
            "--resolution", type=float, metavar="SIZE", help="10, 20, 60; any with --to.  [default: their own]"
        ),
        click.option("--reflectance", is_flag=True, help="Reflectance (float32) instead of DN."),
        click.option("--masks", is_flag=True, help="Masks too."),
        click.option("--angles", is_flag=True, help="Viewing and sun angles of each pixel too."),
        click.option("--group", type=group, help="What makes a step in time.  [default: datatake]"),
        click.option("--baseline", metavar="NUMBER", help="Processing baseline, such as 05.11.  [default: newest]"),
        click.option("--cloud", type=float, metavar="PERCENT", help="Only products with at most so many clouds."),
        click.option("--orbit", type=click.IntRange(1, 143), metavar="N", help="Only this relative orbit."),
        click.option("--across/--no-across", default=None, help="Fill from other zones.  [default: yes with --buffer]"),
        click.option("--resampling", type=kinds, help="How other zones are resampled.  [default: nearest]"),
        json_option(),
        debug_option(),
    ]


def connected(archive: str) -> Connection:
    """Connect to an archive; a service that can't be reached is bad input, as a folder that is not there."""
    from abut.connection import connect  # noqa: PLC0415 - xarray takes its time; usage is checked before

    try:
        return connect(archive)
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error


def asked_of(given: Mapping[str, Any]) -> Asked:
    """Return what the options of a command ask for.

    Raises
    ------
    BadRequestError, InvalidTileError, InvalidWindowError, InvalidPeriodError
        If they contradict each other, or a value has no meaning.
    """
    said = {name: value for name, value in given.items() if value is not None and value is not False}
    if given["across"] is not None:
        said["across"] = given["across"]
    if given["geometry"] is not None:
        said["geometry"] = _geometry(given["geometry"])
    return inputs.asked_of(said, prefix="--")


def _geometry(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidWindowError(f"{path}: not JSON ({error})") from error
