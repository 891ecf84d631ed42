"""Lengths as people write them: ``10km``, ``500m``, ``10000``."""

from __future__ import annotations

import re
from typing import Final

from abut.errors import InvalidWindowError

_LENGTH: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(km|m)?", re.ASCII)


def parse_length(text: str) -> float:
    """Return the metres that a text says.

    Parameters
    ----------
    text : str
        A number with ``km`` or ``m``; metres if it has no unit.

    Raises
    ------
    InvalidWindowError
        If it is none, or negative; the message quotes it.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidWindowError(f"{text!r} is no length; write 10km, 500m or 10000")
    return float(found[1]) * (1_000 if found[2] == "km" else 1)
