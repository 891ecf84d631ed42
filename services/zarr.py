"""The archive's objects over HTTP, read only: what an item's hrefs name, and what readers plan by.

Beside the products these are the ledgers of the layers, and of the archive's settings those that readers need. There
are no listings. Keys follow a strict grammar, so that what is no object of a product never reaches the store.
GDAL finds an array only if its path is a folder of the web: the path redirects to itself with a slash, and there lies
an index that names ``zarr.json``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from starlette.datastructures import Headers

from abut.product import is_tombstone
from abut.unusable import explained
from services.answers import problem, unavailable
from services.objects import Objects, OneObject, objects_of, whole
from services.ranges import CONDITIONS, Entity, UnsatisfiableRangeError, parse_range, range_holds, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from abut.store import Store
    from services.objects import Opened
    from services.signing import Signer

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""Caching of what lies under a key whose bytes never change."""
REVALIDATED: Final = "no-cache"
"""Caching of what may be replaced or withdrawn: kept, and asked for again each time."""
GONE: Final = "no-store"
"""Caching of what is not there: a block that is absent today may be written tomorrow."""

type Kind = Literal["settings", "ledger", "item", "metadata", "block", "file", "node"]

_LONGEST: Final = 1024
_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,240}"
_NODE: Final = r"(?!c(?:/|\Z))[a-z0-9_]{1,64}"
_NUMBER: Final = r"(?:0|[1-9]\d{0,5})"
_NAME: Final = r"(?!\.{1,2}(?:/|$))(?!\.abut-)[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,255}"
_UNFINISHED: Final = r"\#\d+"  # files that obstore is still writing
_GRAMMAR: Final = re.compile(
    rf"""
      (?P<settings> archive\.json )
    | (?P<ledger> layers/{_ID}\.json )
    | (?P<item> collection\.json | products/{_ID}\.json )
    | products/{_ID}\.zarr
      (?: (?P<metadata> (?:/{_NODE})* /zarr\.json | /record\.json )
        | (?P<block> (?:/{_NODE})+ /c (?:/{_NUMBER}){{0,5}} )
        | (?P<file> (?! .* {_UNFINISHED} \Z ) /legacy (?:/{_NAME})+ )
        | (?P<node> (?:/{_NODE})* /? )
      )
    """,
    re.ASCII | re.VERBOSE,
)
_FOUND: Final = 302
"""Status of redirects to the store: GDAL's Zarr driver (3.12) does not follow 307, which would mean the same here."""
_TYPES: Final = {
    ".json": "application/json",
    ".xml": "application/xml",
    ".xsd": "application/xml",
    ".safe": "application/xml",
    ".gml": "application/gml+xml",
    ".jp2": "image/jp2",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
_HARMLESS: Final = {
    # Files of a SAFE are others' work: a browser is to show them, not to run them.
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A path that follows the grammar."""

    key: str
    """Key of the object in the archive; of a node, that of its ``zarr.json``."""
    kind: Kind
    """What lies there."""
    slash: bool = False
    """Whether the path of a node ends with a slash."""
    also: tuple[tuple[str, str], ...] = ()
    """Further headers, which go before those that follow from what lies there."""

    @property
    def caching(self) -> str:
        """How long it may be kept."""
        return IMMUTABLE if self.kind in ("block", "file") else REVALIDATED

    @property
    def media_type(self) -> str:
        """What it is."""
        if self.kind == "block":
            return "application/octet-stream"
        if self.kind == "item" and self.key.startswith("products/"):
            return "application/geo+json"
        return _TYPES.get(PurePosixPath(self.key).suffix.lower(), "application/octet-stream")


def address_of(path: str) -> Address | None:
    """Return what a path below ``/zarr/`` names, decoded, without its first slash; None if it can name nothing."""
    found = _GRAMMAR.fullmatch(path) if len(path) <= _LONGEST else None
    if found is None or found.lastgroup is None:
        return None
    kind: Kind = found.lastgroup  # type: ignore[assignment] # the groups of the grammar are the kinds
    if kind == "node":
        return Address(f"{path.rstrip('/')}/zarr.json", kind, slash=path.endswith("/"))
    return Address(path, kind)


def zarr_app(store: Store, signer: Signer | None = None) -> ASGIApp:
    """Return the application that serves an archive's objects.

    Parameters
    ----------
    store : Store
        The archive's objects.
    signer : Signer, optional
        Who signs URLs of the store, to which whoever asks for blocks and files is redirected.
    """
    objects = objects_of(store)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            await problem(405, f"{scope['method']} is not allowed: objects are read only", {"allow": "GET, HEAD"})(
                scope, receive, send
            )
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        address = address_of(path)
        try:
            with explained(store.url):
                answered = address is not None and await _answer(objects, address, scope, send, signer)
        except UnsatisfiableRangeError as error:
            headers = {"content-range": f"bytes */{error.size}", "cache-control": GONE}
            await problem(416, str(error), headers)(scope, receive, send)
            return
        except OSError as error:
            await unavailable(error, store.url)(scope, receive, send)
            return
        if not answered:
            await problem(404, "there is no such object", {"cache-control": GONE})(scope, receive, send)

    return app


async def _answer(objects: Objects, address: Address, scope: Scope, send: Send, signer: Signer | None) -> bool:
    """Answer a request for something that the grammar permits; return False if there is no such thing."""
    if signer is not None and scope["method"] == "GET" and address.kind in ("block", "file"):
        return await _redirect(objects, address, scope, send, signer)
    if address.kind == "node":
        return await _index(objects, address, scope, send)
    if address.kind in ("item", "settings"):
        found = await whole(objects, address.key)
        if found is None or (address.kind == "item" and _was_removed(found.data)):
            return False
        objects = found if address.kind == "item" else _settings(found)
    return await answer_object(objects, address, scope, send)


async def answer_object(objects: Objects, address: Address, scope: Scope, send: Send) -> bool:
    """Send an object, or the part that is asked for, heeding the request's conditions; False if there is none.

    Raises
    ------
    UnsatisfiableRangeError
        If no byte of the object is in the range.
    """
    head_only = scope["method"] == "HEAD"
    headers = Headers(scope=scope)
    known: Entity | None = None
    if head_only or CONDITIONS & {name.lower() for name in headers}:
        known = await objects.head(address.key)
        if known is None:
            return False
        status = refusal(headers, known)
        if status is not None:
            await _send(send, status, _fields(address, known, body=False))
            return True
    if head_only and known is not None:
        await _send(send, 200, {**_fields(address, known), "content-length": str(known.size)})
        return True
    part = parse_range(headers.get("range"))
    if part is not None and known is not None and not range_holds(headers, known):
        part = None
    opened = await objects.read(address.key, part)
    if opened is None:
        return False
    await _send_object(send, address, opened, whole=part is None)
    return True


async def _redirect(objects: Objects, address: Address, scope: Scope, send: Send, signer: Signer) -> bool:
    """Send whoever asks for an object to the store; False if there is none.

    HEAD is answered here, since a signed URL is good for one method. The redirect may be kept for half the time, so
    that who keeps it finds the object at the same URL, and can still read it there.
    """
    known = await objects.head(address.key)
    if known is None:
        return False
    status = refusal(Headers(scope=scope), known)
    if status is not None:
        await _send(send, status, _fields(address, known, body=False))
        return True
    url, seconds = await signer.url(address.key)
    fields = {"location": url, "cache-control": f"private, max-age={seconds // 2}", "referrer-policy": "no-referrer"}
    await _send(send, _FOUND, fields)
    return True


async def _send_object(send: Send, address: Address, opened: Opened, *, whole: bool) -> None:
    fields = {**_fields(address, opened.entity), "content-length": str(opened.stop - opened.start)}
    if not whole:
        fields["content-range"] = f"bytes {opened.start}-{opened.stop - 1}/{opened.entity.size}"
    await send({"type": "http.response.start", "status": 200 if whole else 206, "headers": _encoded(fields)})
    async for piece in opened.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _index(objects: Objects, address: Address, scope: Scope, send: Send) -> bool:
    """Answer for the path of an array or group: a redirect to its folder, or the folder's index."""
    if await objects.head(address.key) is None:
        return False
    name = PurePosixPath(address.key).parent.name
    if not address.slash:
        await _send(send, 301, {"location": f"{name}/", "cache-control": REVALIDATED})
        return True
    body = (
        f"<!DOCTYPE html>\n<html>\n<head><title>Index of {name}/</title></head>\n"
        f'<body>\n<h1>Index of {name}/</h1>\n<a href="zarr.json">zarr.json</a>\n</body>\n</html>\n'
    ).encode()
    fields = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": REVALIDATED,
        **_HARMLESS,
    }
    await _send(send, 200, fields, b"" if scope["method"] == "HEAD" else body)
    return True


def _settings(found: OneObject) -> OneObject:
    """Return the settings that readers need: not where the catalogue is."""
    settings = json.loads(found.data)
    told = {name: settings[name] for name in ("abut:archive", "profile")} | {"catalogue": ""}
    data = json.dumps(told).encode()
    return OneObject(Entity(len(data), f'"{hashlib.sha256(data).hexdigest()[:32]}"', found.entity.modified), data)


def _was_removed(item: bytes) -> bool:
    return b'"abut:removed"' in item and is_tombstone(json.loads(item))


def _fields(address: Address, entity: Entity, *, body: bool = True) -> dict[str, str]:
    fields = {"etag": entity.tag, "last-modified": entity.last_modified, "cache-control": address.caching}
    fields |= dict(address.also)
    if body:
        fields |= {"content-type": address.media_type, "accept-ranges": "bytes", **_HARMLESS}
    return fields


async def _send(send: Send, status: int, fields: dict[str, str], body: bytes = b"") -> None:
    if "content-length" not in fields and status != 304:
        fields = {**fields, "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(fields)})
    await send({"type": "http.response.body", "body": body})


def _encoded(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
