"""The jobs that are measured, each run by `run` in a process of its own."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.measure import peak_memory
from benchmarks.tiles import peer
from benchmarks.tiles.ask import tile_path
from benchmarks.tiles.questions import questions
from benchmarks.tiles.scene import FULL, QUICK, RANGE, against_truth, inner_tiles, some_tiles
from benchmarks.tiles.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.tiles.scene import MapTile, Size

KINDS: Final = ("png", "jpg", "webp")
"""Formats whose encoding is told apart."""
CLIENTS: Final = 4
"""Clients that ask at once while memory is watched."""
MOSAICS: Final = 100
"""Different mosaics of that run."""

type Costs = list[dict[str, float]]
"""Of each zoom: milliseconds of CPU and of time a tile."""


def run(job: str, out: Path, *, quick: bool, **more: Any) -> Any:
    """Run a job in a fresh interpreter, and return what it returned."""
    command = [sys.executable, "-m", "benchmarks.tiles.jobs", job, str(out), json.dumps({"quick": quick, **more})]
    environment = {**peer.environment(), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(job: str, out: str, given: str) -> None:
    """Run a job, and print what it returns as a line of JSON."""
    told = json.loads(given)
    size = QUICK if told.pop("quick") else FULL
    print(json.dumps(JOBS[job](size, Path(out), **told)))


def abut(size: Size, out: Path) -> Costs:
    """Ask the service in this process for all tiles, twice."""
    with Service(str(out / "archive")) as service:
        service.picture(tile_path(*_other(size)))
        return [_twice(zoom, size, lambda one: service.picture(tile_path(one, size.rgb))) for zoom in size.zooms]


def rio_tiler(size: Size, out: Path, *, kept: bool) -> Costs:
    """Read all tiles from COGs, twice."""
    cogs = _cogs(size, out, kept=kept)
    cogs.render(_other(size)[0])
    return [_twice(zoom, size, cogs.render) for zoom in size.zooms]


def formats(size: Size, out: Path) -> dict[str, dict[str, float]]:
    """Ask for the same tiles in each format, warm, and encode their pixels alone."""
    from rio_tiler.models import ImageData  # noqa: PLC0415 - heavy
    from titiler.core.resources.enums import ImageType  # noqa: PLC0415 - heavy
    from titiler.core.utils import render_image  # noqa: PLC0415 - heavy

    tiles = some_tiles(size.native[0], size.tiles)
    costs = {}
    with Service(str(out / "archive")) as service:
        for kind in KINDS:
            paths = [tile_path(one, size.rgb, kind) for one in tiles]
            answers = [service.picture(path) for path in paths]
            whole = _cost(lambda paths=paths: [service.picture(path) for path in paths])  # type: ignore[misc] # bound now
            costs[kind] = {"whole": whole["cpu"] / len(tiles), "bytes": sum(map(len, answers)) / len(tiles)}
        shown = [_eight_bits(*numbers(service.picture(tile_path(one, size.rgb, "npy")))) for one in tiles]
        pictures = [ImageData(np.ma.MaskedArray(data, mask)) for data, mask in shown]
        for kind in KINDS:
            form = ImageType[kind]
            alone = _cost(lambda form=form: [render_image(one, output_format=form) for one in pictures])  # type: ignore[misc] # as above
            costs[kind]["encode"] = alone["cpu"] / len(tiles)
    return costs


def pixels(size: Size, out: Path) -> dict[str, Any]:
    """Compare DN of both ways with each other, and with the ground where both read the bands' own pixels."""
    cogs = _cogs(size, out, kept=True)
    native: list[dict[str, float]] = []
    means: list[dict[str, float]] = []
    with Service(str(out / "archive")) as service:
        for zoom in size.zooms:
            if zoom in size.native:
                for one in inner_tiles(zoom, size.tiles):
                    ours, _ = numbers(service.picture(tile_path(one, size.rgb, "npy")))
                    theirs = cogs.read(one).data
                    mine, other = (against_truth(data, one, size.rgb) for data in (ours, theirs))
                    native.append(
                        {
                            "zoom": zoom,
                            "abut_other": mine.other,
                            "abut_far": mine.far,
                            "peer_other": other.other,
                            "peer_far": other.far,
                            "differ": float((ours != theirs).any(axis=0).mean()),
                        }
                    )
                continue
            for one in some_tiles(zoom, size.tiles):
                body = service.picture(tile_path(one, size.rgb, "npy"))
                means.append({"zoom": zoom, **alike(body, cogs, one)})
    return {"native": native, "overviews": means}


def cold(size: Size, out: Path) -> dict[str, float]:
    """Time a new process until it has started, its first tile, and another one."""
    paths = [tile_path(inner_tiles(size.native[0], 1, seed=seed)[0], size.rgb) for seed in (9, 8)]
    module, archive = "benchmarks.tiles.cold", str(out / "archive")
    command = [sys.executable, "-m", module, archive, str(time.monotonic()), *paths]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory(size: Size, out: Path, *, cache: int) -> dict[str, Any]:
    """Watch resident memory over many tiles of all zooms, formats and of many mosaics, several at once."""
    chance = random.Random(5)  # noqa: S311 - reproducible, not secret
    pool = [one for zoom in size.zooms for one in some_tiles(zoom, max(size.many // 20, 5), seed=5)]
    curve = [{"tiles": 0, "MB": resident()}]
    step = max(size.many // 20, 1)
    start = time.perf_counter()
    with Service(str(out / "archive"), tile_cache_bytes=cache) as service:
        started = resident()
        for done in range(0, size.many, step):
            paths = [
                tile_path(
                    chance.choice(pool), size.rgb, chance.choice(KINDS), cloud=str(50 + chance.randrange(MOSAICS) / 4)
                )
                for _ in range(min(step, size.many - done))
            ]
            service.many(paths, CLIENTS)
            curve.append({"tiles": done + len(paths), "MB": resident()})
    seconds = time.perf_counter() - start
    return {"curve": curve, "peak": peak_memory(), "started": started, "seconds": seconds}


def resident() -> float:
    """Return the resident memory of this process in MB."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _cogs(size: Size, out: Path, *, kept: bool) -> peer.Cogs:
    return peer.Cogs(str(out / "cog"), tuple(size.places), size.rgb, kept)


def _other(size: Size) -> tuple[MapTile, tuple[str, ...]]:
    """Return a tile that is not asked for otherwise, so that what is imported late is not measured."""
    return some_tiles(size.native[0], 1, seed=7)[0], size.rgb


def _twice(zoom: int, size: Size, make: Callable[[MapTile], bytes]) -> dict[str, float]:
    """Make all tiles of a zoom twice: at first sight, and again."""
    tiles = some_tiles(zoom, size.tiles)
    first = _cost(lambda: [make(one) for one in tiles])
    again = _cost(lambda: [make(one) for one in tiles])
    count = len(tiles)
    return {"zoom": zoom, "tiles": count} | {
        f"{when} {what}": cost[what] / count for when, cost in (("first", first), ("warm", again)) for what in cost
    }


def _cost(work: Callable[[], object]) -> dict[str, float]:
    """Return milliseconds of CPU of all threads, and of time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"cpu": 1_000 * (time.process_time() - cpu), "wall": 1_000 * (time.perf_counter() - wall)}


def numbers(body: bytes) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return DN (band, y, x) and where there are none, of an answer as NPY, whose last layer is the mask."""
    layers = np.load(io.BytesIO(body))
    return layers[:-1], np.broadcast_to(layers[-1] == 0, layers[:-1].shape)


def _eight_bits(data: NDArray[np.uint16], mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    low, high = RANGE
    scaled = np.clip((data.astype(np.float32) - low) / (high - low) * 255, 0, 255)
    return np.where(mask, 0, scaled).astype(np.uint8), mask


def alike(body: bytes, cogs: peer.Cogs, one: MapTile) -> dict[str, float]:
    """Return how much alike two pictures are whose overviews were made in different ways."""
    theirs = cogs.read(one)
    ours, nothing = numbers(body) if body else (np.zeros_like(theirs.data), np.ones_like(theirs.array.mask))
    both = ~(nothing | theirs.array.mask)
    found = {"both": float(both.mean()), "only_one": float((nothing != theirs.array.mask).mean())}
    if not both.any():
        return found
    differ = np.abs(ours[both].astype(float) - theirs.data[both])
    return {
        **found,
        "abut_mean": float(ours[both].mean()),
        "peer_mean": float(theirs.data[both].mean()),
        "difference": float(differ.mean()),
    }


JOBS: Final[dict[str, Callable[..., Any]]] = {
    job.__name__: job for job in (abut, rio_tiler, formats, pixels, cold, memory, questions)
}

if __name__ == "__main__":
    main(*sys.argv[1:])
