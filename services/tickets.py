"""Tickets: URLs that read for a while, for what can send no header, such as an ``<img>`` or a link to a file.

A ticket is a name, a path and a time, signed by a key that only the service has. It reads (GET, HEAD) what lies at or
below its path until that time. It can't be taken back sooner, but for all at once, by another key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from abut.messages import quoted
from services.answers import problem
from services.stac.auth import CALLER, InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

PARAMETER: Final = "ticket"
"""Parameter of a URL that has a ticket."""
PATH: Final = "/access/tickets"
"""Where tickets are made."""

_PATHS: Final = re.compile(r"/|(?:/[A-Za-z0-9._~@-]+)+", re.ASCII)
_LONGEST: Final = 1_024
"""Characters of the longest path."""
_BODY: Final = 4_096


@dataclass(frozen=True, slots=True)
class Tickets:
    """Makes tickets and knows its own."""

    key: bytes
    """What signs them."""
    seconds: int = 3_600
    """How long one may last."""
    clock: Callable[[], float] = time.time
    """The time, in seconds since 1970."""

    def make(self, name: str, path: str, seconds: int) -> tuple[str, int]:
        """Return a ticket, and when it ends in seconds since 1970.

        Parameters
        ----------
        name : str
            Whose it is: an opaque name, which it shows to whoever has it.
        path : str
            Path within the service, such as ``/tiles``: of this and all below it.
        seconds : int
            How long it lasts.

        Raises
        ------
        ValueError
            If the path is none, or the ticket would last longer than it may.
        """
        if not _PATHS.fullmatch(path) or len(path) > _LONGEST or {".", ".."} & set(path.split("/")):
            raise ValueError(f"path: {quoted(path)} is not a path of the service such as /tiles or /zarr/products")
        if not 1 <= seconds <= self.seconds:
            raise ValueError(f"seconds: {seconds} is not from 1 to {self.seconds}")
        end = int(self.clock()) + seconds
        said = f"{end} {name} {path}".encode()
        return f"{_written(said)}.{_written(self._signed(said))}", end

    def holder(self, ticket: str, path: str) -> str:
        """Return whose a ticket is that reads a path.

        Raises
        ------
        InvalidTokenError
            If it is none of this service, has ended, or is for another path.
        """
        said, _, signature = ticket.partition(".")
        try:
            told, given = _read(said), _read(signature)
        except (binascii.Error, ValueError) as error:
            raise InvalidTokenError("it is none") from error
        if len(ticket) > 2 * _LONGEST or not hmac.compare_digest(self._signed(told), given):
            raise InvalidTokenError("it is none of this service")
        end, name, home = told.decode().split(" ")
        if self.clock() >= int(end):
            raise InvalidTokenError("it has ended")
        if not (home in ("/", path) or path.startswith(f"{home}/")):
            raise InvalidTokenError(f"it is for {home}")
        return name

    def _signed(self, said: bytes) -> bytes:
        return hmac.digest(self.key, b"abut ticket " + said, hashlib.sha256)


def ticket_route(tickets: Tickets) -> Route:
    """Return the route at which whoever has a token gets tickets; it is behind the guard like all others."""

    async def make(request: Request) -> Response:
        caller = request.scope[CALLER]
        try:
            asked = await _asked(request)
            path, seconds = asked.get("path", "/"), asked.get("seconds", tickets.seconds)
            if not isinstance(path, str) or not isinstance(seconds, int) or isinstance(seconds, bool):
                raise ValueError("path has to be text, and seconds a whole number")  # noqa: TRY004 - of JSON
            ticket, end = tickets.make(caller.name, path, seconds)
        except ValueError as error:
            return problem(400, str(error))
        ends = datetime.fromtimestamp(end, UTC).isoformat().replace("+00:00", "Z")
        made = {"ticket": ticket, "parameter": PARAMETER, "path": path, "expires": ends}
        return JSONResponse(made, 201, {"cache-control": "no-store"})

    return Route(PATH, make, methods=["POST"])


async def _asked(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent; an empty body is one without members."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY:
            raise ValueError(f"the body is larger than {_BODY} bytes")
    try:
        asked = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    if not isinstance(asked, dict) or set(asked) - {"path", "seconds"}:
        raise ValueError("the body is not a JSON object with path and seconds")
    return asked


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _read(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
