"""What each component uses: CPU, memory, by its processes and all that they started."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from benchmarks.measure import children, cpu_of, memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    type Roots = Callable[[], Mapping[str, int]]
    """Process of each component."""

_SECONDS: Final = 0.5


@dataclass(slots=True)
class Use:
    """What a component used in a run."""

    cpu: float = 0
    """User and system seconds."""
    peak: float = 0
    """Most resident memory in MB, pages shared with files left out."""


@dataclass(slots=True)
class Account:
    """Looks at the processes of components until it is closed.

    CPU of a process that ended between two looks counts as it was seen last: half a second at most is lost.
    """

    roots: Roots
    _seen: dict[str, dict[int, float]] = field(default_factory=dict)
    _first: dict[str, dict[int, float]] = field(default_factory=dict)
    _peaks: dict[str, float] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._look()
        self._first = {name: dict(some) for name, some in self._seen.items()}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def used(self) -> dict[str, Use]:
        """Return what each component used since the beginning."""
        return {
            name: Use(
                sum(cpu - self._first.get(name, {}).get(pid, 0) for pid, cpu in some.items()), self._peaks.get(name, 0)
            )
            for name, some in self._seen.items()
        }

    def _watch(self) -> None:
        while not self._ending.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        for name, root in self.roots().items():
            try:
                pids = children(root)
                memory = memory_of(pids)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while it was looked at
            self._peaks[name] = max(self._peaks.get(name, 0), memory)
            seen = self._seen.setdefault(name, {})
            for pid in pids:
                seen[pid] = max(seen.get(pid, 0), cpu_of([pid]))
