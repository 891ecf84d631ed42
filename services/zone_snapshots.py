"""Which products a snapshot has, and what clients were told, from process to process by files in a folder.

A worker that never planned a snapshot finds its products there, plans them, and sees by the digest whether it got the
same pixels: what lies there needs no trust.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.zone_axes import TOLD, Axis

if TYPE_CHECKING:
    from services.zone_views import Place

KEPT: Final = 1_000
"""How many snapshots are remembered."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a snapshot was made of."""

    products: tuple[str, ...]
    """Ids of the products that were chosen."""
    notes: tuple[str, ...]
    """What other versions have and the chosen ones have not, see `abut.view.View.notes`."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots in a folder."""

    folder: Path
    """The folder; all processes that share it serve the same archive."""

    def read(self, place: Place, digest: str) -> Known | None:
        """Return what a snapshot was made of; None if none is known."""
        try:
            found = json.loads(self._path(place, digest).read_bytes())
            lists = [found["products"], found["notes"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        fits = all(isinstance(some, list) and all(isinstance(one, str) for one in some) for some in lists)
        return Known(tuple(lists[0]), tuple(lists[1])) if fits else None

    def write(self, place: Place, digest: str, known: Known) -> None:
        """Remember a snapshot; the oldest ones are forgotten. A folder that can't be written is no error."""
        with contextlib.suppress(OSError):
            self._put(self._path(place, digest), json.dumps({"products": known.products, "notes": known.notes}))
            files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in files[:-KEPT]:
                old.unlink(missing_ok=True)

    def tell(self, place: Place, axis: Axis) -> None:
        """Note that a client was told of the steps of a zone without asking for a digest."""
        path = self._told(place) / f"{axis.name}.json"
        with contextlib.suppress(OSError):
            if path.exists():
                os.utime(path)
                return
            if not path.parent.exists():
                self._forget()
                path.parent.mkdir(exist_ok=True)
            self._put(path, axis.to_json())

    def told(self, place: Place) -> list[tuple[Axis, float]]:
        """Return what clients were told by any process, and how many seconds ago."""
        found: list[tuple[Axis, float]] = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._told(place)):
                with contextlib.suppress(OSError, ValueError):
                    age = max(0.0, time.time() - entry.stat().st_mtime)
                    if entry.name.endswith(".json") and age < TOLD:
                        found.append((_axis(entry.path), age))
        return found

    def _forget(self) -> None:
        """Delete what clients were told long ago."""
        for folder in self.folder.glob("*.told"):
            with contextlib.suppress(OSError):
                for path in folder.iterdir():
                    if time.time() - path.stat().st_mtime > TOLD:
                        path.unlink(missing_ok=True)
                folder.rmdir()  # fails unless it is empty

    def _put(self, path: Path, text: str) -> None:
        """Write a file, whole or not at all."""
        descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".new")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(name).replace(path)

    def _told(self, place: Place) -> Path:
        return self.folder / f"{place.zone.epsg}-{place.period}.told"

    def _path(self, place: Place, digest: str) -> Path:
        return self.folder / f"{place.zone.epsg}-{place.period}@{digest}.json"


@lru_cache(maxsize=1_000)
def _axis(path: str) -> Axis:
    """Return the steps that a file tells of; the same for ever, as its name is made of them."""
    return Axis.from_json(Path(path).read_bytes())
