"""What clients send to be stored, read from the very bytes and checked; nothing is converted or completed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import orjson
from pydantic import ValidationError
from stac_pydantic import Collection, Item

from abut.errors import BadRequestError
from abut.messages import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request

MOST: Final = 10_000
"""Items of a request at most."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_DEPTH: Final = 64


async def read_json(request: Request) -> Any:
    """Return the body of a request; it is parsed beside the event loop.

    Raises
    ------
    BadRequestError
        If it is no JSON, or nested too deeply.
    """
    return await anyio.to_thread.run_sync(_parsed, await request.body())


def _parsed(body: bytes) -> Any:
    if not body or body.isspace():
        raise BadRequestError("body: missing")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"body: not JSON ({error})") from error
    require_shallow(document)
    return document


def checked_item(item: Any, collection: str, where: str = "") -> dict[str, Any]:
    """Return an item as it was sent, with the id of its collection, and links if it has none.

    Parameters
    ----------
    item : JSON
        What was sent.
    collection : str
        Collection that it was sent to.
    where : str
        What to name before the field that is wrong, such as ``features.3.``.

    Raises
    ------
    BadRequestError
        If it is no item of that collection; the message names the field and the value.
    """
    if not isinstance(item, dict):
        raise BadRequestError(f"{where or 'body'}: {quoted(item)}: not an item")
    _require_plain(item, where)
    _require_id(item.get("id"), f"{where}id")
    if item.setdefault("collection", collection) != collection:
        raise BadRequestError(f"{where}collection: {quoted(item['collection'])}: the item was sent to {collection!r}")
    item.setdefault("links", [])  # those who write know of none: the API makes them
    _validate(Item, item, where)
    for name in ("datetime", "start_datetime", "end_datetime"):  # numbers would be taken for seconds since 1970
        if not isinstance(item["properties"].get(name), str | None):
            shown = quoted(item["properties"][name])
            raise BadRequestError(f"{where}properties.{name}: {shown}: not a time in RFC 3339")
    for name, position in _positions(item):
        _require_position(position, f"{where}{name}")
    box = item.get("bbox")
    if box and box[1] > box[len(box) // 2 + 1]:
        raise BadRequestError(f"{where}bbox: {quoted(box)}: its south is north of its north")
    return item


def checked_items(body: Any, collection: str) -> list[dict[str, Any]]:
    """Return the items of a FeatureCollection, in order.

    Raises
    ------
    BadRequestError
        If it is none, one of them is no item of the collection, or an id comes twice.
    """
    features = body.get("features")
    if not isinstance(features, list):
        raise BadRequestError(f"features: {quoted(features)}: not a list of items")
    if not 0 < len(features) <= MOST:
        raise BadRequestError(f"features: {len(features)} items; 1 to {MOST} can be sent at once")
    items = [checked_item(item, collection, f"features.{number}.") for number, item in enumerate(features)]
    seen: set[str] = set()
    for number, item in enumerate(items):
        if item["id"] in seen:
            raise BadRequestError(f"features.{number}.id: {quoted(item['id'])}: sent twice")
        seen.add(item["id"])
    return items


def checked_collection(collection: Any) -> dict[str, Any]:
    """Return a collection as it was sent.

    Raises
    ------
    BadRequestError
        If it is none; the message names the field and the value.
    """
    if not isinstance(collection, dict):
        raise BadRequestError(f"body: {quoted(collection)}: not a collection")
    _require_plain(collection, "")
    _require_id(collection.get("id"), "id")
    _validate(Collection, collection, "")
    return collection


def _require_id(name: Any, where: str) -> None:
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise BadRequestError(
            f"{where}: {quoted(name)}: not a name of letters, digits, '.', '_' and '-' that begins with a letter or "
            "digit, 255 at most"
        )


def _validate(kind: type[Item | Collection], document: Mapping[str, Any], where: str) -> None:
    try:
        kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"] if str(part)[:1].islower() or isinstance(part, int))
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise BadRequestError(f"{where}{name}: missing") from error
        shown = f"{quoted(first['input'])}: " if name else ""
        raise BadRequestError(f"{where}{name or 'body'}: {shown}{reason[:1].lower()}{reason[1:]}") from error


def _require_plain(document: Mapping[str, Any], where: str) -> None:
    """Refuse what other parsers let through but databases do not take: NaN, lone surrogates, null characters."""
    try:
        text = json.dumps(document, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{where or 'body'}: not JSON that can be stored ({error})") from error
    if "\\u0000" in text.replace("\\\\", ""):
        raise BadRequestError(f"{where or 'body'}: has a null character")


def require_shallow(document: Any, where: str = "body", depth: int = 0) -> None:
    """Refuse what is nested so deeply that others could fail to read it; `depth` is that of the document itself."""
    level = [document]
    for _ in range(depth, _DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise BadRequestError(f"{where}: nested more than {_DEPTH} deep")


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _positions(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Positions of an item: those of its geometry, and the corners of its bounding box."""
    box = item.get("bbox")
    if box:
        half = len(box) // 2
        yield "bbox", box[:2]
        yield "bbox", box[half : half + 2]
    todo = [item["geometry"]] if item.get("geometry") else []
    while todo:
        geometry = todo.pop()
        todo += geometry.get("geometries", [])
        level = [geometry.get("coordinates", [])]
        while level:
            one = level.pop()
            if one and isinstance(one[0], list | tuple):
                level += one
            elif one:
                yield "geometry", one


def _require_position(position: Any, where: str) -> None:
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in position):
        raise BadRequestError(f"{where}: {quoted(list(position))}: not numbers")
    longitude, latitude = position[:2]
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise BadRequestError(f"{where}: {quoted(list(position))}: not longitude and latitude in degrees")
