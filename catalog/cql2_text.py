"""Filters as text: how long they may be, and their parser."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from abut.messages import quoted

MAX_TEXT: Final = 500_000
"""Characters of a filter as text."""

_MAX_NESTING: Final = 250
"""Brackets and operators in a text that its parser recurses on, with some kilobytes of stack for each."""

_MAX_TOKENS: Final = 1_000
"""Those and the others, which take less."""

NUMBER: Final = r"[-+]?\d++(?:\.\d*+)?(?:[eE][-+]?\d++)?"
"""Regular expression of a number, without going back."""

_POSITIONS: Final = rf"\s*+{NUMBER}(?:[\s,]++{NUMBER})*+\s*+"
_RINGS: Final = rf"\s*+\({_POSITIONS}\)(?:\s*+,\s*+\({_POSITIONS}\))*+\s*+"
_PARTS: Final = rf"\s*+\({_RINGS}\)(?:\s*+,\s*+\({_RINGS}\))*+\s*+"
_GEOMETRY: Final = re.compile(
    rf"\b(?:MULTI)?(?:POINT|LINESTRING|POLYGON)\s*+Z?\s*+\((?:{_POSITIONS}|{_RINGS}|{_PARTS})\)", re.IGNORECASE
)
_NESTING: Final = re.compile(r"[-([^=<>]|\bnot\b", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[-([^=<>+*/%]|\b(?:not|and|or|div)\b", re.IGNORECASE)


def tree_of_text(text: str) -> Any:
    """Return what a text in CQL2 says, as CQL2-JSON that is not checked further.

    Raises
    ------
    ValueError
        If it is not CQL2, or too long.
    """
    # Its parser is native code that overflows the stack, and ends the process, where brackets or operators nest deeply.
    plain = _GEOMETRY.sub("g", text) if len(text) <= MAX_TEXT else ""
    nesting, tokens = len(_NESTING.findall(plain)), len(_TOKEN.findall(plain))
    if len(text) > MAX_TEXT or nesting > _MAX_NESTING or tokens > _MAX_TOKENS:
        raise ValueError(f"filter {quoted(text)} is too long; as cql2-json it may be longer")
    import cql2  # noqa: PLC0415 - an extra: what only reads an archive parses no text

    try:
        return json.loads(json.dumps(cql2.parse_text(text).to_json()))
    except cql2.ParseError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("  = ").strip()
        raise ValueError(f"filter {quoted(text)} is not CQL2: {reason}") from error


def tree_of_json(text: str) -> Any:
    """Return what a text in JSON says.

    Raises
    ------
    ValueError
        If it is not JSON, or too long.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"filter {quoted(text)} is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"filter {quoted(text)} is not JSON") from error
