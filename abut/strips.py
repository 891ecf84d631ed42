"""What a layer's products share, as one of their items says it: datatake, strip, version, offsets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from abut.errors import InvalidArchiveError
from abut.metadata import version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abut.blocks import Calibration

_STRIP: Final = re.compile(r"_(\d{8}T\d{6})_S(\d{8}T\d{6})(?:_N\d+\.\d+)?\Z", re.ASCII)
_BASELINE: Final = re.compile(r"_N\d+\.\d+\Z", re.ASCII)
_COMPACT: Final = re.compile(r"S2[A-Z]_MSIL1C_(\d{8}T\d{6})_N\d{4}_R\d{3}_T([0-9A-Z]{5})_", re.ASCII)
_GRANULE: Final = re.compile(r"_T(\d\d[A-Z]{3})(?:_|\Z)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Strip:
    """Products that complement each other: one datatake, one start of sensing. Its versions are overlaid never."""

    datatake: str
    """Id of the datatake without its baseline, such as ``GS2B_20230823T095559_033753``."""
    start: datetime
    """Sensing start of the datastrip, UTC."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What the products of a layer have in common."""

    name: str
    """Name of the layer."""
    strip: Strip
    """The strip that it is a version of."""
    time: datetime
    """Start of the datatake, UTC."""
    baseline: str
    """Processing baseline, such as ``05.11``."""
    created: datetime
    """When the datastrip was made, UTC."""
    relative_orbit: int
    """Relative orbit; 0 if the item does not say it."""
    quantification_value: int
    """DN per unit of reflectance."""
    radio_add_offset: tuple[tuple[str, int], ...]
    """Offset in DN of each band, by name, in the order of names."""

    @property
    def calibration(self) -> Calibration:
        """How DN become reflectance; products of several calibrations are never put into one step in time."""
        return self.quantification_value, self.radio_add_offset

    @property
    def version(self) -> tuple[tuple[int, ...], datetime]:
        """Grows from version to version of a strip: baseline as numbers, then time of creation."""
        return version(self.baseline), self.created


def layer_of(item: Mapping[str, Any], name: str, source: str) -> Layer:
    """Return what an item says of its layer.

    Raises
    ------
    InvalidArchiveError
        If the item lacks something, or it can't be understood.
    """
    try:
        properties = item["properties"]
        datastrip = _STRIP.search(str(properties["s2:datastrip_id"]))
        made = _instant(datastrip[1]) if datastrip else _instant(properties["processing:datetime"])
        version(properties["processing:version"])
        return Layer(
            name=name,
            strip=Strip(_BASELINE.sub("", properties["s2:datatake_id"]), _instant(properties["abut:datastrip_start"])),
            time=_instant(properties["datetime"]),
            baseline=properties["processing:version"],
            created=made,
            relative_orbit=int(properties.get("sat:relative_orbit") or 0),
            quantification_value=int(properties["abut:quantification_value"]),
            radio_add_offset=tuple(sorted(_offsets(item["assets"]).items())),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidArchiveError(f"{source}: not the item of a product ({error!r})") from error


def sensed(layer: str) -> datetime | None:
    """Return the sensing start that the name of a layer states; None if it states none."""
    found = _STRIP.search(layer)
    return _stated(found[2]) if found else None


def tile_told(product: str) -> str | None:
    """Return the id of the tile that a product's id states; None if it states none."""
    found = _COMPACT.match(product)
    if found:
        return found[2]
    granule = _GRANULE.search(product)
    return granule[1] if granule else None


def start_told(product: str) -> datetime | None:
    """Return the start of the datatake that a product's id states; None if it states none."""
    found = _COMPACT.match(product)
    return _stated(found[1]) if found else None


def _offsets(assets: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(asset["abut:radio_add_offset"]) for name, asset in assets.items() if _is_band(asset)}


def _is_band(asset: Mapping[str, Any]) -> bool:
    return "abut:radio_add_offset" in asset


def _stated(text: str) -> datetime | None:
    """Return a time that a name states, if it is one."""
    try:
        return _instant(text)
    except ValueError:
        return None


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
