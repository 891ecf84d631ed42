"""Tables of figures: each a ratio of one run, beside its target and what bounds it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHOWN: Final = "shown"
"""Target of a figure that has none."""
EXACT: Final = "1.000"
"""Target of a figure that has to be 1."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    what: str
    """What is compared with what."""
    figure: float
    """The figure."""
    target: str
    """What it has to be, or that it is only shown."""
    bound: str
    """What bounds it."""

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty if there is none to be met or missed."""
        if self.target.startswith("<"):
            return "met" if self.figure <= float(self.target.lstrip("<= ")) else "missed"
        if self.target.startswith(">"):
            return "met" if self.figure >= float(self.target.lstrip(">= ")) else "missed"
        if self.target == EXACT:
            return "met" if self.figure == 1 else "missed"
        return ""


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the lines as JSON values, verdicts included."""
    return [{**asdict(row), "verdict": row.verdict} for row in rows]


def show(rows: Sequence[Row]) -> None:
    """Print the figures, their targets and what bounds them."""
    width = max(len(row.what) for row in rows)
    print(f"\n{'what':{width}}  {'figure':>8}  {'target':>8}  {'':6}  what bounds it")
    for row in rows:
        print(f"{row.what:{width}}  {row.figure:8.3f}  {row.target:>8}  {row.verdict:6}  {row.bound}")


def show_table(title: str, table: Sequence[Mapping[str, str | float]]) -> None:
    """Print a table whose rows have the same columns."""
    print(f"\n{title}")
    print("  ".join(f"{name:>14}" for name in table[0]))
    for row in table:
        print("  ".join(f"{value:>14}" if isinstance(value, str | int) else f"{value:14.2f}" for value in row.values()))
