"""The guard in front of all parts: who may read, where that is not everybody.

It stands before any route is looked for, so a route that is added later is guarded like all others. What it lets
through carries a `Caller` in its scope; what it refuses is answered before a byte of the body is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request

from services.answers import problem
from services.stac.auth import CALLER, READ, Caller, InvalidTokenError, UnavailableError, bearer, caller_of, challenge
from services.tickets import PARAMETER, Tickets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from services.stac.auth import Access

FREE: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that need no token of readers: probes know none, and metrics have a token of their own."""

HANDED_ON: Final = ("/tilejson.json", "/WMTSCapabilities.xml")
"""Ends of paths whose answers name map tiles by URL: these get the ticket with which they were asked for."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a guard asks for."""

    access: Access
    """Who knows tokens."""
    tickets: Tickets
    """Who knows tickets."""
    archive: str
    """Id of the archive: names of callers are of no use elsewhere."""
    origins: Collection[str]
    """Web sites whose pages may read answers, refusals too."""
    free: Callable[[Scope, str], bool]
    """Whether a request, by its path within the service, needs no token."""


def guarded(app: ASGIApp, guard: Guard) -> ASGIApp:
    """Return an application that answers those who may read.

    Parameters
    ----------
    app : ASGI application
        All parts.
    guard : Guard
        What is asked for.
    """

    async def guarding(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no part speaks anything else
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if _is_preflight(scope) or guard.free(scope, path):
            await app(_without_ticket(scope), receive, send)
            return
        found = await _caller(guard, Request(scope), path)
        if not isinstance(found, Caller):
            await _readable(found, scope, guard.origins)(scope, receive, send)
            return
        handed_on = found.by_ticket and path.endswith(HANDED_ON)
        passed = scope if handed_on else _without_ticket(scope)
        await app({**passed, CALLER: found}, receive, _private(send, keep=not handed_on))

    return guarding


async def _caller(guard: Guard, request: Request, path: str) -> Caller | Response:
    """Return who asks, or what to answer instead."""
    token = bearer(request)
    tickets = [value for name, value in _pairs(request.scope) if name == PARAMETER]
    if token is None and tickets:
        return _by_ticket(guard, request, tickets, path)
    if token is None:
        return _refused(401, f"needs a bearer token of scope {READ}", challenge())
    try:
        caller = await caller_of(guard.access, token, guard.archive)
    except InvalidTokenError as error:
        return _refused(401, f"token not accepted: {error}", challenge("invalid_token", str(error)))
    except UnavailableError as error:
        return problem(503, str(error), {"retry-after": "10"})
    if READ not in caller.scopes:
        return _refused(403, f"needs a token of scope {READ}", challenge("insufficient_scope", scope=READ))
    return caller


def _by_ticket(guard: Guard, request: Request, tickets: list[str], path: str) -> Caller | Response:
    if request.method not in ("GET", "HEAD"):
        return _refused(401, f"a ticket is for GET and HEAD; {request.method} needs a bearer token", challenge())
    try:
        name = guard.tickets.holder(tickets[0], path) if len(tickets) == 1 else ""
    except InvalidTokenError as error:
        return _refused(401, f"ticket not accepted: {error}", challenge("invalid_token", str(error)))
    if not name:
        return _refused(401, "ticket not accepted: there is more than one", challenge("invalid_token"))
    return Caller(name, frozenset({READ}), by_ticket=True)


def _refused(status: int, description: str, header: str) -> Response:
    return problem(status, description, {"www-authenticate": header})


def _readable(answer: Response, scope: Scope, origins: Collection[str]) -> Response:
    """Let pages of permitted sites read why they were refused."""
    origin = Headers(scope=scope).get("origin")
    if origin and ("*" in origins or origin in origins):
        answer.headers["access-control-allow-origin"] = "*" if "*" in origins else origin
        answer.headers["access-control-expose-headers"] = "WWW-Authenticate, X-Request-ID"
    answer.headers["vary"] = "Authorization, Origin"
    return answer


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks what it may ask: it can't send a token with that, and nothing is done for it."""
    headers = Headers(scope=scope)
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    """Return names and values of the query; split as it is written, so that the rest can stay as it is."""
    query = scope.get("query_string", b"").decode("latin-1")
    named = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in named]


def _without_ticket(scope: Scope) -> Scope:
    """Return a request without its ticket, so that no link, ETag or message of an answer has it."""
    query = scope.get("query_string", b"")
    if PARAMETER.encode() not in query and b"%" not in query:
        return scope
    kept = [part for part in query.split(b"&") if unquote_plus(part.partition(b"=")[0].decode("latin-1")) != PARAMETER]
    return {**scope, "query_string": b"&".join(kept)}


def _private(send: Send, *, keep: bool) -> Send:
    """Return what sends answers that caches of several users don't keep; `keep` false: nor do those of one."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            said = [part.strip() for part in headers.get("cache-control", "").split(",")]
            if not keep:
                headers["cache-control"] = "no-store"
            elif "no-store" not in said:
                kept = [part for part in said if part and part not in ("public", "private")]
                headers["cache-control"] = ", ".join(["private", *kept])
            headers.add_vary_header("Authorization")
        await send(message)

    return sending
