"""Steps in time: which layers make one, and what its products have in common."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from abut.blocks import Slot
from abut.errors import MixedBaselinesError
from abut.planning import overlay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.blocks import Calibration
    from abut.finding import Found
    from abut.lattice import Bounds
    from abut.planning import Plan

type Grouping = Literal["datatake", "solar_day"]
"""What makes a step in time."""


def steps_of(found: Iterable[Found], shift: timedelta | None = None) -> list[list[Found]]:
    """Return layers in groups that each make a step in time, in their order: datatakes, or solar days by their shift.

    Layers of several calibrations (offsets, quantification values) are several steps, of the same time or day: so DN
    stay as they are, and each step has one offset for each band.

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
    steps: dict[tuple[date | datetime, str, Calibration], list[Found]] = {}
    for one in sorted(layers, key=lambda one: one.layer.name):
        datatake = one.layer.strip.datatake
        when = (starts[datatake], datatake) if shift is None else ((starts[datatake] + shift).date(), "")
        steps.setdefault((*when, one.layer.calibration), []).append(one)

    def order(key: tuple[date | datetime, str, Calibration]) -> tuple[datetime, str, Calibration]:
        return min(starts[one.layer.strip.datatake] for one in steps[key]), *key[1:]

    return [steps[key] for key in sorted(steps, key=order)]


def split_notes(slots: Iterable[Slot], shift: timedelta | None = None) -> tuple[str, ...]:
    """Say of which datatakes (or solar days) there are several steps, as their products differ in calibration.

    Returns
    -------
    tuple of str
        A line for each.
    """
    steps: dict[str, list[Slot]] = {}
    for slot in slots:
        name = f"datatake {' '.join(slot.datatakes)}" if shift is None else f"solar day {(slot.time + shift).date()}"
        steps.setdefault(name, []).append(slot)
    return tuple(
        f"{name}: its products differ in {_difference(*some[:2])}, and are {len(some)} steps"
        for name, some in steps.items()
        if len(some) > 1
    )


def require_one_step(slots: Iterable[Slot]) -> None:
    """See that each datatake is one step; MixedBaselinesError if products of one differ in calibration."""
    known: dict[str, Slot] = {}
    for slot in slots:
        for datatake in slot.datatakes:
            first = known.setdefault(datatake, slot)
            if first is not slot:
                one, other = (", ".join(some.products) for some in (first, slot))
                raise MixedBaselinesError(
                    f"{one} and {other} of datatake {datatake} differ in {_difference(first, slot)}: they can't be one "
                    "step in time; choose one baseline"
                )


def _difference(first: Slot, second: Slot) -> str:
    """Say in what the calibrations of two steps differ."""
    if first.quantification_value != second.quantification_value:
        return f"quantification value ({first.quantification_value}, {second.quantification_value})"
    offsets = first.radio_add_offset, second.radio_add_offset
    band = next(band for band in sorted({*offsets[0], *offsets[1]}) if offsets[0].get(band) != offsets[1].get(band))
    return f"radio_add_offset (of {band}: {offsets[0].get(band)}, {offsets[1].get(band)})"


def solar_shift(window: Bounds) -> timedelta:
    """Return solar time less UTC at the centre of a window, in whole hours towards UTC, as odc-stac has it."""
    from pyproj import Transformer  # noqa: PLC0415 - reading by datatakes needs no projection

    transformer = Transformer.from_crs(str(window.zone), "EPSG:4326", always_xy=True)
    longitude, _ = transformer.transform((window.left + window.right) / 2, (window.bottom + window.top) / 2)
    return timedelta(hours=int(longitude / 15))


def slot_of(plan: Plan) -> Slot:
    """Return a step in time, by what is planned for it; its layers are of one calibration, see `steps_of`."""
    layers = sorted(
        {holder.layer.name: holder.layer for holder in plan.holders}.values(), key=lambda one: overlay(one, None)
    )
    return Slot(
        time=min(layer.time for layer in layers).astimezone(UTC),
        datatakes=tuple(dict.fromkeys(layer.strip.datatake for layer in layers)),
        products=plan.shown,
        quantification_value=layers[0].quantification_value,
        radio_add_offset=dict(layers[0].radio_add_offset),
    )
