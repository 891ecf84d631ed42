"""Which products a snapshot has, told from process to process by files in a folder.

A worker that never planned a snapshot finds its products there, plans them, and sees by the digest whether it got the
same pixels: what lies there needs no trust.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.zone_views import Place

KEPT: Final = 1_000
"""How many snapshots are remembered."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots in a folder."""

    folder: Path
    """The folder; all processes that share it serve the same archive."""

    def read(self, place: Place, digest: str) -> list[str] | None:
        """Return the ids of a snapshot's products; None if none is known."""
        try:
            ids = json.loads(self._path(place, digest).read_bytes())
        except (OSError, ValueError):
            return None
        return ids if isinstance(ids, list) and all(isinstance(name, str) for name in ids) else None

    def write(self, place: Place, digest: str, ids: Iterable[str]) -> None:
        """Remember a snapshot; the oldest ones are forgotten. A folder that can't be written is no error."""
        with contextlib.suppress(OSError):
            descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
            with os.fdopen(descriptor, "w") as file:
                json.dump(list(ids), file)
            Path(name).replace(self._path(place, digest))
            files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in files[:-KEPT]:
                old.unlink(missing_ok=True)

    def _path(self, place: Place, digest: str) -> Path:
        return self.folder / f"{place.zone.epsg}-{place.period}@{digest}.json"
