"""`abut serve` as a process of its own: CPU of its tiles, and what many clients get."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from benchmarks.measure import children, cpu_of
from benchmarks.tiles.ask import tile_path
from benchmarks.tiles.load import load
from benchmarks.tiles.scene import some_tiles
from benchmarks.tiles.service import RefusedError
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.tiles.load import Load
    from benchmarks.tiles.scene import MapTile, Size

CLIENTS: Final = (1, 4, 16)
"""Clients that ask at once."""
POOL: Final = 40
"""Tiles of each zoom that they ask for at random."""
FORMAT: Final = "tiles, PNG"
"""The load that is held against the target."""
LOADS: Final = (FORMAT, "tiles, JPEG", "tiles, JPEG, two workers", "304, the tile is known")
"""What they ask for."""
TIMES: Final = 3
"""How often the tiles of a zoom are asked for while CPU is counted, whose unit is a hundredth of a second."""


def over_http(size: Size, out: Path) -> dict[int, float]:
    """Return milliseconds of the server's CPU a warm tile, by zoom."""
    found = {}
    with serving(str(out / "archive"), log_level="WARNING") as served:
        for zoom in size.zooms:
            paths = [tile_path(one, size.rgb) for one in some_tiles(zoom, size.tiles)]
            fetch(served.url, paths)
            processes = children(served.process.pid)
            before = cpu_of(processes)
            for _ in range(TIMES):
                fetch(served.url, paths)
            found[zoom] = 1_000 * (cpu_of(processes) - before) / (TIMES * len(paths))
    return found


def fetch(url: str, paths: Sequence[str]) -> list[str]:
    """Ask for paths one after the other over one connection; return their ETags.

    Raises
    ------
    RefusedError
        If one is not answered with 200, or 204 for nothing.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    tags = []
    for path in paths:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 204):
            raise RefusedError(f"{path}: {answer.status} {body[:300]!r}")
        tags.append(answer.headers.get("etag") or "")
    connection.close()
    return tags


def loads(size: Size, out: Path) -> dict[str, list[Load]]:
    """Let clients ask for random tiles of all zooms, for pictures, and for what they know already."""
    png, jpeg = ([tile_path(one, size.rgb, kind) for one in _pool(size)] for kind in ("png", "jpg"))
    found = {}
    for workers, names in ((1, (LOADS[0], LOADS[1], LOADS[3])), (2, (LOADS[2],))):
        with serving(str(out / "archive"), log_level="WARNING", workers=str(workers)) as served:
            tags = fetch(served.url, png)
            fetch(served.url, jpeg)
            asked = {LOADS[0]: (png, ()), LOADS[1]: (jpeg, ()), LOADS[2]: (jpeg, ()), LOADS[3]: (png, tags)}
            for name in names:
                paths, known = asked[name]
                _require_known(served.url, paths, known)
                found[name] = [load(served.url, paths, some, out, seconds=size.seconds, tags=known) for some in CLIENTS]
    return {name: found[name] for name in LOADS}


def _pool(size: Size) -> list[MapTile]:
    return [one for zoom in size.zooms for one in some_tiles(zoom, POOL if size.tiles > 4 else 4, seed=3)]


def _require_known(url: str, paths: Sequence[str], tags: Sequence[str]) -> None:
    """Require that a tile whose tag a client knows is not sent again."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    for path, tag in list(zip(paths, tags, strict=False))[:3]:
        connection.request("GET", path, headers={"If-None-Match": tag})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 304:
            raise RefusedError(f"{path}: {answer.status} for a known tag {tag}")
    connection.close()
