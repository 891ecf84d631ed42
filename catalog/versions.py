"""Versions of a product: the same tile, datatake and strip, processed again (another baseline or creation time).

A search finds all of them. The catalogue tells them of each other: all but the newest are ``deprecated``, and links of
the version extension lead from one to the next. It follows from the items that are listed, so a catalogue that is
built anew says the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from catalog.places import GEOJSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXTENSION: Final = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
"""Identifier of the extension; items that have other versions declare it."""

RELATIONS: Final = frozenset({"latest-version", "predecessor-version", "successor-version"})
"""Relations of the links between versions."""

_TO_SECONDS: Final = len("2023-08-23T09:55:59")
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def family(item: Mapping[str, Any]) -> str | None:
    """Return what the versions of a product have in common, as text; None for what is no product of an archive.

    Times count in whole seconds, as in the names of datatakes and datastrips.
    """
    properties = item.get("properties", {})
    parts = [properties.get(name) for name in ("platform", "grid:code", "datetime", "abut:datastrip_start")]
    if not properties.get("abut:store") or None in parts:
        return None
    platform, tile, *times = map(str, parts)
    return " ".join([str(item.get("collection")), platform, tile, *(time[:_TO_SECONDS] for time in times)])


def told(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of one family as they are when they know of each other.

    Parameters
    ----------
    items : iterable of mapping
        All listed items of a family, in any order, told before or not; they are not changed.

    Returns
    -------
    list of dict
        Copies, oldest first. ``deprecated`` is set on each: true for all but the newest that is not withdrawn.
        Withdrawn items are deprecated, and no link leads to them.
    """
    versions = sorted((_untold(item) for item in items), key=_age)
    live = [item for item in versions if not item["properties"].get("abut:withdrawn")]
    for item in versions:
        item["properties"]["deprecated"] = item is not live[-1] if live else True
    if len(live) > 1:
        for number, item in enumerate(live):
            item["links"] = [*item["links"], *_links(live, number)]
            item["stac_extensions"] = [*item["stac_extensions"], EXTENSION]
    return versions


def untold(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an item without what `told` adds: as it lies in the archive."""
    made = _untold(item)
    made["properties"].pop("deprecated", None)
    return made


def _untold(item: Mapping[str, Any]) -> dict[str, Any]:
    made = {**item, "properties": dict(item["properties"])}
    made["links"] = [link for link in item.get("links", []) if link["rel"] not in RELATIONS]
    made["stac_extensions"] = [uri for uri in item.get("stac_extensions", []) if uri != EXTENSION]
    return made


def _age(item: Mapping[str, Any]) -> tuple[tuple[int, ...], datetime, str]:
    """Baseline as numbers, then time of processing, then id: oldest first."""
    properties = item["properties"]
    baseline = str(properties.get("processing:version", ""))
    numbers = tuple(int(part) if part.isdecimal() else -1 for part in baseline.split("."))
    return numbers, _moment(properties.get("processing:datetime")), str(item["id"])


def _moment(text: Any) -> datetime:
    """Return a time, so that ``34Z`` comes before ``34.5Z``; what is none comes first."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return _NEVER
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _links(live: list[dict[str, Any]], number: int) -> list[dict[str, str]]:
    links = []
    if number > 0:
        links.append(_link("predecessor-version", live[number - 1]))
    if number < len(live) - 1:
        links += [_link("successor-version", live[number + 1]), _link("latest-version", live[-1])]
    return links


def _link(rel: str, item: Mapping[str, Any]) -> dict[str, str]:
    version = item["properties"].get("processing:version", "")
    return {"rel": rel, "href": f"./{item['id']}.json", "type": GEOJSON, "title": f"Baseline {version}"}
