"""How much of a continent is made and asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MONTHS: Final = ("2025-04", "2025-05", "2025-06", "2025-07", "2025-08")
"""One for each of the five users of the main run; further users ask for them again in turn."""
BANDS: Final = ("B04", "B08")
"""What is extracted; NDVI is made of them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is made and asked for; all else is the same."""

    tiles: tuple[str, ...]
    """Tiles of two zones, beside each other."""
    blocks: int
    """Blocks along a side of the ground that each product sees, from the middle of its tile on; 0: all of it."""
    dates: int
    """Products of each tile in each month."""
    users: tuple[int, ...]
    """How many ask at once, run by run."""
    workers: tuple[int, ...]
    """Processes that make cubes, run by run of the five users; all other runs have the largest number."""
    safes: int
    """Dates of the first month that are SAFEs with all 13 bands: what is downloaded, and all bands of the archive."""
    profiles: tuple[str, ...]
    """Networks over which the archive is compared with SAFEs."""


SCALES: Final = {
    "tiny": Scale(("32TQQ", "33TUK"), 1, 1, (1, 2), (1, 2), 1, ("region",)),
    "small": Scale(("32TQQ", "33TUK"), 3, 2, (1, 2, 4, 8), (1, 2), 2, ("region", "wan", "office")),
    "hour": Scale(("32TPQ", "32TQQ", "33TUK", "33TUL"), 0, 2, (1, 2, 4, 8, 16), (1, 2), 2, ("region", "wan")),
}
"""``tiny``: to see that it works; ``small``: minutes; ``hour``: full-size tiles, what two cores carry in an hour."""
