"""Steps in time: which layers make one, and what its products have in common."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from abut.blocks import Slot
from abut.errors import MixedBaselinesError
from abut.planning import overlay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from abut.finding import Found
    from abut.lattice import Bounds
    from abut.planning import Plan
    from abut.strips import Layer

type Grouping = Literal["datatake", "solar_day"]
"""What makes a step in time."""


def steps_of(found: Iterable[Found], shift: timedelta | None = None) -> list[list[Found]]:
    """Return layers in groups that each make a step in time, in their order: datatakes, or solar days by their shift.

    Parameters
    ----------
    found : iterable of Found
        The layers.
    shift : timedelta, optional
        Solar time less UTC, see `solar_shift`. Default: steps are datatakes.
    """
    starts: dict[str, datetime] = {}
    layers = list(found)
    for one in layers:
        datatake = one.layer.strip.datatake
        starts[datatake] = min(one.layer.time, starts.get(datatake, one.layer.time))

    def step(one: Found) -> tuple[date | datetime, str]:
        start = starts[one.layer.strip.datatake]
        return (start, one.layer.strip.datatake) if shift is None else ((start + shift).date(), "")

    return [list(some) for _, some in groupby(sorted(layers, key=lambda one: (*step(one), one.layer.name)), key=step)]


def solar_shift(window: Bounds) -> timedelta:
    """Return solar time less UTC at the centre of a window, in whole hours towards UTC, as odc-stac has it."""
    from pyproj import Transformer  # noqa: PLC0415 - reading by datatakes needs no projection

    transformer = Transformer.from_crs(str(window.zone), "EPSG:4326", always_xy=True)
    longitude, _ = transformer.transform((window.left + window.right) / 2, (window.bottom + window.top) / 2)
    return timedelta(hours=int(longitude / 15))


def slot_of(plan: Plan) -> Slot:
    """Return a step in time, by what is planned for it; MixedBaselinesError if its products can't make one step."""
    layers = sorted(
        {holder.layer.name: holder.layer for holder in plan.holders}.values(), key=lambda one: overlay(one, None)
    )
    names = {holder.layer.name: holder.whose for holder in reversed(plan.holders)}
    offsets: dict[str, tuple[int, Layer]] = {}
    for layer in layers:
        if layer.quantification_value != layers[0].quantification_value:
            raise _mixed("quantification value", layers[0].quantification_value, layers[0], layer, names)
        for band, offset in layer.radio_add_offset:
            first = offsets.setdefault(band, (offset, layer))
            if first[0] != offset:
                raise _mixed(f"radio_add_offset of {band}", first[0], first[1], layer, names)
    return Slot(
        time=min(layer.time for layer in layers).astimezone(UTC),
        datatakes=tuple(dict.fromkeys(layer.strip.datatake for layer in layers)),
        products=plan.shown,
        quantification_value=layers[0].quantification_value,
        radio_add_offset={band: offset for band, (offset, _) in offsets.items()},
    )


def _mixed(what: str, value: int, first: Layer, second: Layer, names: Mapping[str, str]) -> MixedBaselinesError:
    return MixedBaselinesError(
        f"the {what} is {value} in {names[first.name]} (datatake {first.strip.datatake}, baseline {first.baseline}) "
        f"and another in {names[second.name]} (datatake {second.strip.datatake}, baseline {second.baseline}): they "
        "can't be one step in time; choose one baseline"
    )
