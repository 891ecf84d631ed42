"""Layers of a picture by name: bands, and flags of the products that supplied a band's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from abut.errors import BadRequestError
from abut.layout import BAND, BANDS
from abut.messages import quoted
from abut.view_masks import SCENE_BAND, Mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.layout import Band

CLASSIFICATION: Final = "classification"
"""Opaque cloud (1), cirrus (2), snow or ice (4), of the product that supplied B01."""
PROVENANCE: Final = "provenance"
"""1 where a pixel is from its own zone, 2 where it is from another one; 0 where nothing is."""
_KINDS: Final = ("detector_footprint", "quality")
_PROVENANCE_BAND: Final = BAND["B02"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A layer that is asked for."""

    name: str
    """Its name."""
    band: Band
    """The band that it is, or whose pixels it tells of."""
    mask: Mask | None = None
    """The mask that it is."""

    @property
    def is_band(self) -> bool:
        """Whether it is a band itself."""
        return self.mask is None and self.name != PROVENANCE


ALL: Final = (
    *(band.name for band in BANDS),
    CLASSIFICATION,
    PROVENANCE,
    *(f"{band.name}_{kind}" for band in BANDS for kind in _KINDS),
)
"""Names of all layers."""


@lru_cache(maxsize=4096)
def asked_for(names: tuple[str, ...]) -> tuple[Asked, ...]:
    """Return layers by their names.

    Raises
    ------
    BadRequestError
        If there are none, or one has no such name.
    """
    if not names:
        raise BadRequestError("a picture of no layers")
    unknown = next((name for name in names if name not in ALL), None)
    if unknown is not None:
        raise BadRequestError(f"layer {quoted(unknown)} is not one of {', '.join(ALL)}")
    bands = [BAND[name] for name in names if name in BAND]
    first = _PROVENANCE_BAND if not bands or _PROVENANCE_BAND in bands else bands[0]
    return tuple(_asked(name, first) for name in names)


def bands_needed(asked: Iterable[Asked]) -> dict[int, tuple[Band, ...]]:
    """Return the bands whose pixels layers are made of, by pixel size in metres."""
    sizes: dict[int, dict[Band, None]] = {}
    for one in asked:
        sizes.setdefault(one.band.resolution, {})[one.band] = None
    return {size: tuple(bands) for size, bands in sorted(sizes.items())}


def _asked(name: str, first: Band) -> Asked:
    if name in BAND:
        return Asked(name, BAND[name])
    if name == PROVENANCE:
        return Asked(name, first)
    if name == CLASSIFICATION:
        return Asked(name, SCENE_BAND, Mask(CLASSIFICATION))
    band, _, kind = name.partition("_")
    return Asked(name, BAND[band], Mask(kind, BAND[band]))
