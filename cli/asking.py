"""The options by which commands ask for ground, time and bands, and what becomes of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from abut.errors import InvalidWindowError
from abut.lattice import Zone
from abut.length import parse_length
from abut.window import bbox_geobox, bbox_window, geometry_window, tile_window
from cli.options import archive_option, debug_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from abut.asked import Options
    from abut.connection import Connection
    from abut.lattice import Bounds
    from cli.options import Decorator

_KEYWORDS: Final = ("datetime", "bands", "resolution", "reflectance", "masks", "angles", "group", "baseline")
_EXAMPLE: Final = "W,S,E,N, such as 10,46,11,47"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command asks for."""

    tile: str | None
    """The tile, if one was named."""
    buffer: float
    """Metres around it."""
    window: Bounds
    """The ground."""
    geobox: Any
    """The pixels, if they are not those of a zone."""
    options: Options
    """Keywords of `abut.connection.Connection`."""

    def read(self, connection: Connection, **more: Any) -> xr.Dataset | xr.DataTree:
        """Read it, or make it lazily if `more` has chunks."""
        options: Any = {**self.options, **more}
        if self.geobox is not None:
            return connection.cube(geobox=self.geobox, **options)
        if self.tile is not None:
            return connection.tile(self.tile, self.buffer, **options)
        return connection.cube(window=self.window, **options)


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
        click.option("--to", "target", metavar="CRS", help="Resample to this coordinate system, such as EPSG:3035."),
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


def asked_of(given: Mapping[str, Any]) -> Asked:
    """Return what the options of a command ask for.

    Raises
    ------
    click.UsageError
        If they contradict each other.
    InvalidTileError, InvalidWindowError
        If a value has no meaning.
    """
    places = [name for name in ("tile", "bbox", "geometry") if given[name] is not None]
    if len(places) != 1:
        raise click.UsageError(
            f"name one of --tile, --bbox and --geometry{', not ' + str(len(places)) if places else ''}"
        )
    if given["tile"] is not None and (given["crs"] or given["zone"]):
        raise click.UsageError("--crs and --zone are for --bbox and --geometry; a tile has its own")
    if given["buffer"] is not None and given["tile"] is None:
        raise click.UsageError("--buffer is for --tile")
    if given["target"] is not None and (given["resolution"] is None or given["zone"] is not None):
        raise click.UsageError("--to needs --resolution, in its own units, and no --zone")
    options: Any = {name: given[name] for name in _KEYWORDS if given[name] not in (None, False)}
    if "resolution" in options and options["resolution"].is_integer():
        options["resolution"] = int(options["resolution"])
    for name, keyword in (
        ("cloud", "max_cloud_cover"),
        ("orbit", "relative_orbit"),
        ("across", "across"),
        ("resampling", "resampling"),
    ):
        if given[name] is not None:
            options[keyword] = given[name]
    buffer = parse_length(given["buffer"]) if given["buffer"] is not None else 0.0
    window = _window(given, buffer)
    return Asked(given["tile"], buffer, window, _geobox(given, window, options), options)


def _geobox(given: Mapping[str, Any], window: Bounds, options: Any) -> Any:
    """Return the pixels of another coordinate system: on the box as it is written, else on the window."""
    if given["target"] is None:
        return None
    resolution = options.pop("resolution")
    if given["bbox"] is not None:
        return bbox_geobox(_numbers(given["bbox"]), given["crs"] or "EPSG:4326", given["target"], resolution)
    edges = (window.left, window.bottom, window.right, window.top)
    return bbox_geobox(edges, window.zone.epsg, given["target"], resolution)


def _window(given: Mapping[str, Any], buffer: float) -> Bounds:
    if given["tile"] is not None:
        return tile_window(given["tile"], buffer)
    crs, zone = given["crs"] or "EPSG:4326", _zone(given["zone"])
    if given["bbox"] is not None:
        return bbox_window(_numbers(given["bbox"]), crs, zone)
    return geometry_window(_geometry(given["geometry"]), crs, zone)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in re.split(r"[,\s]+", text.strip())]
    except ValueError:
        raise click.UsageError(f"--bbox {text!r} is not {_EXAMPLE}") from None


def _zone(text: str | None) -> Zone | None:
    if text is None:
        return None
    try:
        return Zone(int(text.upper().removeprefix("EPSG:")))
    except ValueError:
        raise click.UsageError(f"--zone {text!r} is not a UTM zone, such as 32632") from None


def _geometry(path: Path) -> Any:
    """Return the geometry of a GeoJSON file; those of a collection of features as one."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidWindowError(f"{path}: not JSON ({error})") from error
    if isinstance(found, dict) and found.get("type") == "FeatureCollection" and isinstance(found.get("features"), list):
        parts = [one.get("geometry") for one in found["features"] if isinstance(one, dict)]
        return {"type": "GeometryCollection", "geometries": parts}
    return found
