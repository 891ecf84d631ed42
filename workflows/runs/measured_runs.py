"""Runs that are to be compared: what each read and gave, as digests, and how long it took."""

from __future__ import annotations

import gc
import hashlib
import json
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from workflows.errors import WorkflowError
from workflows.runs.distance import pixels_of
from workflows.runs.results import digest, ground, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from workflows.runs.workflow import Done, Workflow

    type Found = dict[str, xr.DataArray]


@dataclass(slots=True, kw_only=True)
class MeasuredRuns:
    """Runs of one workflow, all with the same parameters; they have letters (`certificate.RUNS`)."""

    workflow: Workflow
    """The workflow."""
    params: Mapping[str, Any]
    """Its parameters."""
    threads: int
    """Threads that may be used."""
    done: Done = field(repr=False)
    """Told of progress."""
    products: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Products by run, in the order of the overlay."""
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digests of what was read, by run and name."""
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    """Digests of results, by run and variable."""
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """Seconds by run: ``reading``, ``computing``."""

    def read(self, run: str, read: Callable[[], xr.DataTree]) -> xr.DataTree:
        """Read a moment."""
        self.done(f"{run}: reading", 0, 1)
        gc.collect()  # moments are trees, whose parts know each other: none goes by itself
        began = monotonic()
        moment = read()
        self.seconds.setdefault(run, {})["reading"] = round(monotonic() - began, 3)
        self.products[run] = tuple(str(name) for name in moment.attrs["products"])
        self.inputs[run] = input_digests(moment)
        return moment

    def compute(self, run: str, moment: xr.DataTree, *, partial: bool) -> Found:
        """Return the variables of a moment's core; WorkflowError if what was read is no longer what it was."""
        began = monotonic()
        result = self.workflow.compute(
            moment,
            self.params,
            partial=partial,
            threads=self.threads,
            done=lambda stage, count, total: self.done(f"{run}: {stage}", count, total),
        )
        found = variables(result, ground(moment))
        del result
        self.seconds.setdefault(run, {})["computing"] = round(monotonic() - began, 3)
        if run in self.inputs and input_digests(moment) != self.inputs[run]:
            raise WorkflowError(
                f"{self.workflow.name} changes what it is given, so its runs can't be compared: let it work on a copy"
            )
        self.digests[run] = {name: digest(one) for name, one in found.items()}
        return found

    def run(self, run: str, read: Callable[[], xr.DataTree], *, partial: bool) -> Found:
        """Read and compute; the moment is gone afterwards."""
        return self.compute(run, self.read(run, read), partial=partial)


def input_digests(moment: xr.DataTree) -> dict[str, str]:
    """Return the SHA-256 of all that a workflow is given: of each band, of the angles, of offsets and scale."""
    bands = pixels_of(moment)
    angles = hashlib.sha256()
    if "geometry" in moment.children:
        for name, table in sorted(moment["geometry"].data_vars.items()):
            angles.update(f"{name} {digest(table)}".encode())
    scaling: dict[str, tuple[int, int]] = {}
    for node in moment.children.values():
        if "band" not in node.coords:
            continue
        offsets = node.coords["radio_add_offset"].to_numpy()
        names = [str(name) for name in node.coords["band"].to_numpy()]
        scale = int(node.coords["quantification_value"])
        scaling |= {name: (int(one), scale) for name, one in zip(names, offsets, strict=True) if name in bands}
    place = [str(moment.attrs["zone"]), *(np.asarray(moment.attrs[name]).tolist() for name in ("window", "core"))]
    return {
        **{name: digest(array) for name, array in sorted(bands.items())},
        "geometry": angles.hexdigest(),
        "scaling": hashlib.sha256(json.dumps([place, sorted(scaling.items())]).encode()).hexdigest(),
    }
