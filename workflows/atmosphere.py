"""The terms of 6S for a band, a geometry and an aerosol, from a table that is made once.

`coefficients.json` holds what `workflows.make_coefficients` took from runs of 6S at a few angles and optical
thicknesses. Between them, terms are polynomials through the nodes: of third degree in the cosine of the sun's zenith
angle and in optical thickness, of second in the direction of view around the zenith (Sentinel-2 sees the ground at 12
degrees at most), or linear in the path's length where only that matters. What is interpolated is path reflectance times
the cosine of the sun's zenith angle, which stays bounded as the sun sinks.

Against 18 geometries of 6S between the nodes, ground of reflectance 0.2 came out within 0.0013 where the sun is 27
degrees or more from the zenith. Nearer to it, at 20 and 25 degrees, it was within 0.003: there maritime aerosol sends
light straight back, in a peak that a polynomial of the view rounds off. That is why the table ends at 20 degrees.
"""

from __future__ import annotations

import bisect
import json
import math
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from workflows.adjacency import Atmosphere
from workflows.errors import WorkflowError

BANDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""Bands that can be corrected. Through B09 and B10, where water vapour absorbs, the ground is hardly seen."""
_FILE: Final = Path(__file__).with_name("coefficients.json")


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_FILE.read_text())
    return table


def atmosphere(
    band: str,
    *,
    satellite: str,
    sun_zenith: float,
    view_zenith: float,
    relative_azimuth: float,
    optical_thickness: float,
    aerosol: str,
) -> Atmosphere:
    """Return the terms of 6S for ground at sea level and the water vapour and ozone of a mid-latitude summer.

    Parameters
    ----------
    band : str
        One of `BANDS`.
    satellite : str
        ``A``, ``B``, or another one that was added to the table.
    sun_zenith, view_zenith : float
        Degrees, 20 to 75 and 0 to 12.
    relative_azimuth : float
        Azimuth of the sun minus azimuth of the sensor, both as seen from the ground, in degrees; 0 is the sun behind
        the sensor.
    optical_thickness : float
        Of aerosols at 550 nm, 0.05 to 0.6.
    aerosol : str
        Model: ``continental`` or ``maritime``.

    Returns
    -------
    Atmosphere
        The terms; by the formulae of 6SV (Vermote et al., 6S User Guide).

    Raises
    ------
    WorkflowError
        If the table does not have that satellite, band or aerosol, or a value is out of its range.
    """
    table = _table()
    satellites = table["satellites"]
    if satellite not in satellites:
        raise WorkflowError(
            f"there are no terms for satellite {satellite!r}, only for {', '.join(sorted(satellites))}: add them with "
            "workflows.make_coefficients --product and an MTD_MSIL1C.xml of that satellite"
        )
    if band not in satellites[satellite]:
        raise WorkflowError(f"there are no terms for band {band!r}, only for {', '.join(BANDS)}")
    aerosols = satellites[satellite][band]
    if aerosol not in aerosols:
        raise WorkflowError(f"there are no terms for aerosol {aerosol!r}, only for {', '.join(sorted(aerosols))}")
    suns, thicknesses = table["sun_zenith"], table["optical_thickness"]
    widest = max(zenith for zenith, _ in table["views"])
    _require("sun zenith", sun_zenith, suns[0], suns[-1])
    _require("view zenith", view_zenith, 0, widest)
    _require("relative azimuth", relative_azimuth, -360, 360)
    _require("aerosol optical thickness", optical_thickness, thicknesses[0], thicknesses[-1])

    height, heights = math.cos(math.radians(sun_zenith)), [math.cos(math.radians(angle)) for angle in suns]
    sun = _through(heights, height)
    haze = _through(thicknesses, optical_thickness)
    view = _directions(view_zenith, relative_azimuth, widest)
    length = 1 / math.cos(math.radians(view_zenith))
    slant = _through([1.0, 1 / math.cos(math.radians(widest))], length)
    terms = {name: np.array(values) for name, values in aerosols[aerosol].items()}
    path = np.tensordot(view, terms["path"], 1)
    up = float(slant @ terms["up"] @ haze)
    direct = math.exp(-float(terms["tau_molecules"] + terms["tau_aerosols"] @ haze) * length)
    return Atmosphere(
        path=max(float((sun * heights) @ path @ haze) / height, 0.0),
        gases=min(float(slant @ terms["gases"] @ sun), 1.0),
        down=min(float(sun @ terms["down"] @ haze), 1.0),
        direct=direct,
        diffuse=max(up - direct, 0.0),
        albedo=float(terms["albedo"] @ haze),
        molecules=float(terms["molecules"]),
        aerosols=max(float(terms["aerosols"] @ haze), 0.0),
    )


def _require(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise WorkflowError(f"the {what} is {value}; the table of the atmosphere goes from {least:g} to {most:g}")


def _through(nodes: list[float], at: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the weight of each node's value in the polynomial through the four nodes around a value (Lagrange).

    More nodes would let what is uneven at one end swing the other one.
    """
    ascending = sorted(nodes)
    after = min(max(bisect.bisect_right(ascending, at), 2), max(len(nodes) - 2, 2))
    near = ascending[after - 2 : after + 2]
    weights = {node: math.prod((at - other) / (node - other) for other in near if other != node) for node in near}
    return np.array([weights.get(node, 0.0) for node in nodes])


def _directions(zenith: float, azimuth: float, widest: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the weights of the views: straight down, and from azimuths 0, 90 and 180 at the widest angle.

    Towards and away from the sun (x) the polynomial has a linear and a quadratic part; across (y), where both sides are
    alike, a quadratic one.
    """
    away = math.sin(math.radians(zenith)) / math.sin(math.radians(widest))
    x, y = away * math.cos(math.radians(azimuth)), away * math.sin(math.radians(azimuth))
    return np.array([1 - x * x - y * y, (x * x + x) / 2, y * y, (x * x - x) / 2])
