"""Operators of CQL2 that filters may have, and what those on times mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
"""Operators that compare two values."""

SPATIAL: Final = frozenset(
    f"s_{name}" for name in ("intersects", "equals", "disjoint", "touches", "within", "overlaps", "crosses", "contains")
)
"""Operators on the geometry of the item and a given one."""

SAME: Final = frozenset({"s_intersects", "s_equals", "s_within", "s_contains"})
"""Those that are true of a geometry and itself."""

TEMPORAL: Final[Mapping[str, str]] = {
    "t_after": "{l0} > {r1}",
    "t_before": "{l1} < {r0}",
    "t_contains": "{l0} < {r0} AND {l1} > {r1}",
    "t_disjoint": "NOT ({l0} <= {r1} AND {l1} >= {r0})",
    "t_during": "{l0} > {r0} AND {l1} < {r1}",
    "t_equals": "{l0} = {r0} AND {l1} = {r1}",
    "t_finishedBy": "{l0} < {r0} AND {l1} = {r1}",
    "t_finishes": "{l0} > {r0} AND {l1} = {r1}",
    "t_intersects": "{l0} <= {r1} AND {l1} >= {r0}",
    "t_meets": "{l1} = {r0}",
    "t_metBy": "{l0} = {r1}",
    "t_overlappedBy": "{l0} > {r0} AND {l0} < {r1} AND {l1} > {r1}",
    "t_overlaps": "{l0} < {r0} AND {l1} > {r0} AND {l1} < {r1}",
    "t_startedBy": "{l0} = {r0} AND {l1} > {r1}",
    "t_starts": "{l0} = {r0} AND {l1} < {r1}",
}
"""Operators on instants and intervals, as SQL on the first (0) and last (1) instant of the left (l) and right (r)."""

ARRAY: Final = frozenset({"a_equals", "a_contains", "a_containedBy", "a_overlaps"})
"""Operators on arrays."""
