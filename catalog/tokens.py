"""Tokens of pages: the place in an order where a page starts or ends, written so that clients need not read it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from catalog.text import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX: Final = 60_000
_FORWARD: Final = "next:"
_BACKWARD: Final = "prev:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page starts: after, or before, an item."""

    values: tuple[Any, ...]
    """What items are ordered by, of that item."""
    backward: bool
    """Whether the page is that before it."""


def token(place: Place, order: Sequence[Any]) -> str:
    """Return the token of a place in an order of items."""
    text = encode([_digest(order), *place.values])
    return (_BACKWARD if place.backward else _FORWARD) + base64.urlsafe_b64encode(text).decode().rstrip("=")


def leads_back(text: str | None) -> bool:
    """Return whether a token is that of the page before another."""
    return text is not None and text.startswith(_BACKWARD)


def place_of(text: str, order: Sequence[Any]) -> Place:
    """Return the place of a token.

    Raises
    ------
    BadRequestError
        If it is none, or one of another order.
    """
    for prefix in (_FORWARD, _BACKWARD):
        if text.startswith(prefix) and len(text) <= _MAX:
            values = _values(text.removeprefix(prefix))
            if values is not None and len(values) == len(order) + 1 and values[0] == _digest(order):
                return Place(tuple(values[1:]), prefix == _BACKWARD)
    raise BadRequestError(f"token {text[:200]!r} is not one of this search")


def _digest(order: Sequence[Any]) -> str:
    return hashlib.blake2b(encode([list(key) for key in order]), digest_size=4).hexdigest()


def _values(text: str) -> list[Any] | None:
    try:
        data = base64.b64decode((text + "=" * (-len(text) % 4)).encode("ascii"), altchars=b"-_", validate=True)
        values = decode(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or not all(_plain(value) for value in values):
        return None
    return values


def _plain(value: Any) -> bool:
    """Whether SQLite can compare with it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return value is None or isinstance(value, float)
