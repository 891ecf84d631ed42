"""Which error becomes which HTTP status, always with the body of STAC API: ``code`` and ``description``.

Errors that are not in the table are the server's fault, a plain ValueError too. The client learns no more than that;
who runs the application logs them (`services.logs`, or uvicorn alone).
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from stac_fastapi.types.errors import ConflictError, ForeignKeyError, InvalidQueryParameter, NotFoundError
from starlette.exceptions import HTTPException

from abut.errors import BadRequestError
from abut.messages import quoted
from services.answers import problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

STATUS: Final[Mapping[type[Exception], int]] = {
    BadRequestError: 400,
    InvalidQueryParameter: 400,
    NotFoundError: 404,
    ForeignKeyError: 404,
    ConflictError: 409,
    OSError: 503,
}
"""Status by error. `HTTPException` brings its own; `RequestValidationError` is 400; errors of SQLite are 503 where they
pass; what is not here is 500."""

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
    }
)  # fmt: skip
"""Errors of SQLite that another try need not meet: others write, the disk is full, a request took too long."""

_LONGEST: Final = 1_000
"""Characters of a description at most."""

_UNREADABLE: Final = "There was an error parsing the body"
"""What FastAPI says of a body that is not UTF-8, is nested too deeply, or has a number of thousands of digits."""

_log: Final = logging.getLogger("abut.services")


def add_handlers(app: FastAPI) -> None:
    """Make an application answer errors as the table says."""
    for kind in STATUS:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(sqlite3.Error, _of_sqlite)
    app.add_exception_handler(HTTPException, _chosen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status == 503:
        return unavailable(error, "catalogue")
    _log.debug("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return problem(status, _line(str(error)))


async def _of_sqlite(request: Request, error: Exception) -> Response:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:  # its higher bits say more of the same
        return unavailable(error, "catalogue")
    _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return await _unknown(request, error)


async def _chosen(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of no other
    said = str(error.detail)
    if said == _UNREADABLE:
        said = f"body: not JSON that can be read ({error.__cause__})"
    return problem(error.status_code, _line(said), error.headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler of no other
    return problem(400, _line("; ".join(dict.fromkeys(_said(one) for one in error.errors()[:3]))))


@contextmanager
def of_the_client() -> Iterator[None]:
    """Say that the client is at fault for a ValueError: around what reads its values, and nothing else."""
    try:
        yield
    except BadRequestError:
        raise
    except ValueError as error:
        raise BadRequestError(str(error)) from error


def _line(text: str) -> str:
    """Return a text as one line that is not absurdly long, as names of a client's own may be."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _said(error: Mapping[str, Any]) -> str:
    """Return parameter, value and reason of one error of validation."""
    kind, *path = error["loc"]
    if error["type"] == "json_invalid":
        return f"body: not JSON ({error['ctx']['error']})"
    name = ".".join(map(str, path)) or str(kind)
    if error["type"] == "missing":
        return f"{name}: missing"
    return f"{name}: {quoted(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"


async def _unknown(_request: Request, _error: Exception) -> Response:
    return problem(500, "the server failed to answer; its log says why")
