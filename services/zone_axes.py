"""What clients of the URL without a digest were told of the steps of a zone, and what they may therefore mis-read.

Such a client goes by metadata that it got some time ago. A chunk is refused if it means something else by now than the
client may have been told: another datatake, offset or quantification value, or other indexes of products.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

from abut.zone_layout import AxisChunk, BandChunk, MaskChunk, SourceChunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from abut.view import View
    from abut.zone_layout import ZoneLayout

TOLD: Final = 3600.0
"""Seconds for which a client may go by metadata that it got from the URL without a digest."""
TOLD_AXES: Final = 10.0
"""Seconds in which it reads the coordinates that it reads at once, such as time."""


class Part(Enum):
    """What of a zone a chunk depends on."""

    STEP = "step"
    """One step: pixels and masks."""
    STEPS = "steps"
    """All steps, read when a client needs them: offsets, quantification values, datatakes."""
    PRODUCTS = "products"
    """Products up to a step: who holds the blocks."""
    OPENING = "opening"
    """All, read at once when a client opens the zone: the other coordinates."""


_LATER: Final = frozenset({"radio_add_offset", "quantification_value", "datatake"})


def part_of(layout: ZoneLayout, key: str) -> tuple[Part, int] | None:
    """Return what the key of a chunk depends on, and up to which step; None if on the zone alone."""
    chunk = layout.chunk(key)
    if isinstance(chunk, AxisChunk):
        return None
    if isinstance(chunk, BandChunk | MaskChunk):
        return Part.STEP, chunk.slot
    if isinstance(chunk, SourceChunk):
        return Part.PRODUCTS, chunk.slot
    path, _, index = key.partition("/c/")
    name, numbers = path.rpartition("/")[2], index.split("/")
    if len(numbers) == 3 and all(number.isdecimal() for number in numbers):  # beyond the end of the time axis
        return (Part.PRODUCTS if name == "source" else Part.STEP), int(numbers[0])
    if name == "product_step":
        return Part.PRODUCTS, layout.steps
    return (Part.STEPS if name in _LATER else Part.OPENING), layout.steps


@dataclass(frozen=True, slots=True)
class Axis:
    """What the metadata of a zone tell of its steps, as digests."""

    steps: tuple[str, ...]
    """Of each step: datatakes, quantification value and offsets."""
    products: tuple[str, ...]
    """For each step: the ids of the products of all steps up to it."""

    @classmethod
    def of(cls, view: View) -> Self:
        """Return the steps of a view."""
        steps, products, sofar = [], [], hashlib.sha256()
        for slot, names in zip(view.slots, view.named, strict=True):
            steps.append(_digest([slot.datatakes, slot.quantification_value, sorted(slot.radio_add_offset.items())]))
            sofar.update(json.dumps(names).encode())
            products.append(sofar.hexdigest()[:16])
        return cls(tuple(steps), tuple(products))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what `to_json` gave; ValueError if it did not."""
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("no axis")  # noqa: TRY004 - as other JSON that is none
        lists = [found.get("steps"), found.get("products")]
        if not all(isinstance(some, list) and all(isinstance(one, str) for one in some) for some in lists):
            raise ValueError("no axis")
        return cls(tuple(found["steps"]), tuple(found["products"]))

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({"steps": self.steps, "products": self.products})

    @property
    def name(self) -> str:
        """A name for it."""
        return _digest([self.steps, self.products])

    def differs(self, other: Axis, part: Part, slot: int) -> bool:
        """Whether a part is another for a client that was told of another axis, though it may take it for its own.

        Steps that a client does not know of, it does not ask for.
        """
        if part is Part.OPENING:
            return self != other
        mine, told = (self.products, other.products) if part is Part.PRODUCTS else (self.steps, other.steps)
        if part is Part.STEP:
            return told[slot : slot + 1] not in {mine[slot : slot + 1], ()}
        end = min(slot + 1, len(told))
        if part is Part.STEPS:
            end = min(end, len(mine))
        return mine[:end] != told[:end]


def is_ambiguous(axis: Axis, told: Mapping[Axis, float], part: Part, slot: int) -> bool:
    """Whether a part may be another for clients.

    Parameters
    ----------
    axis : Axis
        What there is.
    told : mapping of Axis to float
        What clients were told, and how many seconds ago.
    part : Part
        What of it is asked for.
    slot : int
        The step, or up to which.
    """
    return any(
        (age < TOLD and part is not Part.OPENING and axis.differs(other, part, slot))
        or (age < TOLD_AXES and part is not Part.STEP and part is not Part.PRODUCTS and axis != other)
        for other, age in _others(axis, told)
    )


def _others(axis: Axis, told: Mapping[Axis, float]) -> Iterable[tuple[Axis, float]]:
    return ((other, age) for other, age in told.items() if other != axis)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
