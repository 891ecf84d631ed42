"""Where clients find things: items as they are stored have relative links, items as they are served have not.

`served` is the plain reference; a database may do the same on bytes, but must give the same item.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from catalog.hrefs import below, with_hrefs

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Where to, with ``{collection}`` and ``{id}``, and ``{store}`` for the name of the product's store folder."""
    type: str
    """Media type."""
    title: str
    """What it is."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a service are, as this client reaches them."""

    api: str
    """URL of the STAC API, without a slash at its end."""
    products: str
    """URL of the archive's folder ``products``, without a slash at its end: where relative hrefs start."""
    links: tuple[ItemLink, ...] = ()
    """Further links of each item."""

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
    made["links"] = generated_links(collection, name, places) + own + further_links(made, places)
    return made


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
    return [
        {
            "rel": link.rel,
            "href": link.href.format(
                collection=quote(item["collection"]), id=quote(item["id"]), store=quote(store or "")
            ),
            "type": link.type,
            "title": link.title,
        }
        for link in places.links
        if store or "{store}" not in link.href
    ]


def _link(href: str, collection: str, places: Places) -> str:
    if href.startswith("./") and href.endswith(".json"):
        return places.item(collection, href.removeprefix("./").removesuffix(".json"))
    return below(href, places.products)
