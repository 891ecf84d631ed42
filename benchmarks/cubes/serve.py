"""The servers that are asked: `abut serve` for the archive, a plain static one for all else, both 30 ms away."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from benchmarks.cubes.proxy import delayed
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def far_archive(archive: Path) -> Iterator[str]:
    """Run `abut serve` behind the proxy; yields the proxy's URL."""
    with serving(str(archive), log_level="WARNING") as served, delayed(served.url) as url:
        yield url


@contextlib.contextmanager
def far_files(folder: Path) -> Iterator[str]:
    """Run a static server behind the proxy; yields the proxy's URL."""
    command = [sys.executable, "-m", "benchmarks.cubes.serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            with delayed(_address(process)) as url:
                yield url
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    return process.stdout.readline().strip()


def main(folder: str) -> None:
    """Serve a folder on a free port, which is printed; connections wait in the socket until the server is there."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        application = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False))
        server.run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
