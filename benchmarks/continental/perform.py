"""Performing runs: each leaves a file of JSON, and is not done again while that is there."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from obstore.store import HTTPStore
from zarr.storage import LocalStore, ObjectStore

from benchmarks.continental.account import Account
from benchmarks.continental.network import PROFILES, apart, shaped
from benchmarks.continental.outputs import VARIABLES, digest_of
from benchmarks.continental.stage import stage, web_server
from benchmarks.continental.users import Wish, ask_all, fairness, headers_of, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.continental.runs import Run
    from benchmarks.continental.stage import Stage
    from benchmarks.continental.users import Kind, Told

_TIMEOUT: Final = 3_600
"""Seconds after which a run has failed."""
_DOWNLOADS: Final = 4
"""SAFEs that are downloaded at once: what providers allow their general users."""
_CUBE: Final = re.compile(r"/([0-9A-Z]{5})(?:_([^/]+))?\.zarr$")


def perform(runs: Sequence[Run], out: Path, tell: Callable[[str], None] = print) -> None:
    """Do the runs whose results are absent.

    Parameters
    ----------
    runs : sequence of Run
        The runs; those with the same network, workers and place of results share a stage where they are neighbours.
    out : Path
        What `benchmarks.continental.make.make` made; results are written into its folder ``runs``.
    tell : callable
        Called with a line before and after each run.
    """
    (out / "runs").mkdir(exist_ok=True)
    absent = [run for run in runs if not _path(out, run).exists()]
    done = len(runs) - len(absent)
    while absent:
        like = [run for run in absent if _stage_of(run) == _stage_of(absent[0])]
        with _doer(absent[0], out) as do:
            for run in like:
                done += 1
                tell(f"[{done}/{len(runs)}] {run.name} ...")
                result = {**_about(run), **do(run)}
                path = _path(out, run)
                unfinished = path.with_suffix(".unfinished")
                unfinished.write_text(json.dumps(result, indent=1))
                unfinished.rename(path)
                tell(f"[{done}/{len(runs)}] {run.name}: {result['wall']:.1f} s")
        absent = [run for run in absent if run not in like]


def _path(out: Path, run: Run) -> Path:
    return out / "runs" / f"{run.name}.json"


def _stage_of(run: Run) -> tuple[object, ...]:
    return run.side, run.profile, run.workers, run.results


def _about(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "group": run.group,
        "side": run.side,
        "kind": run.kind,
        "profile": run.profile,
        **{key: value for key, value in asdict(PROFILES[run.profile]).items() if key != "source"},
        "workers": run.workers,
        "cores": os.cpu_count(),
        "results": run.results,
        "machine": _machine(),
    }


def _machine() -> dict[str, str]:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return {
        "processor": f"{os.cpu_count()} x {found[1] if found else platform.machine()}",
        "memory": f"{memory:.0f} GB",
        "system": platform.system(),
    }


@contextlib.contextmanager
def _doer(run: Run, out: Path) -> Iterator[Callable[[Run], dict[str, Any]]]:
    """Run what runs of a kind share, and yield what does one."""
    if run.side == "safe":
        with (
            apart() as place,
            web_server(place, out / "zips") as (port, pid),
            shaped(place, port, PROFILES[run.profile]) as link,
        ):
            yield lambda one: _downloaded(one, out, link, {"store": pid, "network": link.pid})
        return
    with stage(out, PROFILES[run.profile], run.workers, in_folder=run.results == "folder") as ready:
        _warm(run, ready)

        def do(one: Run) -> dict[str, Any]:
            result = _asked(one, ready)
            if one.results == "folder":  # the service deletes them too, but some minutes later
                for folder in (out / "results").iterdir():
                    shutil.rmtree(folder, ignore_errors=True)
            return result

        yield do


def _warm(run: Run, ready: Stage) -> None:
    """Let every worker make a cube: what it imports and connects to is part of no run."""
    tiles = run.wishes[0].tiles[:1]
    kinds: tuple[Kind, ...] = ("bands", "ndvi")
    remove(ask_all(ready.url, [Wish(tiles, run.wishes[0].periods[:1], kind) for kind in kinds * run.workers], _TIMEOUT))


def _asked(run: Run, ready: Stage) -> dict[str, Any]:
    network, metrics, began = ready.link.counted(), ready.metrics(), time.time()
    with ready.tasks() as tasks, Account(lambda: ready.pids) as account:
        started = time.monotonic()
        told = ask_all(ready.url, run.wishes, _TIMEOUT)
        wall = time.monotonic() - started
    after = ready.metrics()
    result = {
        "wall": wall,
        "users": [
            {
                "tiles": len(one.wish.tiles),
                "months": len(one.wish.periods),
                "parts": one.wish.parts,
                "products": one.found,
                **{key: value for key, value in asdict(one).items() if key not in ("wish", "found", "job")},
            }
            for one in told
        ],
        "fairness": fairness(told),
        "parts": [{**task, "start": task["start"] - began, "end": task["end"] - began} for task in tasks],
        "network": {key: value - network[key] for key, value in ready.link.counted().items()},
        "metrics": {key: value - metrics.get(key, 0) for key, value in after.items() if value != metrics.get(key, 0)},
        "use": {name: asdict(use) for name, use in account.used().items()},
        "digests": _digests(run, told) if run.kind in VARIABLES and run.group == "network" else {},
    }
    remove(told)
    return result


def _digests(run: Run, told: Sequence[Told]) -> dict[str, str]:
    """Return the digest of each cube as a user gets it; after the run, so none of its time."""
    found = {}
    for number, one in enumerate(told):
        if one.status != "successful":
            raise RuntimeError(f"{run.name}: {one.status}, {one.message}")
        headers = headers_of(number)
        answer = httpx.get(f"{one.job}/results", headers=headers, timeout=60).raise_for_status().json()
        listed = answer["cube"] if isinstance(answer["cube"], list) else [answer["cube"]]
        for link in listed:
            match = _CUBE.search(link["href"])
            assert match, link  # noqa: S101 - the service's own
            options: Any = {"allow_http": True, "default_headers": headers}
            store = ObjectStore(HTTPStore(link["href"], client_options=options), read_only=True)
            found[match[1]] = digest_of(store, run.kind)
    return found


def _downloaded(run: Run, out: Path, link: Any, pids: dict[str, int]) -> dict[str, Any]:
    (wish,) = run.wishes
    zips = sorted(path.name for path in (out / "zips").iterdir())
    folder = out / "downloaded"
    shutil.rmtree(folder, ignore_errors=True)
    module = "benchmarks.continental.download"
    count = min(_DOWNLOADS, PROFILES[run.profile].connections or _DOWNLOADS)
    options = [link.url, str(folder), run.kind, str(run.workers), str(count), *zips]
    network = link.counted()
    with (
        subprocess.Popen([sys.executable, "-m", module, *options], stdout=subprocess.PIPE, text=True) as process,
        Account(lambda: {**pids, "client": process.pid}) as account,
    ):
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        told = json.loads(process.stdout.read())
    used = account.used()
    cubes = told.pop("cubes")
    result = {
        **told,
        "users": [{"tiles": len(wish.tiles), "months": 1, "parts": wish.parts, "products": len(zips)}],
        "network": {key: value - network[key] for key, value in link.counted().items()},
        "metrics": {},
        "use": {name: asdict(use) for name, use in used.items()},
        "digests": {tile: digest_of(LocalStore(path, read_only=True), run.kind) for tile, path in cubes.items()},
    }
    shutil.rmtree(folder)
    return result
