"""How many values the pictures of a process may have in memory at once; who would be too many waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.cubes.execution import Stop

_LOOKS: Final = 0.1
"""Seconds between looks at whether somebody still waits for a picture that waits."""


class Budget:
    """Values (pixels times layers) of pictures that are being made; of any thread.

    Parameters
    ----------
    values : int
        Values of all pictures together.
    """

    def __init__(self, values: int) -> None:
        self.values = values
        self._used = 0
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        """Values that are taken."""
        return self._used

    def take(self, values: int, stop: Stop, *, most: int | None = None) -> None:
        """Take values, as soon as there are so many; give them back with `give`.

        Parameters
        ----------
        values : int
            How many. A picture of more than there are waits until it is alone.
        stop : Stop
            Ends waiting, with what its `check` raises.
        most : int, optional
            How many may be taken by then. Default: all.
        """
        limit = self.values if most is None else most
        with self._changed:
            while self._used and self._used + values > limit:
                stop.check()
                self._changed.wait(_LOOKS)
            self._used += values

    def give(self, values: int) -> None:
        """Give values back."""
        with self._changed:
            self._used -= values
            self._changed.notify_all()
