"""Which error becomes which HTTP status, with the JSON that all parts use for errors; one line, no stack trace."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from obstore.exceptions import BaseError
from rasterio.errors import RasterioError
from rio_tiler.errors import RioTilerError
from starlette.exceptions import HTTPException
from titiler.core.errors import DEFAULT_STATUS_CODES, TilerError

from abut.errors import AbutError, MissingObjectError
from services.answers import problem, unavailable
from services.cubes.answers import STATUS as OF_CUBES
from services.cubes.answers import said_of, unplaced
from services.tiles.errors import TooWideError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

STATUS: Final[Mapping[type[Exception], int]] = {
    **OF_CUBES,
    TooWideError: 413,
    UnreadableError: 424,
    MissingObjectError: 424,
}
"""Status by error; other errors of Abut and of stores and databases are 503."""

_LONGEST: Final = 1_000
_log: Final = logging.getLogger("abut.services")


def add_handlers(app: FastAPI) -> None:
    """Make an application answer errors as the table says."""
    for kind in (AbutError, BaseError, OSError, sqlite3.Error):
        app.add_exception_handler(kind, _known)
    for other in (RioTilerError, TilerError, RasterioError):
        app.add_exception_handler(other, _of_titiler)
    app.add_exception_handler(HTTPException, _chosen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, error: Exception) -> Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 0)
    place = request.app.state.place
    if not status:
        return unavailable(error, place)
    if status == 424:
        _log.warning("%s: %s", request.url.path, _line(str(error)))
    return problem(status, _line(unplaced(str(error), place)), _retry(status))


async def _of_titiler(_request: Request, error: Exception) -> Response:
    """Answer with titiler's own status; what it thinks is the server's fault is what GDAL can't do with a request."""
    known = next((DEFAULT_STATUS_CODES[kind] for kind in type(error).__mro__ if kind in DEFAULT_STATUS_CODES), 400)
    return problem(known if known < 500 else 400, _line(str(error)))


async def _chosen(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler of no other
    return problem(error.status_code, _line(str(error.detail)), {**_retry(error.status_code), **(error.headers or {})})


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler of no other
    return problem(400, _line("; ".join(dict.fromkeys(said_of(one) for one in error.errors()[:3]))))


async def _unknown(_request: Request, _error: Exception) -> Response:
    return problem(500, "the server failed to answer; its log says why")


def _retry(status: int) -> dict[str, Any]:
    return {"retry-after": "5"} if status in (429, 503) else {}


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
