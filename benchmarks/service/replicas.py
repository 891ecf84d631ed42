"""Replicas: tiles a second of one and of two, each as a pod with a core of its own."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from benchmarks.tiles.ask import tile_path
from benchmarks.tiles.load import load
from benchmarks.tiles.scene import some_tiles
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.tiles.scene import Size
    from tests.serving import Served

CLIENTS: Final = 8
"""Clients that ask each replica at once."""
POOL: Final = 40
"""Tiles of each zoom that they ask for at random."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What some replicas did."""

    replicas: int
    """How many."""
    rate: float
    """Answers a second, of all together."""
    p95: float
    """95th percentile of the time of an answer in milliseconds, of the slower one."""


def rates(size: Size, out: Path, *, seconds: int, cores: Sequence[int] | None = None) -> list[Rate]:
    """Let clients ask one replica, then two.

    Parameters
    ----------
    size : Size
        What is asked for.
    out : Path
        Folder with the archive.
    seconds : int
        For how long each time.
    cores : sequence of int, optional
        A core for each replica; the clients take whatever is free. Default: the first that this process may use.
    """
    usable = list(cores or sorted(os.sched_getaffinity(0)))
    paths = [tile_path(one, size.rgb) for zoom in size.zooms for one in some_tiles(zoom, POOL)]
    with contextlib.ExitStack() as stack:
        archive = str(out / "archive")
        limits = {"tile_requests_per_client": "1000", "log_level": "WARNING"}
        services = [stack.enter_context(serving(archive, "--part", "tiles", **limits)) for _ in range(2)]  # type: ignore[arg-type]
        for number, served in enumerate(services):
            _bind(served, usable[number % len(usable)])
            for path in paths:
                httpx.get(f"{served.url}{path}", timeout=120).raise_for_status()
        return [_together(services[:count], paths, out, seconds) for count in (1, 2)]


def _together(services: Sequence[Served], paths: Sequence[str], out: Path, seconds: int) -> Rate:
    def ask(number: int) -> tuple[float, float]:
        folder = out / f"wrk-{number}"
        folder.mkdir(exist_ok=True)
        found = load(services[number].url, paths, CLIENTS, folder, seconds=seconds)
        return found.rate, found.p95

    with ThreadPoolExecutor(len(services)) as pool:
        found = list(pool.map(ask, range(len(services))))
    return Rate(len(services), sum(rate for rate, _ in found), max(slowest for _, slowest in found))


def _bind(served: Served, core: int) -> None:
    """Let all threads of a service run on one core alone."""
    for thread in os.listdir(f"/proc/{served.process.pid}/task"):  # noqa: PTH208 - numbers, not files
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {core})
