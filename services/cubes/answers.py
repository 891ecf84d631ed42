"""Answers of the cube service: errors as OGC APIs describe them, and files that exist only while they are sent."""

from __future__ import annotations

import json
import shutil
import sqlite3
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast, override

import anyio.to_thread
from obstore.exceptions import BaseError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from abut.errors import (
    AbutError,
    BadRequestError,
    InvalidPeriodError,
    InvalidTileError,
    InvalidWindowError,
    MixedBaselinesError,
    NoDataError,
    ProductNotFoundError,
    TooLargeError,
)
from abut.messages import describe, quoted
from services.answers import unavailable
from services.cubes.jobs import TooManyJobsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

PROBLEM: Final = "application/problem+json"
"""Media type of errors."""
EXCEPTIONS: Final = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
"""Where the types of exceptions of OGC API - Processes begin."""
PIECE: Final = 1 << 18
"""Bytes of a file that are in memory while it is sent."""

STATUS: Final[Mapping[type[Exception], int]] = {
    BadRequestError: 400,
    InvalidTileError: 400,
    InvalidWindowError: 400,
    InvalidPeriodError: 400,
    NoDataError: 404,
    ProductNotFoundError: 404,
    MixedBaselinesError: 409,
    TooLargeError: 413,
    TooManyJobsError: 429,
}
"""Status by error; other errors of Abut and of stores and databases are 503."""

_LONGEST: Final = 1_000


class RefusedError(HTTPException):
    """A request is answered with a status, a reason, and the type of exception that OGC names, if there is one."""

    def __init__(self, status: int, reason: str, *, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, reason, dict(headers or {}))
        self.kind = kind


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, kind: str = "") -> Response:
    """Return an error answer: type, title, status and detail (RFC 9457).

    Parameters
    ----------
    status : int
        Status of HTTP.
    detail : str
        What is wrong, in one line.
    headers : mapping, optional
        Further headers.
    kind : str
        Type of exception that OGC API - Processes names, such as ``no-such-job``.
    """
    line = " ".join(detail.split())
    body = {
        "type": f"{EXCEPTIONS}/{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}...",
    }
    retry = {"retry-after": "10"} if status in (429, 503) else {}
    return Response(
        json.dumps(body, ensure_ascii=False), status, {"cache-control": "no-store", **retry, **(headers or {})}, PROBLEM
    )


def add_handlers(app: FastAPI) -> None:
    """Make an application answer errors as the table says, and its own errors of validation."""
    from fastapi.exceptions import RequestValidationError  # noqa: PLC0415 - the table is used without FastAPI too

    app.add_exception_handler(RequestValidationError, _invalid)
    for kind, handler in HANDLED.items():
        app.add_exception_handler(kind, handler)


def unplaced(text: str, place: str) -> str:
    """Return a text without the URL of the archive or store at its start, which is none of the client's business."""
    return text.replace(f"{place}: ", "").replace(place, "the archive") if place else text


async def _known(request: Request, error: Exception) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 0)
    if status:
        return problem(status, unplaced(str(error), request.app.state.place))
    if isinstance(error, ModuleNotFoundError):
        return problem(501, describe(error))
    unavailable(error, "archive")  # logs it
    return problem(503, "the archive does not answer; try again")


async def _chosen(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of no other
    kind = error.kind if isinstance(error, RefusedError) else ""
    return problem(error.status_code, str(error.detail), error.headers, kind)


async def _invalid(_request: Request, error: Exception) -> Response:
    found = cast("RequestValidationError", error)  # the handler of no other
    return problem(400, "; ".join(dict.fromkeys(said_of(one) for one in found.errors()[:3])))


def said_of(error: Mapping[str, Any]) -> str:
    """Return name, value and reason of one error of validation by pydantic."""
    path = [str(part) for part in error["loc"] if part not in ("query", "body", "path")]
    if error["type"] == "json_invalid":
        return "body: not JSON"
    name = ".".join(path[:1]) or "body"
    if error["type"] == "missing":
        return f"{name}: missing"
    return f"{name}: {quoted(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"


class TemporaryFile(Response):
    """A file that is sent piece by piece and then removed with its folder, also if the client goes away.

    Parameters
    ----------
    path : Path
        The file.
    folder : Path
        What is removed.
    media_type : str
        Its media type.
    headers : mapping
        Further headers.
    """

    def __init__(self, path: Path, folder: Path, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(None, 200, dict(headers), media_type)
        self._path, self._folder = path, folder
        self.headers["content-length"] = str(path.stat().st_size)

    def discard(self) -> None:
        """Remove the file, if it is not to be sent."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with await anyio.open_file(self._path, "rb") as file:
                while piece := await file.read(PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(shutil.rmtree, self._folder, True)


HANDLED: Final[Mapping[Any, Any]] = {
    **dict.fromkeys((AbutError, BaseError, OSError, sqlite3.Error, ModuleNotFoundError), _known),
    HTTPException: _chosen,
}
"""What answers which errors."""
