"""Errors of Abut and of what it stands on as one line each, for logs and the command line."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any, Final

from abut.errors import AbutError
from abut.hiding import hide

EXTRAS: Final = {
    **dict.fromkeys(("affine", "dask", "defusedxml", "distributed", "rasterio"), "ingest"),
    **dict.fromkeys(("h5netcdf", "h5py", "odc"), "cubes"),
    "pcodec": "dense",
    "opentelemetry": "traces",
    **dict.fromkeys(("pystac_client", "requests", "rustac"), "client"),
    **dict.fromkeys(("psycopg", "psycopg_pool", "pypgstac", "stac_fastapi.pgstac"), "pgstac"),
    **dict.fromkeys(("anyio", "cql2", "fastapi", "httpx", "jwt", "orjson", "pydantic"), "services"),
    **dict.fromkeys(("lightgbm", "s2cloudless", "scipy"), "workflows"),
    **dict.fromkeys(("pydantic_settings", "stac_fastapi", "starlette", "uvicorn"), "services"),
}
"""Which extra of the distribution brings a package that the reading library does without."""

_DEBUG: Final = "\n\nDebug source:"
_OBSTORE: Final = re.compile(r"Generic \w+ error: ")
_QUOTED: Final = 200


def quoted(value: Any) -> str:
    """Return a value as error messages quote it: in one line, cut where it is long."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def describe(error: BaseException, place: str = "") -> str:
    """Return what went wrong as one line that names a file or value.

    Parameters
    ----------
    error : BaseException
        Any error.
    place : str
        What was being worked on, such as the URL of an archive; named where the error itself names nothing.
    """
    return hide(_described(error, place))


def _described(error: BaseException, place: str) -> str:
    if isinstance(error, AbutError):
        return _line(str(error))
    if _is_database(error):
        return _line(_at(place, f"catalogue: {error}"))
    if _is_obstore(error):
        return _line(_at(place, _OBSTORE.sub("", str(error).partition(_DEBUG)[0])))
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return _line(f"{' -> '.join(names)}: {error.strerror}" if names else _at(place, error.strerror))
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return _line(_at(place, f"{error.name} is not installed: pip install 'abut[{EXTRAS[error.name]}]'"))
    text = _line(str(error))
    return _line(_at(place, f"{type(error).__name__}: {text}" if text else type(error).__name__))


def is_expected(error: BaseException) -> bool:
    """Whether an error is one that users and their machines cause, so that its line says enough."""
    missing = isinstance(error, ModuleNotFoundError) and error.name in EXTRAS
    return missing or isinstance(error, AbutError | OSError) or _is_database(error) or _is_obstore(error)


def _is_database(error: BaseException) -> bool:
    """By name: PostgreSQL's driver is an extra."""
    return isinstance(error, sqlite3.Error) or any(
        kind.__module__ == "psycopg" and kind.__name__ == "Error" for kind in type(error).__mro__
    )


def _is_obstore(error: BaseException) -> bool:
    """By name: obstore need not be loaded to say what an error means."""
    return any(kind.__module__ == "obstore.exceptions" and kind.__name__ == "BaseError" for kind in type(error).__mro__)


def _at(place: str, text: str) -> str:
    return f"{place}: {text}" if place and place not in text else text


def _line(text: str) -> str:
    return " ".join(text.split())
