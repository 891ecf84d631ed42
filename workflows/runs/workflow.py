"""What a workflow is to those who run it: a name, what can be set, what it needs, and what it computes of a moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflows.errors import MissingBandError, NeighbourhoodError
from workflows.runs.parameters import read_parameters
from workflows.runs.results import margin
from workflows.scene import COARSEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from workflows.runs.parameters import Parameter, Parameters, Value
    from workflows.runs.results import Result

    type Done = Callable[[str, int, int], None]
    """Called with what is being done, how many parts of it are, and how many there are."""


def unseen(_stage: str, _count: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a workflow is computed, whatever it is."""

    partial: bool = False
    """Do with the ground that is there, if it is less than the workflow looks at."""
    threads: int = 1
    """Threads that may be used."""
    done: Done = unseen
    """Told of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow; get one with `workflows.runs.registry.workflow` or `user_workflow`. It can be pickled."""

    name: str
    """What it is called by: ``clouds``, or ``package.module:function``."""
    title: str
    """What it computes, in a line."""
    parameters: Mapping[str, Parameter]
    """What can be set, by name."""
    needed: Callable[[Parameters], tuple[str, ...]] = field(repr=False)
    """Bands that it needs; see `bands`."""
    reach: Callable[[Parameters], int] = field(repr=False)
    """Metres of ground that it looks at around a pixel; see `radius`."""
    pixel: int
    """Smallest pixel size of its result in metres."""
    per_time: bool = True
    """Whether each moment has a result of its own; else one result is made of several (`composite`)."""
    made: Callable[[xr.DataTree, Parameters, Way], Result] = field(repr=False)
    """What computes it; see `compute`."""

    def params(self, given: Mapping[str, object] | None = None) -> dict[str, Value]:
        """Return the value of each parameter, defaults included; WorkflowError if one is not allowed or unknown."""
        return read_parameters(self.parameters, given or {}, self.name)

    def bands(self, params: Mapping[str, object] | None = None) -> tuple[str, ...]:
        """Return the bands that are needed: names such as ``B8A``."""
        return self.needed(self.params(params))

    def radius(self, params: Mapping[str, object] | None = None) -> int:
        """Return the metres of ground around a pixel that its value depends on."""
        return self.reach(self.params(params))

    def buffer(self, params: Mapping[str, object] | None = None) -> int:
        """Return the metres of ground that have to be read around a core: `radius`, rounded up to 60 m."""
        return -(-self.radius(params) // COARSEST) * COARSEST

    def compute(
        self,
        moment: xr.DataTree,
        params: Mapping[str, object] | None = None,
        partial: bool = False,
        threads: int = 1,
        done: Done = unseen,
    ) -> Result:
        """Return the result of the core of a moment.

        Parameters
        ----------
        moment : xarray.DataTree
            Digital numbers, see `workflows.runs.moments`.
        params : mapping, optional
            Values, or texts that mean them, by name.
        partial : bool
            Do with the ground that is there.
        threads : int
            Threads that may be used; the result does not depend on them.
        done : callable
            Called with a stage, and the parts of it that are done and all.

        Returns
        -------
        xarray.Dataset or xarray.DataTree
            See `workflows.runs.results`; of a user's function whatever it returned.

        Raises
        ------
        WorkflowError
            If a parameter is wrong, a band is missing, there is too little ground around the core, or what is there
            can't be computed.
        """
        values = self.params(params)
        _require_bands(moment, self.needed(values))
        if not partial:
            _require_margin(moment, self.reach(values), self.name)
        return self.made(moment, values, Way(partial=partial, threads=threads, done=done))


def _require_bands(moment: xr.DataTree, needed: tuple[str, ...]) -> None:
    there = {str(name).upper() for node in moment.children.values() for name in node.data_vars}
    missing = [band for band in needed if band not in there]
    if missing:
        found = sorted(name for name in there if name[:1] == "B")
        raise MissingBandError(f"{', '.join(missing)} missing; there are {', '.join(found) or 'no bands'}")


def _require_margin(moment: xr.DataTree, radius: int, name: str) -> None:
    metres = margin(moment)
    if radius > metres:
        up = -(-radius // COARSEST) * COARSEST
        raise NeighbourhoodError(
            f"{name} looks {radius} m around a pixel; around the core there are {metres} m: a buffer of {up} m is "
            "needed, or ask for a partial result"
        )
