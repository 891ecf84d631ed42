"""Who asks, and under which URL: what trusted proxies say, and what an operator says.

Headers of proxies are read once, here, and taken away, so that no application in here believes a stranger's.

A proxy adds its word at the end of what it was sent, so the start of these lists is whatever the client wrote. They
are read from the end: the last address was added by the proxy that asks us; only if that address is a trusted proxy
too, the one before it counts, and so on. Scheme, host and prefix are those that the outermost trusted proxy saw.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from services.answers import problem
from services.stac.urls import base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

type Network = IPv4Network | IPv6Network

BASE: Final = "abut.base"
"""Key of the service's URL, as the client of a request sees it, in the request's scope; no slash at its end."""

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_HEADER: Final = re.compile(rb"forwarded|x-forwarded-[a-z]+|x-real-ip", re.IGNORECASE)
_READ: Final = ("forwarded", *(f"x-forwarded-{name}" for name in ("for", "proto", "host", "port", "prefix")))
_PAIR: Final = re.compile(r'(for|proto|host)\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the service."""

    trusted: tuple[Network, ...] = ()
    """Networks whose proxies are believed."""
    public_url: str | None = None
    """URL of the service as clients see it, which goes before what requests say."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What trusted proxies say of a client and of what it asked for; empty where they say nothing."""

    client: str = ""
    """Address of the client."""
    scheme: str = ""
    """Scheme that it used."""
    host: str = ""
    """Host, and perhaps port, that it asked."""
    prefix: str = ""
    """Path that a proxy took off."""


def behind(app: ASGIApp, front: Front) -> ASGIApp:
    """Return an application whose requests look as the client sent them to the outermost trusted proxy.

    Their scope has the client's address, scheme, host and root path; proxies may take the prefix of `Front.public_url`
    off the path or leave it there.
    """
    public = urlsplit(front.public_url) if front.public_url else None

    async def fronted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or not all(_HOST.fullmatch(host) for host in hosts):
            await problem(400, "the Host header is none")(scope, receive, send)
            return
        peer = scope.get("client")
        seen = _seen(scope, front.trusted) if peer is not None and _within(peer[0], front.trusted) else _Seen()
        if seen.client:
            scope["client"] = (seen.client, 0)  # in place: for the log, which is around this
        kept = [(name, value) for name, value in scope["headers"] if not _HEADER.fullmatch(name)]
        plain = {**scope, "headers": kept}
        if public is not None:
            plain = _public(plain, public.scheme, public.netloc, public.path)
        else:
            plain = _as_seen(plain, seen)
        plain[BASE] = base_url(HTTPConnection(plain))
        await app(plain, receive, send)

    return fronted


def _public(scope: dict[str, Any], scheme: str, host: str, prefix: str) -> dict[str, Any]:
    path = scope["path"]
    if prefix and not (path == prefix or path.startswith(f"{prefix}/")):
        path = prefix + path
    return {**scope, "scheme": scheme, "headers": _with_host(scope, host), "root_path": prefix, "path": path}


def _as_seen(scope: dict[str, Any], seen: _Seen) -> dict[str, Any]:
    """Return a request as its client sent it; what makes no scheme, host or path is ignored."""
    changed = dict(scope)
    if seen.scheme in _PORTS:
        changed["scheme"] = seen.scheme
    if _HOST.fullmatch(seen.host):
        default = f":{_PORTS[changed['scheme']]}" if changed["scheme"] in _PORTS else ""
        changed["headers"] = _with_host(scope, seen.host.removesuffix(default))
    prefix = seen.prefix.rstrip("/")
    if _PREFIX.fullmatch(prefix):
        changed["root_path"] = prefix + scope.get("root_path", "")
        changed["path"] = prefix + scope["path"]
    return changed


def _with_host(scope: Mapping[str, Any], host: str) -> list[tuple[bytes, bytes]]:
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return [*headers, (b"host", host.encode())]


def _seen(scope: Scope, trusted: tuple[Network, ...]) -> _Seen:
    """Return what a trusted proxy says.

    If there are both ``Forwarded`` and ``X-Forwarded-...``, one of them may be the client's own, which the proxy let
    through: then only that counts in which they agree.
    """
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if _HEADER.fullmatch(name):
            headers.setdefault(name.decode().lower(), []).extend(value.decode("latin-1").split(","))
    listed = {name: [part.strip() for part in parts] for name, parts in headers.items() if name in _READ}
    own = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")

    def is_trusted(address: str) -> bool:
        return _within(address, trusted)

    standard = _of_forwarded(listed.pop("forwarded", []), is_trusted)
    usual = _of_x_forwarded(listed, own, is_trusted)
    if standard is None or usual is None:
        return standard or usual or _Seen()
    names = ("client", "scheme", "host", "prefix")
    differing = {name: "" for name in names if getattr(standard, name) != getattr(usual, name)}
    return replace(standard, **differing)


def _of_forwarded(elements: Sequence[str], is_trusted: Callable[[str], bool]) -> _Seen | None:
    """Return what ``Forwarded`` (RFC 7239) says, from its elements; None without any."""
    if not elements:
        return None
    said = [{name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(one)} for one in elements]
    client, hops = _walked([one.get("for", "") for one in said], is_trusted)
    believed: dict[str, str] = {}
    for one in reversed(said[-hops:]):
        believed |= one
    return _Seen(client, believed.get("proto", "").lower(), believed.get("host", ""))


def _of_x_forwarded(listed: Mapping[str, Sequence[str]], own: str, is_trusted: Callable[[str], bool]) -> _Seen | None:
    """Return what ``X-Forwarded-...`` say, from their parts by name; None without any. `own` is the Host header."""
    if not listed:
        return None
    client, hops = _walked(listed.get("x-forwarded-for", []), is_trusted)

    def said(name: str) -> str:
        """Return the part of the outermost trusted proxy; proxies that replace the header leave fewer parts."""
        parts = listed.get(f"x-forwarded-{name}", [""])
        return parts[-min(hops, len(parts))]

    host, port = said("host"), said("port")
    if port.isascii() and port.isdigit() and not re.search(r":[0-9]+$", host):
        base = host or re.sub(r":[0-9]+$", "", own)
        host = f"{base}:{port}" if base else ""
    return _Seen(client, said("proto").lower(), host, said("prefix"))


def _walked(chain: Sequence[str], is_trusted: Callable[[str], bool]) -> tuple[str, int]:
    """Return the last address of a chain that is no trusted proxy, and how many parts, from the end, are believed.

    What comes before that address is hearsay. What is no address ends the chain; one part is believed at least, as
    the proxy that asks us is trusted.
    """
    client, hops = "", 0
    for text in reversed(chain):
        hops += 1
        address = _bare(text)
        if address is None:
            break
        client = address
        if not is_trusted(address):
            break
    return client, max(hops, 1)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    plain = getattr(found, "ipv4_mapped", None) or found  # as a socket that listens on IPv6 names those of IPv4
    return any(plain in network for network in networks)


def _bare(text: str) -> str | None:
    """Return an address without brackets and port; None if it is none."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:.]+)", text)
    if found is None:
        return None
    address = next(part for part in found.groups() if part)
    try:
        return str(ip_address(address))
    except ValueError:
        return None
