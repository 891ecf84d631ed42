"""JSON as bytes: by orjson where it is installed, which takes a tenth of the time, else by the standard library."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ModuleNotFoundError:  # the light installation
    orjson = None  # type: ignore[assignment]  # the module or None


def encode(value: Any) -> bytes:
    """Return a value as compact JSON in UTF-8.

    Raises
    ------
    ValueError
        If it has something that JSON has not: NaN, infinity, unpaired surrogates, objects that are no JSON types.
    """
    if orjson is not None:
        try:
            text = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)
        except TypeError:  # integers of more than 64 bits, which are JSON, and what is not
            pass
        else:
            if b"null" not in text:
                return text  # else one may stand for NaN or infinity
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def decode(text: bytes) -> Any:
    """Return the value of JSON; integers of more than 64 bits may become floating-point numbers.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    if orjson is None:
        return json.loads(text)
    try:
        return orjson.loads(text)
    except ValueError:  # numbers that it refuses
        return json.loads(text)
