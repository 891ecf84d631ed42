"""Where clients find things: items as they are stored have relative links, items as they are served have not.

`served` is the plain reference; a database may do the same on bytes, but must give the same item.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from catalog.extensions import MAP_RELATIONS, WEB_MAP_LINKS
from catalog.hrefs import below, with_hrefs
from catalog.item import COLLECTION_ID
from catalog.storage import stored_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.storage import Scheme

GENERATED: Final = frozenset({"self", "root", "parent", "collection", "items"})
"""Relations whose links are made anew for each answer."""

GEOJSON: Final = "application/geo+json"
"""Media type of items."""


@dataclass(frozen=True, slots=True)
class ItemLink:
    """A link that every item gets, because a service that shows it is mounted."""

    rel: str
    """Relation, such as ``tilejson``."""
    href: str
    """Where to, with ``{collection}`` and ``{id}``, and ``{store}`` for the name of the product's store folder; braces
    that stay are doubled: ``{{z}}``."""
    type: str
    """Media type."""
    title: str
    """What it is."""
    more: tuple[tuple[str, str], ...] = ()
    """Further members, such as ``render``."""
    stored: bool = False
    """Whether only items get it that have a store, the archive's own; those whose `href` names it in any case."""

    @property
    def needs_store(self) -> bool:
        """Whether only items get it that have a store."""
        return self.stored or "{store}" in self.href

    def of(self, collection: str, item: str, store: str) -> dict[str, str]:
        """Return the link of an item, whose names are quoted already."""
        href = self.href.format(collection=collection, id=item, store=store)
        return {"rel": self.rel, "href": href, "type": self.type, "title": self.title, **dict(self.more)}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a service are, as this client reaches them."""

    api: str
    """URL of the STAC API, without a slash at its end."""
    products: str
    """URL of the archive's folder ``products``, without a slash at its end: where relative hrefs start."""
    links: tuple[ItemLink, ...] = ()
    """Further links of each item."""
    collection_links: tuple[ItemLink, ...] = ()
    """Further links of the archive's collection."""
    storage: Scheme = ()
    """How the bucket of `products` is reached, if it is one."""

    def collection(self, collection: str) -> str:
        """Return the URL of a collection."""
        return f"{self.api}/collections/{quote(collection, safe='')}"

    def item(self, collection: str, item: str) -> str:
        """Return the URL of an item."""
        return f"{self.collection(collection)}/items/{quote(item, safe='')}"


def served(item: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """Return an item as clients get it: a copy with absolute hrefs and the links of an API.

    Parameters
    ----------
    item : mapping
        Item as it is stored; hrefs relative to its place in the archive, ``./<id>.json`` for items.
    places : Places
        Where this client finds things.

    Returns
    -------
    dict
        The item; links in the order self, parent, collection, root, the item's own, those of `places`.
    """
    name, collection = item["id"], item["collection"]
    made = with_hrefs(
        copy.deepcopy(dict(item)),
        lambda href: below(href, places.products),
        lambda href: _link(href, collection, places),
    )
    own = [link for link in made["links"] if link["rel"] not in GENERATED]
    further = further_links(made, places)
    made["links"] = generated_links(collection, name, places) + own + further
    made = stored_in(made, places.storage, item.get("assets", {}))
    declare(made, further)
    return made


def declare(made: dict[str, Any], further: Iterable[Mapping[str, Any]]) -> None:
    """Declare the extension that describes links to map tiles, if there are such links, and extensions are listed."""
    listed = made.get("stac_extensions")
    maps = any(link["rel"] in MAP_RELATIONS for link in further)
    if maps and isinstance(listed, list) and WEB_MAP_LINKS not in listed:
        made["stac_extensions"] = [*listed, WEB_MAP_LINKS]


def undeclare(made: dict[str, Any], further: Iterable[Mapping[str, Any]]) -> None:
    """Take back what `declare` did, after the further links were taken out."""
    listed = made.get("stac_extensions")
    others = any(link["rel"] in MAP_RELATIONS for link in made["links"])
    if isinstance(listed, list) and not others and any(link["rel"] in MAP_RELATIONS for link in further):
        made["stac_extensions"] = [uri for uri in listed if uri != WEB_MAP_LINKS]


def collection_links(collection: str, places: Places) -> list[dict[str, str]]:
    """Return the links of a collection to the services that show it; those of the archive's collection alone."""
    if collection != COLLECTION_ID:
        return []
    return [link.of(quote(collection), "", "") for link in places.collection_links]


def generated_links(collection: str, item: str, places: Places) -> list[dict[str, str]]:
    """Return the links that every item of an API has."""
    return [
        {"rel": "self", "type": GEOJSON, "href": places.item(collection, item)},
        {"rel": "parent", "type": "application/json", "href": places.collection(collection)},
        {"rel": "collection", "type": "application/json", "href": places.collection(collection)},
        {"rel": "root", "type": "application/json", "href": f"{places.api}/"},
    ]


def further_links(item: Mapping[str, Any], places: Places) -> list[dict[str, str]]:
    """Return the links of an item to the services that show it; those of a store only for items that have one."""
    store = item.get("properties", {}).get("abut:store")
    names = quote(item["collection"]), quote(item["id"]), quote(store or "")
    return [link.of(*names) for link in places.links if store or not link.needs_store]


def _link(href: str, collection: str, places: Places) -> str:
    if href.startswith("./") and href.endswith(".json"):
        return places.item(collection, href.removeprefix("./").removesuffix(".json"))
    return below(href, places.products)
