"""What the archive decides about an item, and its writers may not: everything but descriptive properties."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from catalog.comparing import equal
from catalog.item import COLLECTION_ID
from catalog.places import GENERATED, further_links
from catalog.versions import EXTENSION, RELATIONS, family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.places import Places

ARCHIVED: Final = COLLECTION_ID
"""Collection whose items are copies of those of an archive."""

_DECIDED: Final = frozenset(
    {
        "datetime", "start_datetime", "end_datetime", "created", "deprecated",
        "platform", "grid:code", "processing:version", "processing:datetime",
        "s2:datatake_id", "s2:datastrip_id", "s2:tile_id", "s2:product_uri",
    }
)  # fmt: skip
"""Properties that say when, where and of what a product is, and which of its versions."""

_FAMILIES: Final = ("abut:", "proj:", "mgrs:")
"""What the names of further properties of that kind begin with."""


class RefusedError(ValueError):
    """A change that only those may make who speak for the archive."""


def as_stored(item: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """Return an item as it is to be stored: the inverse of `catalog.places.served`.

    Links that this API makes for each answer are left out, and its own URLs become relative again; whatever else was
    sent stays as it is.
    """
    made = copy.deepcopy(dict(item))
    told = RELATIONS if family(made) else frozenset()
    further = {(link["rel"], link["href"]) for link in further_links(made, places)}
    home = f"{places.collection(made['collection'])}/items/"
    for asset in made.get("assets", {}).values():
        asset["href"] = _relative(asset["href"], home, places)
    made["links"] = [
        {**link, "href": _relative(link["href"], home, places)}
        for link in made.get("links", [])
        if not (_made_here(link, places) or link["rel"] in told or (link["rel"], link["href"]) in further)
    ]
    return made


def described(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of the archive with the descriptive properties that a writer wants it to have.

    Parameters
    ----------
    stored : mapping
        The item as it is stored.
    wanted : mapping
        The item that the writer sent, `as_stored`.

    Raises
    ------
    RefusedError
        If anything else differs; the message names the first field that does.
    """
    for name in sorted({*stored, *wanted} - {"properties", "links", "stac_extensions"}):
        _require_equal(stored.get(name), wanted.get(name), name)
    _require_equal(_own_links(stored), _own_links(wanted), "links")
    declared = wanted.get("stac_extensions", [])
    if not set(stored.get("stac_extensions", [])) <= {*declared, EXTENSION}:
        raise RefusedError("stac_extensions: extensions of the archive's items can't be taken away")
    before, after = stored["properties"], wanted["properties"]
    for name in sorted({*before, *after}):
        if name in _DECIDED or name.startswith(_FAMILIES):
            _require_equal(before.get(name), after.get(name), f"properties.{name}")
    made = copy.deepcopy(dict(stored))
    made["properties"] = {name: value for name, value in after.items() if name not in _DECIDED or name in before}
    made["stac_extensions"] = list(dict.fromkeys([*stored.get("stac_extensions", []), *declared]))
    return made


def _require_equal(stored: Any, wanted: Any, name: str) -> None:
    if equal(stored, wanted):
        return
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for part in sorted({*stored, *wanted}):
            _require_equal(stored.get(part), wanted.get(part), f"{name}.{part}")
    raise RefusedError(f"{name}: is what the archive decides; descriptive properties can be changed")


def _own_links(item: Mapping[str, Any]) -> list[Any]:
    return [link for link in item.get("links", []) if link["rel"] not in GENERATED | RELATIONS]


def _made_here(link: Mapping[str, Any], places: Places) -> bool:
    """Whether a link is one of those that every answer has: the archive's own ones are relative."""
    return link["rel"] in GENERATED and str(link["href"]).startswith(("http://", "https://", places.api))


def _relative(href: str, home: str, places: Places) -> str:
    if href.startswith(f"{places.products}/"):
        return f"./{href.removeprefix(places.products).lstrip('/')}"
    if href.startswith(home) and "/" not in href.removeprefix(home):
        return f"./{href.removeprefix(home)}.json"
    return href
