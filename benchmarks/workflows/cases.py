"""What is measured: workflows, each by several ways to the same pixels, and on less and less ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from abut.lattice import Bounds, Zone
from benchmarks.workflows.scene import nested
from workflows.runs.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workflows.runs.parameters import Value

ARCHIVE: Final = "archive"
"""Way: core and neighbourhood from the archive."""
SAFES: Final = "SAFEs"
"""Way: the same from all SAFEs, by rasterio."""
LONE: Final = "lone SAFE"
"""Way: the tile's own SAFE, by rasterio; the rim of the result lacks its neighbourhood."""
LONE_ARCHIVE: Final = "lone tile"
"""Way: the legacy tile from the archive, digests checked."""
WAYS: Final = (ARCHIVE, SAFES, LONE_ARCHIVE, LONE)
SAME: Final = ((ARCHIVE, SAFES), (LONE_ARCHIVE, LONE))
"""Ways whose results have to be equal, byte for byte."""
PARAMETERS: Final[dict[str, dict[str, Value]]] = {
    "adjacency": {"bands": ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")},
}
"""What is not left at its default: all bands that can be corrected."""
NAMES: Final = ("index", "clouds", "adjacency", "segments", "classify")
"""Workflows of one moment; cheap ones first."""
COMPOSITE: Final = "composite"
"""Lower median of NDVI over several dates (`workflows.composites`)."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a process is told."""

    workflow: str
    """Name of the workflow."""
    way: str
    """Where pixels come from."""
    core: tuple[int, int, int, int]
    """Ground: left, bottom, right, top."""
    epsg: int
    """Its zone."""
    products: tuple[str, ...]
    """Ids of the product whose tile it is; of a composite, of one a date."""
    archive: str
    """Folder of the archive."""
    safes: tuple[str, ...]
    """SAFEs."""
    parameters: dict[str, Value]
    """Of the workflow."""

    @property
    def bounds(self) -> Bounds:
        """The ground of the result."""
        return Bounds(Zone(self.epsg), *self.core)

    @property
    def name(self) -> str:
        """Name in results: it tells this case from all others."""
        return f"{self.workflow}, {self.way}, {' '.join(map(str, self.core))}"


@dataclass(frozen=True, slots=True)
class Given:
    """What all cases have in common."""

    archive: str
    """Folder of the archive."""
    safes: tuple[str, ...]
    """SAFEs."""
    products: tuple[str, ...]
    """Ids of the products of the tile that is looked at, by date."""
    core: Bounds
    """Ground of the results."""
    part: Bounds
    """Ground of the composite."""

    def case(self, workflow: str, way: str, core: Bounds | None = None) -> Case:
        """Return a workflow by a way."""
        several = workflow == COMPOSITE
        some = core or (self.part if several else self.core)
        edges = (some.left, some.bottom, some.right, some.top)
        products = self.products if several else self.products[:1]
        parameters = PARAMETERS.get(workflow, {})
        return Case(workflow, way, edges, some.zone.epsg, products, self.archive, self.safes, parameters)


def cases(given: Given, names: Sequence[str] = (*NAMES, COMPOSITE), ways: Sequence[str] = WAYS) -> Iterator[Case]:
    """Yield each workflow by each way, and from the archive on less ground."""
    for name in names:
        if name == COMPOSITE:
            yield from (given.case(name, way) for way in (ARCHIVE, SAFES))
            continue
        for way in ways:
            yield given.case(name, way)
        for core in nested(given.core)[:-1]:
            yield given.case(name, ARCHIVE, core)


def stated(case: Case) -> float:
    """Return the memory in bytes, beside the moment and the result, that docstrings state; 0 where none does."""
    core = case.bounds
    if case.workflow == "adjacency":  # `workflows.adjacency.adjacency`: one band at a time
        return 2 * _pixels(core, 10) + 160 * _pixels(core.buffered(9_600), 60)
    if case.workflow == "segments":  # `workflows.segments.segment`
        around = core.buffered(1_680)
        return 10 * _pixels(around, 10) + 30_000 * around.shape(10)[1]
    if case.workflow == "classify":  # `workflows.features.features`
        around = core.buffered(2_160)
        return 10 * _pixels(around, 10) + 40_000 * around.shape(10)[1] + 40 * _pixels(core.buffered(9_600), 60)
    if case.workflow == "index":  # `workflows.indices.spectral_index`
        return 6_000 * core.shape(10)[1]
    return 0


def _pixels(ground: Bounds, size: int) -> int:
    return ground.area // size**2


def buffer(case: Case) -> int:
    """Return the metres around the core that a case reads."""
    around = case.workflow != COMPOSITE and case.way in (ARCHIVE, SAFES)
    return WORKFLOWS[case.workflow].buffer(case.parameters) if around else 0
