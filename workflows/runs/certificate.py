"""Certificates: what comparisons of workflows on SAFEs and on an archive found, for people and for machines."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from abut import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from workflows.runs.distance import Difference, Ring

FORMAT: Final = 1
"""Version of the certificates' JSON."""
RUNS: Final[dict[str, str]] = {
    "a": "the tile from its SAFE, read by rasterio",
    "b": "the tile re-created from the archive",
    "c": "the tile with its neighbourhood from the archive's view",
    "d": "the tile with its neighbourhood from the SAFEs, pasted together",
    "e": "the tile alone, with the angles of the neighbourhood: only pixels are missing",
    "p": "the same as c, in pieces that have no more around them than the radius",
    "x": "the same as c, with other zones' ground resampled where this zone has none",
}
"""What the letters of digests and comparisons mean."""


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of this software, of Python, and of packages as far as they are installed."""
    found = {"abut": __version__, "python": sys.version.split()[0]}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableResult:
    """A variable of the result, of all runs."""

    name: str
    """Its name."""
    dtype: str
    """Type of its values."""
    shape: tuple[int, ...]
    """Its shape."""
    pixel: float
    """Pixel size in metres."""
    digests: Mapping[str, str]
    """Digest by run, see `RUNS` and `workflows.runs.results.digest`."""
    tile: Difference
    """The tile: SAFE (a) against archive (b)."""
    neighbourhood: Difference
    """With the neighbourhood: SAFEs (d) against archive (c)."""
    pieces: Difference | None
    """In pieces (p) against at once (c); None if that was not tried."""
    rim: tuple[Ring, ...]
    """The tile alone (e) against the neighbourhood (c), by distance to the ground that it lacks."""
    own_angles: tuple[Ring, ...]
    """The tile from its SAFE, with its own angles everywhere (a), against the neighbourhood (c)."""
    across: tuple[Ring, ...] | None
    """With other zones' ground (x) against without (c); None if that was not asked for."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of classes: the share of pixels that each has in c, by its meaning."""

    @property
    def beyond(self) -> int:
        """Pixels of the lone tile that differ although all that the workflow looks at is there."""
        return self.rim[-1].differing

    @property
    def in_rim(self) -> int:
        """Pixels that the lone tile gets wrong because ground is missing."""
        return sum(ring.differing for ring in self.rim[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a comparison of a workflow on SAFEs and on an archive found."""

    workflow: str
    """Name of the workflow."""
    params: Mapping[str, Any]
    """Its parameters."""
    radius: int
    """Metres that it says it looks around a pixel."""
    product: str
    """Product id."""
    tile: str
    """Tile id."""
    zone: str
    """Zone, as an EPSG code."""
    core: tuple[int, int, int, int]
    """Ground of the results: left, bottom, right, top in metres of the zone."""
    safes: tuple[str, ...]
    """The SAFEs as they were given."""
    archive: str
    """URL of the archive."""
    products: Mapping[str, tuple[str, ...]]
    """Products of the runs c and d, in the order of the overlay."""
    inputs: Mapping[str, Mapping[str, str]]
    """Digests of what was read, by run and band; ``geometry`` and ``scaling`` too."""
    time: datetime
    """When it was made, UTC."""
    seconds: Mapping[str, Mapping[str, float]]
    """Seconds of reading and of computing, by run."""
    versions: Mapping[str, str]
    """Versions of the software that took part."""
    variables: tuple[VariableResult, ...]
    """What was compared."""

    @property
    def unequal_inputs(self) -> dict[str, list[str]]:
        """What was not read equally, by the pair of runs: bands, ``geometry``, ``scaling``."""
        return {
            f"{one}{two}": [name for name in self.inputs[one] if self.inputs[one][name] != self.inputs[two].get(name)]
            for one, two in (("a", "b"), ("d", "c"))
        }

    @property
    def identical(self) -> bool:
        """Whether inputs and results are equal byte for byte, for the tile and with its neighbourhood."""
        same = all(not one.tile.differing and not one.neighbourhood.differing for one in self.variables)
        return bool(self.variables) and same and not any(self.unequal_inputs.values())

    @property
    def radius_holds(self) -> bool:
        """Whether nothing depended on ground farther away than the radius."""
        pieces = all(one.pieces is None or not one.pieces.differing for one in self.variables)
        return pieces and not any(one.beyond for one in self.variables)

    @property
    def passed(self) -> bool:
        """Whether the results are identical, and the radius holds."""
        return self.identical and self.radius_holds

    def verdict(self) -> list[str]:
        """Return what this shows, and what it does not."""
        said = [self._tile(), self._neighbourhood(), *self._why_unequal(), self._radius(), self._rim()]
        if any(one.across is not None for one in self.variables):
            wrong = sum(ring.differing for one in self.variables for ring in one.across or ())
            said.append(
                f"with other zones' ground, resampled, {wrong:,} values differ from those without: "
                "reported, no identity is claimed"
            )
        return said

    def _tile(self) -> str:
        return self._same("tile", "ab", "the result on the re-created tile is that on the SAFE")

    def _neighbourhood(self) -> str:
        return self._same("neighbourhood", "dc", "the result with the view is that of the SAFEs pasted together")

    def _same(self, name: str, runs: str, claim: str) -> str:
        wrong = sum(getattr(one, name).differing for one in self.variables)
        if not wrong and not self.unequal_inputs[runs]:
            return f"{name}: {claim}, byte for byte"
        what = f"{wrong:,} values of {runs[0]} and {runs[1]} differ" if wrong else "what was read differs"
        return f"{name}: NOT EQUAL, {what}"

    def _why_unequal(self) -> list[str]:
        said = []
        for pair, names in self.unequal_inputs.items():
            if names:
                said.append(f"what was read differs between {pair[0]} and {pair[1]}: {', '.join(names)}")
        here, there = (set(self.products.get(run, ())) for run in "cd")
        for who, more in (("the archive", here - there), ("the SAFEs", there - here)):
            if more:
                said.append(f"only {who} had: {', '.join(sorted(more))}")
        pairs = {"ab": "tile", "dc": "neighbourhood"}
        for pair, name in pairs.items():
            if not self.unequal_inputs[pair] and any(getattr(one, name).differing for one in self.variables):
                said.append(
                    f"{self.workflow} gave other results of equal input ({pair[0]}, {pair[1]}): it is not deterministic"
                )
        return said

    def _radius(self) -> str:
        beyond = sum(one.beyond for one in self.variables)
        pieces = sum(one.pieces.differing for one in self.variables if one.pieces)
        if not beyond and not pieces:
            if not any(one.rim[-1].pixels for one in self.variables):
                return (
                    f"radius: no value lies beyond {self.radius:,} m of what the lone tile lacks: it shows nothing here"
                    f"{'; pieces are the whole' if any(one.pieces is not None for one in self.variables) else ''}"
                )
            tried = "" if all(one.pieces is None for one in self.variables) else ", and pieces are the whole"
            return f"radius: beyond {self.radius:,} m of what the lone tile lacks 0 values differ{tried}"
        found = [
            *([f"{beyond:,} values differ beyond it"] if beyond else []),
            *([f"{pieces:,} differ in pieces that have so much around them"] if pieces else []),
        ]
        return (
            f"radius: UNDERSTATED, {self.workflow} depends on more than {self.radius:,} m around a pixel, or on where "
            f"its window begins: {' and '.join(found)}"
        )

    def _rim(self) -> str:
        rim = sum(one.in_rim for one in self.variables)
        if not rim:
            return "rim: the lone tile gets every value right here"
        return f"rim: {rim:,} values of the lone tile differ because ground is missing; with the view they are right"

    def lines(self) -> list[str]:
        """Return the certificate for people."""
        lines = [f"{run}  {RUNS[run]}" for run in RUNS if any(run in one.digests for one in self.variables)]
        for one in self.variables:
            lines += ["", f"{one.name}  {one.dtype} {' x '.join(map(str, one.shape))}, pixels of {one.pixel:g} m"]
            lines += [f"  {run}  {digest}" for run, digest in one.digests.items()]
            lines += [f"  a = b  {one.tile}", f"  c = d  {one.neighbourhood}"]
            if one.pieces:
                lines.append(f"  c = p  {one.pieces}")
            if one.shares:
                lines.append("  " + ", ".join(f"{name} {share:.1%}" for name, share in one.shares.items()))
            lines += [f"  {text}" for text in _table(one)]
        title = f"{self.product} {self.workflow}"
        return [*lines, "", *self.verdict(), f"{title}: {'IDENTICAL' if self.passed else 'NOT IDENTICAL'}"]

    def as_json(self) -> dict[str, Any]:
        """Return the certificate as JSON."""
        return {
            "abut:run-certificate": FORMAT,
            "result": "identical" if self.passed else "not identical",
            "identical": self.identical,
            "radius_holds": self.radius_holds,
            "verdict": self.verdict(),
            "claims": "pixels of one zone only; nothing is claimed of pixels that were resampled from another",
            "runs": RUNS,
            **plain(self),
        }


def _table(one: VariableResult) -> list[str]:
    """Return differing pixels by distance, as lines."""
    columns = [("lone tile (e)", one.rim), ("with its own angles (a)", one.own_angles)]
    if one.across is not None:
        columns.append(("other zones (x)", one.across))
    lines = [f"{'differs from c, by distance':<28}{'values':>14}" + "".join(f"{title:>25}" for title, _ in columns)]
    for number, ring in enumerate(one.rim):
        counts = "".join(f"{rings[number].differing:>25,}" for _, rings in columns)
        lines.append(f"{ring.label:<28}{ring.pixels:>14,}{counts}")
    return lines


def plain(certificate: Any) -> dict[str, Any]:
    """Return the fields of a certificate as JSON can hold them."""
    found = asdict(certificate)
    found["time"] = certificate.time.isoformat()
    made: dict[str, Any] = json.loads(json.dumps(found), parse_constant=lambda text: text)  # JSON has no Infinity
    return made
