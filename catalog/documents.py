"""Items as the embedded catalogue keeps them: templates that become answers without parsing JSON.

A template is the item's JSON with marks where stored and served items differ: the escape of the control character
0x1e and a letter, P where the archive's folder ``products`` goes, I where the URL of the collection's items goes. Null
characters, which JSON never has, separate its parts: what comes before the links, the links that are served, what
comes after, and the links as they were given. An item that has no such template (no links, odd ones, or that character
in a text) is kept as its JSON alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from catalog.extensions import MAP_RELATIONS, STORAGE, WEB_MAP_LINKS
from catalog.places import GENERATED, generated_links, served
from catalog.storage import NAME, REFS, SCHEMES
from catalog.text import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.places import Places

_PRODUCTS: Final = "\x1eP"
_ITEMS: Final = "\x1eI"
_LINKS: Final = "\x1eL"
_MARK: Final = rb"\u001e"
_PRODUCTS_MARK: Final = rb"\u001eP"
_ITEMS_MARK: Final = rb"\u001eI"
_LINKS_MARK: Final = rb'"\u001eL"'
_MAPS: Final = encode(WEB_MAP_LINKS)
_EXTENSIONS: Final = re.compile(
    rb'\{"type":"Feature","stac_version":"[^"\\]*","stac_extensions":\[((?:"[^"\\]*"(?:,"[^"\\]*")*)?)\]'
)
"""How items of pystac start: the first array is that of the extensions."""
_PROPERTIES: Final = re.compile(
    _EXTENSIONS.pattern
    + rb',"id":"[^"\\\\]*","geometry":\{"type":"[A-Za-z]+","coordinates":[][0-9.,eE+-]*\},'
    + rb'"bbox":\[[0-9.,eE+-]*\],"properties":\{'
)
"""How they go on."""
_ASSET_MARK: Final = b'"href":"' + _PRODUCTS_MARK
_ASSET_IN_STORAGE: Final = encode({REFS: [NAME]})[1:-1] + b"," + _ASSET_MARK
_STORED: Final = encode(STORAGE)
_STORAGE: Final = b'"storage:'
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]+")


def template(item: Mapping[str, Any]) -> bytes:
    """Return the template of an item.

    Raises
    ------
    ValueError
        If it has values that JSON has not.
    """
    links = item.get("links")
    if links is None:
        return encode(item)
    given = item.get("assets", {})
    assets = {name: _marked_asset(asset) for name, asset in given.items()}
    own = [link for link in links if link["rel"] not in GENERATED]
    marked = [_marked_link(link) for link in own]
    whole = encode({**item, "assets": assets, "links": _LINKS} if "assets" in item else {**item, "links": _LINKS})
    shown = encode(marked)
    marks = sum(assets[name] is not asset for name, asset in given.items()) + 1
    shown_marks = sum(one is not link for one, link in zip(marked, own, strict=True))
    if None in marked or whole.count(_MARK) != marks or shown.count(_MARK) != shown_marks:
        return encode(item)  # marks of its own, or a link that can't be marked
    before, after = whole.split(_LINKS_MARK)
    return b"\0".join((before, shown[1:-1], after, encode(links)))


def stored(text: bytes) -> bytes:
    """Return the JSON of an item as it was given, from its template."""
    parts = text.split(b"\0")
    if len(parts) == 1:
        return text
    before, _, after, links = parts
    return b"".join((before.replace(_PRODUCTS_MARK, b"./"), links, after.replace(_PRODUCTS_MARK, b"./")))


def answer(text: bytes, collection: str, name: str, store: str | None, places: Places) -> bytes:
    """Return the JSON of an item as clients get it: that of `catalog.places.served`, from its template.

    Parameters
    ----------
    text : bytes
        The template.
    collection, name : str
        Id of the collection, and of the item: letters, digits, ``.``, ``_`` and ``-``.
    store : str or None
        ``abut:store`` of the item.
    places : Places
        Where this client finds things.
    """
    if b"\0" not in text:
        return encode(served(decode(text), places))
    here = _here(places, collection)
    before, own, after, _ = text.split(b"\0")
    for extension in here.extensions(store):
        declared = _declaring(before, extension)
        if declared is None:
            return encode(served(decode(stored(text)), places))
        before = declared
    if store and here.storage:
        told = _telling(before, here.storage) if _STORAGE not in text else None
        if told is None:
            return encode(served(decode(stored(text)), places))
        before, after = told, after.replace(_ASSET_MARK, _ASSET_IN_STORAGE)
    before, after = before.replace(_PRODUCTS_MARK, here.products), after.replace(_PRODUCTS_MARK, here.products)
    own = own.replace(_ITEMS_MARK, here.items).replace(_PRODUCTS_MARK, here.products)
    links = here.links(name, store)
    return b"".join((before, b"[", links, b"," if own else b"", own, here.further(name, store), b"]", after))


class _Here:
    """What all items of a collection have in common for one client."""

    __slots__ = ("_after_self", "_further", "_maps", "_self", "items", "products", "storage")

    def __init__(self, places: Places, collection: str) -> None:
        self.products = encode(f"{places.products}/")[1:-1]
        self.items = encode(f"{places.collection(collection)}/items/")[1:-1]
        first, *others = (encode(link) for link in generated_links(collection, _PLAIN_NAME, places))
        self._self, end = first.rsplit(_PLAIN_NAME.encode(), 1)
        self._after_self = b",".join((end, *others))
        self._further = [
            (link.needs_store, b"," + encode(link.of(quote(collection), _ITEMS, _PRODUCTS))) for link in places.links
        ]
        self.storage = encode({SCHEMES: {NAME: dict(places.storage)}})[1:-1] if places.storage else b""
        self._maps = [link.needs_store for link in places.links if link.rel in MAP_RELATIONS]

    def links(self, name: str, _store: str | None) -> bytes:
        return self._self + name.encode() + self._after_self

    def extensions(self, store: str | None) -> list[bytes]:
        """Return the extensions that items declare because of what they get here, in the order of `served`."""
        maps = any(store or not needs_store for needs_store in self._maps)
        return [*([_STORED] if store and self.storage else []), *([_MAPS] if maps else [])]

    def further(self, name: str, store: str | None) -> bytes:
        quoted_store = quote(store or "").encode()
        return b"".join(
            link.replace(_ITEMS_MARK, name.encode()).replace(_PRODUCTS_MARK, quoted_store)
            for needs_store, link in self._further
            if store or not needs_store
        )


def _declaring(before: bytes, extension: bytes) -> bytes | None:
    """Return the start of an item that declares an extension; None if it starts in another way."""
    found = _EXTENSIONS.match(before)
    if found is None:
        return None
    if extension in found[1]:
        return before
    end = found.end(1)
    return b"".join((before[:end], b"," if found[1] else b"", extension, before[end:]))


def _telling(before: bytes, storage: bytes) -> bytes | None:
    """Return the start of an item that says how the bucket of its assets is reached; None if it starts otherwise."""
    found = _PROPERTIES.match(before)
    if found is None:
        return None
    end = found.end()
    rest = before[end:].replace(_ASSET_MARK, _ASSET_IN_STORAGE)
    return b"".join((before[:end], storage, b"" if rest.startswith(b"}") else b",", rest))


_PLAIN_NAME: Final = "name"


@lru_cache(maxsize=64)
def _here(places: Places, collection: str) -> _Here:
    return _Here(places, collection)


def _marked_asset(asset: Mapping[str, Any]) -> Mapping[str, Any]:
    href = asset["href"]
    return {**asset, "href": _PRODUCTS + href[2:]} if href.startswith("./") else asset


def _marked_link(link: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a link with marks; None if it leads to an item whose URL needs quoting."""
    href = link["href"]
    if not href.startswith("./"):
        return link
    if not href.endswith(".json"):
        return {**link, "href": _PRODUCTS + href[2:]}
    name = href.removeprefix("./").removesuffix(".json")
    return {**link, "href": _ITEMS + name} if _PLAIN.fullmatch(name) else None
