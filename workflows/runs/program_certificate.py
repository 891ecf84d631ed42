"""Certificates of programs: what they wrote of original and re-created SAFE, for people and for machines."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from workflows.runs.certificate import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from workflows.runs.written import Written

FORMAT: Final = 1
"""Version of the certificates' JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCertificate:
    """What a comparison of a program on the original and on the re-created SAFE found."""

    command: tuple[str, ...]
    """The program and its arguments, as they were given."""
    product: str
    """Product id."""
    tile: str
    """Tile id."""
    safe: str
    """The original as it was given."""
    archive: str
    """URL of the archive."""
    time: datetime
    """When it was made, UTC."""
    versions: Mapping[str, str]
    """Versions of the software that compared; what the program is nobody knows."""
    seconds: tuple[float, float]
    """How long it ran on the original and on the re-created SAFE."""
    repeated: bool
    """Whether it was run on the original twice."""
    files: tuple[Written, ...]
    """What it wrote, by path."""

    @property
    def passed(self) -> bool:
        """Whether it wrote the same of both, and of the original twice as far as that was tried."""
        return bool(self.files) and all(file.equal and not file.varies for file in self.files)

    @property
    def undecided(self) -> bool:
        """Whether all that differs differs between two runs on the original, too."""
        wrong = [file for file in self.files if not file.equal or file.varies]
        return bool(wrong) and all(file.varies for file in wrong)

    @property
    def result(self) -> str:
        """``equal``, ``not equal``, or ``undecided``."""
        return "equal" if self.passed else "undecided" if self.undecided else "not equal"

    def verdict(self) -> list[str]:
        """Return what this shows."""
        equal = sum(file.equal and not file.varies for file in self.files)
        said = [f"{equal:,} of {len(self.files):,} files equal"]
        if any(file.varies for file in self.files):
            said.append("the program does not write the same twice of one SAFE: what varies proves nothing")
        elif self.repeated:
            said.append("two runs on the original write the same: the program is deterministic")
        if not self.passed and not self.undecided:
            said.append(
                "a re-created SAFE has images that were encoded anew (equal pixels, other bytes), and TCI that is "
                "derived anew: a program that reads bytes, or TCI, sees that"
            )
        return said

    def lines(self) -> list[str]:
        """Return the certificate for people: a line for each file, then the result."""
        return [
            *map(str, self.files),
            *self.verdict(),
            f"{self.product} {shlex.join(self.command)}: {self.result.upper()}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the certificate as JSON."""
        return {
            "abut:program-certificate": FORMAT,
            "result": self.result,
            "verdict": self.verdict(),
            **plain(self),
            "files": [{**asdict(file), "equal": file.equal} for file in self.files],
        }
