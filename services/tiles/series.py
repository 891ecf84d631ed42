"""All values of a point in time: of each step what the pixel that it lies in has."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from abut.errors import BadRequestError, TooLargeError
from abut.export.rasters import datasets
from abut.holdings import in_threads
from abut.lattice import BlockRange, Bounds, Zone
from abut.layout import BAND, BANDS
from abut.messages import quoted
from abut.pixels import suppliers
from catalog.text import encode
from services.stac.render import JSON
from services.tiles.clouds import cover_of
from services.tiles.images import point_in_zone
from services.tiles.renders import layers_of
from services.tiles.routes import PictureRoute
from services.tiles.source import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

    from abut.asked import Options
    from abut.layout import Band
    from services.tiles.source import Source

CELL: Final = 60
"""Metres: the largest pixel, which is a whole number of all others."""
_BATCH: Final = 16
"""Steps that are read before it is asked whether somebody still waits."""


def series_routes(path: Callable[..., Source]) -> APIRouter:
    """Return the route ``/point/{lon},{lat}/series``.

    Parameters
    ----------
    path : callable
        Dependency that says what is read.
    """
    router = APIRouter(route_class=PictureRoute)

    @router.get(
        "/point/{lon},{lat}/series",
        summary="Values of a point at all steps",
        responses={200: {"content": {JSON: {}, "text/csv": {}}, "description": "The series, by time."}},
        response_class=Response,
    )
    def series(  # noqa: PLR0917 - FastAPI names them
        lon: Annotated[float, Path(description="Longitude")],
        lat: Annotated[float, Path(description="Latitude")],
        src_path: Any = Depends(path),  # noqa: B008, FAST002 - annotations can't name it
        bands: Annotated[str | None, Query(description="Such as `B04,B08`. Default: all.")] = None,
        unscale: Annotated[bool, Query(description="Reflectance (the default), or digital numbers.")] = True,
        format: Annotated[Literal["json", "csv"], Query(description="Of the answer.")] = "json",  # noqa: A002 - in URLs
    ) -> Response:
        """Of each datatake: product, its cloud cover, and what each band has there; null where it has no data."""
        names = bands_of(bands)
        steps, about = _steps(src_path, lon, lat, names, unscale=unscale)
        if format == "csv":
            return Response(_as_csv(steps, names), media_type="text/csv")
        return Response(encode({**about, "bands": names, "steps": steps}), media_type=JSON)

    return router


def bands_of(text: str | None) -> list[str]:
    """Return the bands that a parameter names; default: all.

    Raises
    ------
    BadRequestError
        If one is none.
    """
    names = list(dict.fromkeys(layers_of([text]))) if text else [band.name for band in BANDS]
    known = {band.name for band in BANDS}
    for name in names:
        if name not in known:
            raise BadRequestError(f"bands: {quoted(name)} is no band; there are {', '.join(sorted(known))}")
    return names


def _steps(
    source: Source, lon: float, lat: float, names: Sequence[str], *, unscale: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    epsg, x, y = point_in_zone(lon, lat)
    zone = Zone(epsg)
    left, up = CELL * math.floor(x / CELL), CELL * math.floor((y - zone.equator) / CELL)
    cell = Bounds(zone, left, zone.equator + up, left + CELL, zone.equator + up + CELL)
    options = options_of(source.context, source.wish)
    connection, most = source.context.connection, source.context.settings.tile_series_steps
    options |= {"bands": list(names), "reflectance": unscale, "across": True, "chunks": {}}
    cube = connection.cube(window=cell, **options)
    groups = [one for one in datasets(cube).values() if "time" in one.sizes]
    count = groups[0].sizes["time"]
    if count > most:
        raise TooLargeError(f"{count} steps, more than the limit of {most}; ask for less time")
    source.told.of(_contents(groups))
    products = _products(groups)
    if len(groups[0]["product"]) > count:  # some step has several
        told = _suppliers(source, cell, options, BAND[names[0]], (x, y))
        products = told if len(told) == count else products
    values = {name: _values(source, groups, name, (x, y)) for name in names}
    clouds = _clouds(source, products)
    source.told.products.update(name for name in products if name)
    steps = [
        {
            "datetime": f"{np.datetime_as_string(moment, 'ms')}Z",
            "datatake": str(groups[0]["datatake"].to_numpy()[number]),
            "product": products[number],
            "cloud_cover": clouds.get(products[number]),
            "values": {name: values[name][number] for name in names},
        }
        for number, moment in enumerate(groups[0]["time"].to_numpy())
    ]
    about = {"coordinates": [lon, lat], "zone": epsg, "x": x, "y": y, "unit": "reflectance" if unscale else "DN"}
    return steps, about


def _contents(groups: Sequence[xr.Dataset]) -> list[str]:
    """Return what values are made of: pixels of a product never change."""
    named = ("time", "datatake", "product", "source", "radio_add_offset")
    return [str(one[name].to_numpy().tolist()) for one in groups for name in named if name in one.coords]


def _products(groups: Sequence[xr.Dataset]) -> list[str | None]:
    """Return the product that is read first at each step, of the zone of the point; None where there is none."""
    one = groups[0]
    names, table = one["product"].to_numpy(), one["source"].to_numpy()[:, 0, 0]
    return [str(names[index]) if index >= 0 else None for index in table]


def _suppliers(source: Source, cell: Bounds, options: Options, band: Band, at: tuple[float, float]) -> list[str | None]:
    """Return the product that the pixel of a place is of, in a band, at each step that there is by now."""
    plan = source.context.connection.plan(cell, **options).source
    (block,) = BlockRange.around(cell)
    row, column = int((cell.top - at[1]) // band.resolution), int((at[0] - cell.left) // band.resolution)
    found: list[str | None] = []
    for step in range(len(plan.slots)):
        source.stop.check()
        names, index = suppliers(plan, step, band, block, cell)
        found.append(names[0 if index is None else int(index[row, column])] if names else None)
    return found


def _values(
    source: Source, groups: Sequence[xr.Dataset], name: str, at: tuple[float, float]
) -> list[float | int | None]:
    """Read the values of a band at all steps, of the pixel that a place lies in."""
    (one,) = [group for group in groups if name.lower() in group]
    pixel = one[name.lower()].sel(x=at[0], y=at[1], method="nearest")
    found: list[float | int | None] = []
    for start in range(0, pixel.sizes["time"], _BATCH):
        source.stop.check()
        found.extend(_plain(value) for value in pixel[start : start + _BATCH].to_numpy())
    return found


def _plain(value: Any) -> float | int | None:
    """Return a value as JSON has it, reflectance in seven digits; None where there is none."""
    if isinstance(value, np.floating):
        return None if np.isnan(value) else float(f"{value:.7g}")
    return int(value) or None


def _clouds(source: Source, products: Sequence[str | None]) -> Mapping[str | None, float | None]:
    store, names = source.context.archive.store, sorted({name for name in products if name})
    return dict(zip(names, in_threads(store, lambda name: cover_of(store, name), names), strict=True))


def _as_csv(steps: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    plain = ("datetime", "datatake", "product", "cloud_cover")
    table.writerow([*plain, *names])
    for step in steps:
        table.writerow([*(step[name] for name in plain), *(step["values"][name] for name in names)])
    return out.getvalue()
