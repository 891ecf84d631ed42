"""What a view reads: for each step in time, who holds the blocks of a zone.

One small interface with two implementations: the products of an archive (`abut.view`), and a zone-wide array that
was made of them (`abut.zoned`). Whoever reads pixels knows this interface and nothing of what lies behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from abut.lattice import Block, Bounds, Zone
    from abut.layout import Band
    from abut.store import Store


type Calibration = tuple[int, tuple[tuple[str, int], ...]]
"""How DN become reflectance: quantification value, and the offset of each band by name."""


class Part(Protocol):
    """One holder of a block: an object for each band."""

    @property
    def product(self) -> str:
        """Id of the product that holds it."""
        ...

    @property
    def whose(self) -> str:
        """Id of the chosen product whose pixels these are: the holder, or one that released the block to it.

        Masks and angles are that one's, which keeps its own whatever is settled.
        """
        ...

    @property
    def crop(self) -> Bounds | None:
        """Ground within the block beyond which nothing of the object is shown; None: all of it is."""
        ...

    def key(self, band: Band) -> str:
        """Key of the object of a band in the store."""
        ...


@dataclass(frozen=True, slots=True)
class Slot:
    """One step of a view's time axis: what a datatake (or a solar day) saw, of one calibration."""

    time: datetime
    """Start of the datatake (of the first one, where several make a step), UTC."""
    datatakes: tuple[str, ...]
    """Datatakes, in the order in which they are overlaid; without the baseline at the end of their ids."""
    products: tuple[str, ...]
    """Ids of the chosen products that have data there, whoever holds their blocks; sorted."""
    quantification_value: int
    """DN per unit of reflectance."""
    radio_add_offset: Mapping[str, int]
    """Offset in DN by band name; reflectance is (DN + offset) / quantification value where DN > 0."""

    @property
    def calibration(self) -> Calibration:
        """What a step has one of: steps of the same datatake differ in it."""
        return self.quantification_value, tuple(sorted(self.radio_add_offset.items()))


class BlockSource(Protocol):
    """The blocks of one zone over some time."""

    @property
    def store(self) -> Store:
        """Where the objects are."""
        ...

    @property
    def profile(self) -> str:
        """How they are encoded, see `abut.codec`."""
        ...

    @property
    def zone(self) -> Zone:
        """The zone."""
        ...

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Steps in time, in their order."""
        ...

    def parts(self, slot: int, block: Block) -> tuple[Part, ...]:
        """Holders of a block at a step, in the order in which they are overlaid: the first DN > 0 wins.

        Empty where nobody has data.
        """
        ...

    def renewed(self) -> BlockSource:
        """Plan again, after an object that `parts` named was gone.

        Steps and their order stay the same. The answer equals this one if nothing changed.
        """
        ...
