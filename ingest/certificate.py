"""The certificate of equality: what `ingest.verify` found, for people and for machines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ingest.compare import Difference

FORMAT: Final = 1
"""Version of the certificate's JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayResult:
    """One array of the SAFE against the same array of the archive."""

    name: str
    """``B02``, ``quality/B02``, ``detector_footprint/B02``, ``classification``, ``sun_angles``, ``view_angles``."""
    shape: tuple[int, ...]
    """Shape of the SAFE's array."""
    safe_digest: str
    """SHA-256 of the SAFE's array (little-endian, C order), hex."""
    archive_digest: str | None
    """The same of the archive's; None if it could not be read."""
    difference: Difference | None = None
    """How they differ, pixel by pixel."""
    problem: str | None = None
    """Why they could not be compared, or how arrays that are no images differ."""

    @property
    def equal(self) -> bool:
        """Whether every value is the same."""
        return self.difference is None and self.problem is None and self.safe_digest == self.archive_digest

    def __str__(self) -> str:
        return f"{self.name}: {'equal' if self.equal else self.problem or self.difference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """One legacy file of the SAFE against the same file of the archive."""

    path: str
    """Path in the SAFE."""
    size: int | None
    """Bytes in the SAFE; None if it has no such file."""
    safe_digest: str | None
    """SHA-256 of the SAFE's file, hex."""
    archive_digest: str | None
    """The same of the archive's; None if it has no such file."""

    @property
    def equal(self) -> bool:
        """Whether every byte is the same."""
        return self.safe_digest is not None and self.safe_digest == self.archive_digest

    def __str__(self) -> str:
        if self.safe_digest is None:
            return f"{self.path}: in the archive, but not in the SAFE"
        if self.archive_digest is None:
            return f"{self.path}: not in the archive, or not readable"
        return f"{self.path}: {'equal' if self.equal else 'bytes differ'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a comparison of a SAFE with an archive found."""

    product: str
    """Product id."""
    tile: str
    """Tile id."""
    safe: str
    """The SAFE as it was given."""
    archive: str
    """URL of the archive."""
    store: str
    """Folder of the product's store in the archive."""
    time: datetime
    """When it was made, UTC."""
    versions: Mapping[str, str]
    """Versions of the software that took part."""
    arrays: tuple[ArrayResult, ...]
    """Bands, masks and angles."""
    files: tuple[FileResult, ...]
    """Legacy files, sorted by path."""
    left_out: tuple[str, ...]
    """What was not compared: images that are derived, and what the caller did not ask for."""

    @property
    def equal(self) -> bool:
        """Whether everything that was compared is equal."""
        arrays_equal = all(result.equal for result in self.arrays)
        return bool(self.arrays) and arrays_equal and all(result.equal for result in self.files)

    @property
    def pixels(self) -> int:
        """Number of values of all arrays that were compared."""
        return sum(_count(result.shape) for result in self.arrays)

    @property
    def differing(self) -> int:
        """Number of pixels that differ, in all arrays that could be compared."""
        return sum(result.difference.count for result in self.arrays if result.difference)

    def lines(self) -> list[str]:
        """Return the certificate for people: one line for each array, then the files, then the result."""
        unequal = [str(result) for result in self.files if not result.equal]
        same = f"legacy files: {len(self.files) - len(unequal)} of {len(self.files)} equal, byte for byte"
        verdict = "EQUAL" if self.equal else "NOT EQUAL"
        return [
            *map(str, self.arrays),
            *unequal,
            same,
            *(f"not compared: {name}" for name in self.left_out),
            f"{self.product}: {verdict} ({self.pixels} values, {self.differing} differ)",
        ]

    def to_json(self) -> str:
        """Return the certificate as JSON."""
        return json.dumps(
            {
                "abut:certificate": FORMAT,
                "result": "equal" if self.equal else "not equal",
                "product": self.product,
                "tile": self.tile,
                "safe": self.safe,
                "archive": self.archive,
                "store": self.store,
                "time": self.time.isoformat(),
                "versions": dict(self.versions),
                "values": self.pixels,
                "differing_pixels": self.differing,
                "arrays": [_with_result(result) for result in self.arrays],
                "files": [_with_result(result) for result in self.files],
                "not_compared": list(self.left_out),
            },
            indent=1,
        )


def _with_result(result: ArrayResult | FileResult) -> dict[str, Any]:
    return {**asdict(result), "equal": result.equal}


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
