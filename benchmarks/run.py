"""`make bench`: what ingest, legacy tiles and the archive cost, as ratios to named counterparts of the same run."""

from __future__ import annotations

import argparse
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.archive import open_archive
from abut.layout import BANDS, LEGACY, OVERVIEWS
from abut.ledger import load
from abut.testing import Scene, Swath, make_safe
from abut.tiling import TILE_SIZE, tile
from benchmarks.measure import Cost, run
from benchmarks.texture import REAL_BITS, texture
from ingest.purge import purge
from ingest.settle import settle

if TYPE_CHECKING:
    from abut.archive import Archive

TILES: Final = ("32TNP", "32TPP")
"""Two neighbours, full of data."""

INTERIOR_SHARE: Final = (100.02 * 99.96) / 109.8**2
"""Ground that a tile adds to a full lattice, as a share of its own: what settling leaves of an interior tile."""


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="products, archives and results")
    out: Path = parser.parse_args().out
    out.mkdir(exist_ok=True)
    safes = [product(name, out / "safe") for name in TILES]
    rows = [*measure_ingest(safes, out), *measure_sizes(safes, out), *measure_recreate(safes[0], out)]
    width = max(len(name) for name, *_ in rows)
    print(f"\n{'what':{width}}  {'figure':>9}  target")
    for name, figure, target in rows:
        print(f"{name:{width}}  {figure:9.3f}  {target}")
    (out / "results.json").write_text(json.dumps(rows, indent=1))


def product(name: str, folder: Path) -> Path:
    """Make a product full of realistic texture, once."""
    found = sorted(folder.glob(f"*_T{name}_*.SAFE"))
    if found:
        return found[0]
    print(f"making {name} (a few minutes, once) ...", flush=True)
    place = tile(name)
    middle = (place.ulx + TILE_SIZE // 2, place.uly - TILE_SIZE // 2)
    swath = Swath(zone=place.zone, easting=tile(TILES[0]).ulx + TILE_SIZE, northing=middle[1], width=900_000)
    return make_safe(Scene(swath=swath, texture=texture(), clouds=False), name, folder)


def measure_ingest(safes: list[Path], out: Path) -> list[tuple[str, float, str]]:
    """CPU and memory of ingest beside plainly decoding the same files."""
    rows: list[tuple[str, float, str]] = []
    bands, masks = run("decode_bands", str(safes[0])), run("decode_masks", str(safes[0]))
    for profile in ("default", "dense"):
        archive = out / f"archive-{profile}"
        shutil.rmtree(archive, ignore_errors=True)
        costs = [run("ingest_safe", str(safe), str(archive), profile, "2") for safe in safes]
        rows += _ingest_rows(profile, costs[0], bands, masks)
    return rows


def _ingest_rows(profile: str, cost: Cost, bands: Cost, masks: Cost) -> list[tuple[str, float, str]]:
    of_masks = cost.result["masks_cpu"]
    first = f"ingest ({profile})"
    return [
        (
            f"{first}: CPU of bands and all else / CPU of decoding the 13 bands",
            (cost.cpu - of_masks) / bands.cpu,
            "<= 1.15",
        ),
        (f"{first}: CPU of masks / CPU of decoding the masks", of_masks / masks.cpu, "<= 1.15"),
        (f"{first}: CPU of masks / CPU of the whole ingest", of_masks / cost.cpu, ""),
        (f"{first}: peak memory, MB", cost.peak, "<= 600"),
    ]


def measure_sizes(safes: list[Path], out: Path) -> list[tuple[str, float, str]]:
    """Bytes of the archive beside the SAFEs' band images."""
    images = {
        band.name: sum(
            p.stat().st_size for safe in safes for p in safe.rglob(f"*_{band.name}.jp2") if "MSK" not in p.name
        )
        for band in BANDS
    }
    pixels = {band.name: len(safes) * (TILE_SIZE // band.resolution) ** 2 for band in BANDS}
    rows: list[tuple[str, float, str]] = [
        (
            f"bits per pixel of {name}.jp2 / those of a real product",
            8 * images[name] / pixels[name] / REAL_BITS[name],
            "about 1",
        )
        for name in ("B02", "B08", "B05", "B01")
    ]
    jp2 = sum(images.values())
    for profile, target in (("default", "<= 1.05"), ("dense", "<= 0.90")):
        archive = open_archive(out / f"archive-{profile}")
        before = _bytes_of(archive)
        settle(archive)
        purge(archive, grace=timedelta(0))
        after = _bytes_of(archive)
        first = f"bytes ({profile})"
        rows += [
            (f"{first}: blocks before settling / JP2", before["blocks"] / jp2, ""),
            (f"{first}: blocks of this pair, settled / JP2", after["blocks"] / jp2, ""),
            (f"{first}: blocks of an interior tile, settled / JP2", before["blocks"] / jp2 * INTERIOR_SHARE, target),
            (f"{first}: overviews / blocks before settling", before["overviews"] / before["blocks"], "<= 0.08"),
            (f"{first}: masks, angles, metadata / blocks before settling", before["other"] / before["blocks"], ""),
            (f"{first}: legacy files / blocks before settling", before["legacy"] / before["blocks"], ""),
        ]
        ledger, _ = load(archive.store, archive.layers()[0])
        members = ledger.members.values()
        stored = sum(len(member.held) for member in members)
        rows.append(
            (f"{first}: stored blocks / distinct blocks", stored / len({b for m in members for b in m.valid}), "1.000")
        )
    return rows


def _bytes_of(archive: Archive) -> dict[str, int]:
    sizes = {"blocks": 0, "overviews": 0, "other": 0, "legacy": 0}
    paths = tuple(f"/{band.path}/c/" for band in BANDS)
    for entry in archive.store.entries("products"):
        if any(path in entry.key for path in paths):
            sizes["blocks"] += entry.size
        elif f"/{OVERVIEWS}/" in entry.key:
            sizes["overviews"] += entry.size
        elif f".zarr/{LEGACY}/" in entry.key:
            sizes["legacy"] += entry.size
        elif ".zarr/" in entry.key:
            sizes["other"] += entry.size
    return sizes


def measure_recreate(safe: Path, out: Path) -> list[tuple[str, float, str]]:
    """CPU of a legacy tile from the settled archive beside decoding its SAFE."""
    decoded = run("decode_bands", str(safe))
    rows: list[tuple[str, float, str]] = []
    for profile in ("default", "dense"):
        archive = open_archive(out / f"archive-{profile}")
        wanted = next(name for name in archive.product_ids() if f"_T{TILES[0]}_" in name)
        cost: Cost = run("recreate", archive.store.url, wanted)
        target = "<= 0.050" if profile == "default" else ""
        rows.append(
            (
                f"re-create ({profile}): CPU, digests checked / CPU of decoding the 13 bands",
                cost.cpu / decoded.cpu,
                target,
            )
        )
    return rows


if __name__ == "__main__":
    main()
