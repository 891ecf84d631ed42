"""Durations as people write them: ``7d``, ``12h``, ``30m``, ``0s``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text says.

    Parameters
    ----------
    text : str
        Whole numbers with a unit each, such as ``7d`` or ``1d12h``: seconds ``s``, minutes ``m``, hours ``h``, days
        ``d``, weeks ``w``.

    Raises
    ------
    ValueError
        If it is none; the message quotes it.
    """
    parts = _PART.findall(text.strip().lower())
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text.strip().lower():
        raise ValueError(f"{text!r} is no duration; write 7d, 12h, 30m, 0s or 1d12h")
    try:
        return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None
