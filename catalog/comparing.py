"""Whether two copies of an item say the same, whatever the databases that kept them did to its JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from catalog.places import GENERATED
from catalog.versions import EXTENSION, RELATIONS, untold

if TYPE_CHECKING:
    from collections.abc import Mapping


def digest(item: Mapping[str, Any]) -> str:
    """Return a hex SHA-256 of what an item says, as it lies in an archive.

    Not part of it: what `catalog.versions.told` adds, links that servers make, the order of keys and of extensions,
    and whether a whole number is written with a point.
    """
    return _sha256(canonical(item))


def canonical(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `digest` is made of."""
    made = untold(item)
    made["stac_extensions"] = sorted(made["stac_extensions"])
    made["links"] = [link for link in made["links"] if link["rel"] not in GENERATED]
    plain: dict[str, Any] = _plain(made)
    return plain


def told_part(item: Mapping[str, Any]) -> str:
    """Return a digest of what an item says of its other versions, and nothing else."""
    links = [_plain(link) for link in item.get("links", []) if link["rel"] in RELATIONS]
    declared = EXTENSION in item.get("stac_extensions", [])
    deprecated = item["properties"].get("deprecated")
    return _sha256([deprecated, declared, sorted(links, key=lambda link: (link["rel"], link["href"]))])


def equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal: numbers by value, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
