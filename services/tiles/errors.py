"""What can go wrong with a picture, beside what can go wrong with an archive."""

from __future__ import annotations

from abut.errors import AbutError


class TooWideError(AbutError, ValueError):
    """A picture would need more objects or pixels than one may; the message says how many."""


class UnreadableError(AbutError, ValueError):
    """An object of the product that was asked for is broken or lost; the message names product and key."""
