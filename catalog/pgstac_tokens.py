"""Tokens of pages: where a page ends or begins, by the values of its sort keys there.

They hold no position, so that items that come and go between two pages shift nothing, and know their search, so that
one of another search is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from catalog.literals import quoted
from catalog.pgstac_query import keys
from catalog.pgstac_values import Parameters
from catalog.search import Fields, Search

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPES: dict[str, tuple[type, ...]] = {"float8": (float, int), "int": (int,)}


def token_of(direction: Literal["next", "prev"], place: Sequence[Any], search: Search) -> str:
    """Return the token of the page after a place, or before it."""
    text = json.dumps([_fingerprint(search), *place], separators=(",", ":"))
    return f"{direction}:{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}"


def place_of(search: Search) -> tuple[list[Any], bool]:
    """Return the place that the token of a search names, and whether the page before it is meant.

    Raises
    ------
    ValueError
        If it is no token, or that of another search.
    """
    token = search.token or ""
    order = keys(search.sortby, Parameters())
    direction, _, text = token.partition(":")
    try:
        mark, *place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        mark, place = None, []
    fits = len(place) == len(order) and all(
        value is None or (isinstance(value, _TYPES.get(key.kind, (str,))) and not isinstance(value, bool))
        for key, value in zip(order, place, strict=True)
    )
    if direction not in {"next", "prev"} or mark != _fingerprint(search) or not fits:
        raise ValueError(f"token {quoted(token)} is none of this search")
    return place, direction == "prev"


def _fingerprint(search: Search) -> str:
    """Return what two searches have in common if one's tokens are good for the other: all but page and fields."""
    asked = asdict(replace(search, limit=1, token=None, fields=Fields()))
    return hashlib.sha256(json.dumps(asked, default=str, sort_keys=True).encode()).hexdigest()[:12]
