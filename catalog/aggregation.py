"""Aggregations of a search: which there are, and the shape of their answers (STAC aggregation extension 0.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One aggregation that can be asked for."""

    name: str
    """Name in requests and answers."""
    kind: Literal["count", "minimum", "maximum", "terms", "months", "histogram"]
    """What it computes."""
    property: str = ""
    """Property that it looks at; empty for a count of items."""
    data_type: str = "integer"
    """Type of value or keys as the extension names it."""

    def description(self) -> dict[str, Any]:
        """Return how the API announces it."""
        described: dict[str, Any] = {"name": self.name, "data_type": self.data_type}
        if self.kind == "months":
            described["frequency_distribution_data_type"] = "datetime"
        elif self.kind in {"terms", "histogram"}:
            described["frequency_distribution_data_type"] = "numeric" if self.kind == "histogram" else "string"
        return described


AGGREGATIONS: Final = (
    Aggregation("total_count", "count"),
    Aggregation("datetime_min", "minimum", "datetime", "datetime"),
    Aggregation("datetime_max", "maximum", "datetime", "datetime"),
    Aggregation("datetime_frequency", "months", "datetime", "frequency_distribution"),
    Aggregation("grid_code_frequency", "terms", "grid:code", "frequency_distribution"),
    Aggregation("cloud_cover_frequency", "histogram", "eo:cloud_cover", "frequency_distribution"),
    Aggregation("datatake_frequency", "terms", "s2:datatake_id", "frequency_distribution"),
    Aggregation("platform_frequency", "terms", "platform", "frequency_distribution"),
    Aggregation("relative_orbit_frequency", "terms", "sat:relative_orbit", "frequency_distribution"),
    Aggregation("baseline_frequency", "terms", "processing:version", "frequency_distribution"),
)
"""All aggregations, on either database."""

CLOUD_BINS: Final = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
"""Lower ends of the bins of the histogram of cloud cover, in percent; the last holds 100 alone."""

MAX_BUCKETS: Final = 1_000
"""Buckets of a frequency, most frequent first; what is beyond is counted in ``overflow``."""


def wanted(names: Sequence[str]) -> list[Aggregation]:
    """Return the aggregations of some names.

    Raises
    ------
    ValueError
        If there is no such aggregation.
    """
    known = {aggregation.name: aggregation for aggregation in AGGREGATIONS}
    for unknown in (name for name in names if name not in known):
        raise ValueError(f"aggregation {unknown!r} is unknown; there are {', '.join(known)}")
    return [known[name] for name in names]


def counted(aggregation: Aggregation, value: Any) -> dict[str, Any]:
    """Return the answer of a count, minimum or maximum."""
    return {"name": aggregation.name, "data_type": aggregation.data_type, "value": value}


def distributed(aggregation: Aggregation, buckets: list[tuple[Any, int]], overflow: int = 0) -> dict[str, Any]:
    """Return the answer of a frequency.

    Parameters
    ----------
    aggregation : Aggregation
        Of kind terms, months or histogram.
    buckets : list of (key, count)
        Keys: text; first instant of the month (``2023-08-01T00:00:00Z``); or the lower end of a bin of `CLOUD_BINS`.
    overflow : int
        Items in buckets that are not listed.
    """
    return {
        "name": aggregation.name,
        "data_type": aggregation.data_type,
        "overflow": overflow,
        "buckets": [_bucket(aggregation, key, count) for key, count in buckets],
    }


def _bucket(aggregation: Aggregation, key: Any, count: int) -> dict[str, Any]:
    if aggregation.kind == "histogram":
        index = CLOUD_BINS.index(key)
        upper = CLOUD_BINS[index + 1] if index + 1 < len(CLOUD_BINS) else None
        return {"key": str(key), "data_type": "numeric", "frequency": count, "from": key, "to": upper}
    return {"key": str(key), "data_type": "datetime" if aggregation.kind == "months" else "string", "frequency": count}
