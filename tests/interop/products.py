"""Make a SAFE, ingest it, write it again: ``products.py FOLDER`` prints the paths of the original and the new one."""

from __future__ import annotations

import sys
from pathlib import Path

from abut.archive import create_archive
from abut.export import export_safe
from abut.testing import Scene, Swath, make_safe
from abut.tiling import tile
from ingest.ingest import ingest
from ingest.safe_source import safe_sources


def main(folder: Path) -> tuple[Path, Path]:
    """Return the original and the re-created SAFE."""
    place = tile("32TMT")
    bounds = place.footprint
    swath = Swath(zone=place.zone, easting=bounds.left + 40_000, northing=bounds.bottom + 50_000, width=4_000)
    original = make_safe(Scene(swath=swath), place, folder / "original")
    archive = create_archive(folder / "archive")
    (source,) = safe_sources(original)
    ingest(archive, source)
    return original, export_safe(archive, archive.product(source.id), folder / "recreated")


if __name__ == "__main__":
    print(*main(Path(sys.argv[1])))  # noqa: T201 - what `run` reads
