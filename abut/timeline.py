"""One time axis for several zones: steps of the same datatake, or of the same solar day, are one step.

As far as offsets and quantification values are the same; else they are several, as in one zone (`abut.steps`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from abut.blocks import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from abut.blocks import BlockSource, Part
    from abut.lattice import Block, Zone
    from abut.store import Store


@dataclass(frozen=True, slots=True)
class Aligned:
    """Blocks of one zone, with the steps of several; it is an `abut.blocks.BlockSource`."""

    source: BlockSource
    """Blocks of the zone, with its own steps."""
    slots: tuple[Slot, ...]
    """Steps of all zones, in their order."""
    index: tuple[int | None, ...]
    """For each step that of the source; None where the zone has nothing then."""

    @property
    def store(self) -> Store:
        """Where the objects are."""
        return self.source.store

    @property
    def profile(self) -> str:
        """How they are encoded, see `abut.codec`."""
        return self.source.profile

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.source.zone

    def parts(self, slot: int, block: Block) -> tuple[Part, ...]:
        """Holders of a block at a step, in the order in which they are overlaid: the first DN > 0 wins."""
        own = self.index[slot]
        return () if own is None else self.source.parts(own, block)

    def renewed(self) -> Aligned:
        """Plan again, after an object that `parts` named was gone; steps stay the same."""
        return replace(self, source=self.source.renewed())


def align(sources: Sequence[BlockSource], shift: timedelta | None = None) -> tuple[Aligned, ...]:
    """Give the sources of several zones one time axis.

    Parameters
    ----------
    sources : sequence of BlockSource
        One of each zone, the request's own first; their steps are datatakes, or solar days if `shift` is given.
    shift : timedelta, optional
        Solar time less UTC, see `abut.across.solar_shift`: steps of the same solar day are one. The steps of the
        sources have to be solar days by the same shift.

    Returns
    -------
    tuple of Aligned
        The sources in their order, all with the same steps: every one that a source has, by time.

    Raises
    ------
    ValueError
        If a source has two steps of the same datatake or solar day, and of the same calibration.
    """

    def key(slot: Slot) -> Any:
        return slot.datatakes if shift is None else (slot.time + shift).date(), slot.calibration

    own = [{key(slot): number for number, slot in enumerate(source.slots)} for source in sources]
    for source, steps in zip(sources, own, strict=True):
        if len(steps) < len(source.slots):
            number, twice = next((n, slot) for n, slot in enumerate(source.slots) if steps[key(slot)] != n)
            later = source.slots[steps[key(twice)]]
            raise ValueError(
                f"steps {number} ({twice.time.isoformat()}) and {steps[key(twice)]} ({later.time.isoformat()}) of "
                f"{source.zone} are one: {key(twice)[0]}"
            )
    merged = {
        step: _merged([source.slots[steps[step]] for source, steps in zip(sources, own, strict=True) if step in steps])
        for step in dict.fromkeys(chain.from_iterable(own))
    }
    order = sorted(merged, key=lambda step: (merged[step].time, merged[step].datatakes, step[1]))
    slots = tuple(merged[step] for step in order)
    return tuple(
        Aligned(source, slots, tuple(steps.get(step) for step in order))
        for source, steps in zip(sources, own, strict=True)
    )


def _merged(slots: Sequence[Slot]) -> Slot:
    """Join the slots of a step, which are of one calibration."""
    return Slot(
        time=min(slot.time for slot in slots),
        datatakes=tuple(dict.fromkeys(chain.from_iterable(slot.datatakes for slot in slots))),
        products=tuple(sorted(set(chain.from_iterable(slot.products for slot in slots)))),
        quantification_value=slots[0].quantification_value,
        radio_add_offset=slots[0].radio_add_offset,
    )
