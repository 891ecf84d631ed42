"""Abut: Sentinel-2 L1C stored once, given back bit for bit."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from abut.completion import complete
    from abut.connection import connect
    from abut.zone_zarr import zone_store

__version__ = "0.1.0"

__all__ = ["__version__", "complete", "connect", "zone_store"]

_HOMES: Final = {"complete": "abut.completion", "connect": "abut.connection", "zone_store": "abut.zone_zarr"}
"""Modules of the public functions, which are imported when first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'abut' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
