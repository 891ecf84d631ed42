"""Which fields of an item an answer has: the fields extension of STAC API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.search import Fields

ALWAYS: Final = frozenset({"type", "id", "collection"})
"""What an answer has unasked where only some fields are wanted: so that it is GeoJSON and can be asked for."""


def chosen(item: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Return an item with the fields that are wanted; parts of it are shared with the given one.

    Parameters
    ----------
    item : mapping
        Item as clients get it.
    fields : Fields
        Which fields. Without any: all. Included only: those and `ALWAYS`. Excluded only: all but those. Both: the
        included ones less the excluded ones; what is included goes before what is excluded of the same or a wider
        path.

    Returns
    -------
    dict
        The item; always with ``id`` and ``collection``, never with empty objects that excluding left.
    """
    if not fields:
        return dict(item)
    exclude = {path for path in fields.exclude if not _within(path, fields.include)}
    made = _picked(item, fields.include | ALWAYS) if fields.include else dict(item)
    made = _without(made, exclude)
    return {**{name: item[name] for name in ("id", "collection") if name in item}, **made}


def _within(path: str, included: Iterable[str]) -> bool:
    """Whether a path or something below it is included."""
    return any(wanted == path or wanted.startswith(f"{path}.") for wanted in included)


def _picked(source: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    heads = _by_head(paths)
    made: dict[str, Any] = {}
    for name, value in source.items():
        if name not in heads:
            continue
        below = heads[name]
        if "" in below or not isinstance(value, dict):
            made[name] = value
        elif part := _picked(value, below):
            made[name] = part
    return made


def _without(source: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    heads = _by_head(paths)
    made: dict[str, Any] = {}
    for name, value in source.items():
        below = heads.get(name, set())
        if "" in below:
            continue
        if below and isinstance(value, dict):
            if part := _without(value, below):
                made[name] = part
        else:
            made[name] = value
    return made


def _by_head(paths: Iterable[str]) -> dict[str, set[str]]:
    heads: dict[str, set[str]] = {}
    for path in paths:
        head, _, below = path.partition(".")
        heads.setdefault(head, set()).add(below)
    return heads
