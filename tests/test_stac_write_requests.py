"""What becomes of requests that write before and beside the writing: tokens, bodies, threads, failures, settings."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from starlette.testclient import TestClient

from abut.errors import BadRequestError
from services.stac.bodies import checked_item
from services.stac.sqlite import SqliteBackend
from services.stac.writer import Writer
from tests.writing import PHOTOS, WRITER, client_of, photo, writing_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from pathlib import Path

    from fastapi import FastAPI

PHOTO = "/collections/field-photos"


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return writing_app(str(tmp_path / "catalog.sqlite"))


@pytest.fixture
def writer(app: FastAPI) -> Iterator[TestClient]:
    """A client whose server answers failures, as a real one does, instead of passing them to the test."""
    with TestClient(
        app, "http://abut.test", raise_server_exceptions=False, headers={"Authorization": f"Bearer {WRITER}"}
    ) as client:
        assert client.post("/collections", json=PHOTOS).status_code == 201
        assert client.post(f"{PHOTO}/items", json=photo()).status_code == 201
        yield client


# Who may not write is told so before the body is read


@pytest.mark.parametrize("token", [None, "nobody-knows-this-token", WRITER])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collections/sentinel-2-l1c/items"),
        ("PUT", "/collections/sentinel-2-l1c/items/x"),
        ("PATCH", "/collections/sentinel-2-l1c/items/x"),
        ("DELETE", "/collections/sentinel-2-l1c/items/x"),
        ("POST", "/collections/sentinel-2-l1c/bulk_items"),
        ("PUT", "/collections/sentinel-2-l1c"),
        ("PATCH", "/collections/sentinel-2-l1c"),
        ("DELETE", "/collections/sentinel-2-l1c"),
    ],
)
def test_who_may_not_write_is_told_so_before_the_body_is_read(
    app: FastAPI, token: str | None, method: str, path: str
) -> None:
    headers = {"content-type": "application/json", "content-length": "60000000", "host": "abut.test"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "scheme": "http", "server": ("abut.test", 80), "client": ("::1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def answered() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    anyio.run(answered)
    assert sent[0]["status"] == (403 if token == WRITER else 401)


# What takes long is done beside the event loop


def test_bodies_are_parsed_and_checked_beside_the_event_loop(
    writer: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops, others = set[int](), set[int]()
    required = Writer.require_collection

    def check(*arguments: Any) -> Any:
        others.add(threading.get_ident())
        return checked_item(*arguments)

    async def require(*arguments: Any) -> Any:
        loops.add(threading.get_ident())
        return await required(*arguments)

    monkeypatch.setattr("services.stac.bulk.checked_item", check)
    monkeypatch.setattr(Writer, "require_collection", require)
    assert writer.post(f"{PHOTO}/bulk_items", json={"items": {"a": photo("a")}}).status_code == 200
    assert len(loops) == len(others) == 1
    assert loops.isdisjoint(others)


# Whose fault it is


def failing(error: Exception) -> Callable[..., Any]:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def sqlite_error(code: int, message: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequestError("bbox: 'x' is none"), 400),
        (ValueError("bitmap 'secret' is not base64"), 500),
        (KeyError("secret"), 500),
        (sqlite3.DatabaseError("secret image is malformed"), 500),
        (sqlite_error(sqlite3.SQLITE_ERROR, "no such table: secret"), 500),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT, "secret is locked"), 503),
        (sqlite_error(sqlite3.SQLITE_INTERRUPT, "secret interrupted"), 503),
        (sqlite_error(sqlite3.SQLITE_IOERR_READ, "secret disk"), 503),
    ],
)
def test_only_what_the_client_did_is_the_client_s_fault(
    writer: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
) -> None:
    monkeypatch.setattr(SqliteBackend, "search", failing(error))
    monkeypatch.setattr(SqliteBackend, "replace_if", failing(error))
    for answer in (writer.get("/search"), writer.put(f"{PHOTO}/items/photo-1", json=photo())):
        assert answer.status_code == status
        assert set(answer.json()) == {"code", "description"}
        assert "secret" not in answer.text
        assert ("Retry-After" in answer.headers) == (status == 503)
    if isinstance(error, sqlite3.Error):
        assert "secret" in caplog.text


def test_a_full_disk_is_no_fault_of_the_client(tmp_path: Path) -> None:
    """The real thing: the file may not grow any more."""
    backend_app = writing_app(str(tmp_path / "catalog.sqlite"))
    real = SqliteBackend._write

    async def within(self: SqliteBackend, work: Any) -> Any:
        self._writer[0].execute("PRAGMA max_page_count = 1")  # no more than there are
        return await real(self, work)

    with pytest.MonkeyPatch.context() as changed, client_of(backend_app, WRITER) as client:
        assert client.post("/collections", json=PHOTOS).status_code == 201
        changed.setattr(SqliteBackend, "_write", within)
        noise = hashlib.shake_256(b"noise").hexdigest(100_000)  # which can't be compressed
        answer = client.post(f"{PHOTO}/bulk_items", json={"items": {"a": photo("a", noise=noise)}})
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5")
        changed.undo()
        assert client.get(f"{PHOTO}/items").json()["features"] == []


# Settings


def test_no_file_of_the_working_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text("ENABLE_RESPONSE_MODELS=maybe\n")
    monkeypatch.chdir(tmp_path)
    with client_of(writing_app(str(tmp_path / "catalog.sqlite"))) as client:
        assert client.get("/").status_code == 200
    assert "default values" not in caplog.text
