"""An archive of tiles that abut."""

from typing import Any

import abut


def read(archive: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return an array (y, x) for each band."""
    cube = abut.connect(archive).tile(asked["tile"], buffer=10_000, datetime=asked["day"], bands=asked["bands"])
    return {str(name): array.values[0] for part in cube.children.values() for name, array in part.data_vars.items()}
