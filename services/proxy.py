"""Who asks, and under which URL: what trusted proxies say, and what an operator says.

Headers of proxies are read once, here, and taken away, so that no application in here believes a stranger's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from services.answers import problem
from services.stac.urls import ForwardedMiddleware, base_url

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

type Network = IPv4Network | IPv6Network

BASE: Final = "abut.base"
"""Key of the service's URL, as the client of a request sees it, in the request's scope; no slash at its end."""

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_FORWARDED: Final = re.compile(rb"forwarded|x-forwarded-[a-z]+|x-real-ip", re.IGNORECASE)
_FOR: Final = re.compile(r'for\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the service."""

    trusted: tuple[Network, ...] = ()
    """Networks whose proxies are believed."""
    public_url: str | None = None
    """URL of the service as clients see it, which goes before what requests say."""


def behind(app: ASGIApp, front: Front) -> ASGIApp:
    """Return an application whose requests look as the client sent them to the outermost proxy.

    Their scope has the client's address, scheme, host and root path; proxies may take the prefix of `Front.public_url`
    off the path or leave it there.
    """
    believing = ForwardedMiddleware(_without_headers(app))
    doubting = _without_headers(app)
    public = urlsplit(front.public_url) if front.public_url else None

    async def fronted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
            await problem(400, "the Host header is none")(scope, receive, send)
            return
        trusted = _is_trusted(scope, front.trusted)
        if trusted:
            scope["client"] = _client(scope, front.trusted)  # in place: for the log, which is around this
        if public is not None:
            await doubting(_seen_at(scope, public.scheme, public.netloc, public.path), receive, send)
        else:
            await (believing if trusted else doubting)(scope, receive, send)

    return fronted


def _without_headers(app: ASGIApp) -> ASGIApp:
    """Return an application that gets requests without proxies' headers, but with their base."""

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        kept = [(name, value) for name, value in scope["headers"] if not _FORWARDED.fullmatch(name)]
        plainer = {**scope, "headers": kept}
        plainer[BASE] = base_url(HTTPConnection(plainer))
        await app(plainer, receive, send)

    return plain


def _seen_at(scope: Scope, scheme: str, host: str, prefix: str) -> dict[str, Any]:
    path = scope["path"]
    if prefix and not (path == prefix or path.startswith(f"{prefix}/")):
        path = prefix + path
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "scheme": scheme,
        "headers": [*headers, (b"host", host.encode())],
        "root_path": prefix,
        "path": path,
    }


def _is_trusted(scope: Scope, networks: tuple[Network, ...]) -> bool:
    client = scope.get("client")
    return client is not None and _within(client[0], networks)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def _client(scope: Scope, networks: tuple[Network, ...]) -> tuple[str, int]:
    """Return the last address in the chain of proxies that is no trusted proxy: those before it are hearsay."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if b"forwarded" in headers:
        chain = [quoted or plain for quoted, plain in _FOR.findall(headers[b"forwarded"])]
    else:
        chain = headers.get(b"x-forwarded-for", "").split(",")
    direct: tuple[str, int] = tuple(scope["client"])
    for text in reversed(chain):
        address = _bare(text.strip())
        if address is None:
            break
        direct = (address, 0)
        if not _within(address, networks):
            break
    return direct


def _bare(text: str) -> str | None:
    """Return an address without brackets and port; None if it is none."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:]+)", text)
    if found is None:
        return None
    address = next(part for part in found.groups() if part)
    try:
        return str(ip_address(address))
    except ValueError:
        return None
