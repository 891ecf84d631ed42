"""Items as they go to a STAC API, and as they come from one that is not Abut's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from catalog.places import GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BATCH: Final = 200
"""Items sent at once at most."""

BATCH_BYTES: Final = 2_000_000
"""Bytes of items sent at once, unless one alone has more."""

_SIBLING: Final = re.compile(r"/([^/]+\.json)")
"""What stac-fastapi-pgstac makes of a link to an item beside this one."""


def batches(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Cut items into what is sent at once: of one collection, no id twice, not too many and not too large.

    Yields
    ------
    collection, items
        Id of the collection, and items of it.

    Raises
    ------
    ValueError
        If an item has no id or collection, or can't be sent as JSON.
    """
    batch: list[Mapping[str, Any]] = []
    names: set[str] = set()
    collection, size = "", 0
    for item in items:
        if not item.get("id") or not item.get("collection"):
            raise ValueError(f"item id {item.get('id')!r}, collection {item.get('collection')!r}: both are needed")
        try:
            more = len(json.dumps(item, separators=(",", ":"), allow_nan=False))
        except ValueError as error:
            raise ValueError(f"item {item['id']}: is not JSON that can be sent ({error})") from error
        full = len(batch) == BATCH or size + more > BATCH_BYTES
        if batch and (full or item["collection"] != collection or item["id"] in names):
            yield collection, batch
            batch, names, size = [], set(), 0
        batch.append(item)
        names.add(str(item["id"]))
        collection, size = str(item["collection"]), size + more
    if batch:
        yield collection, batch


def plain(document: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return an item or collection without the links that its server made, and with relative ones as they were."""
    links = [
        {**link, "href": _relative(link["href"], url)}
        for link in document.get("links", [])
        if link["rel"] not in GENERATED
    ]
    return {**document, "links": links}


def _relative(href: str, url: str) -> str:
    found = _SIBLING.fullmatch(href.removeprefix(url)) if href.startswith(url) else None
    return f"./{found[1]}" if found else href
