"""What many use at once in a simulation: cores and lines that are divided, and counters that take one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simpy import Environment, Event

_DONE: Final = 1e-9
"""Share of a job's work that counts as none, so that rounding leaves no job undone."""


@dataclass(slots=True)
class _Job:
    left: float
    small: float
    group: str
    cap: float
    done: Event
    rate: float = 0.0


class Shared:
    """A capacity that is divided between those who use it: cores by the scheduler of a kernel, a line by TCP.

    Users come in groups, such as the threads of a process. Capacity goes to groups in proportion to what they could
    use, no group gets more than its limit, and inside a group all get the same, up to the limit of each.
    """

    def __init__(self, env: Environment, capacity: float) -> None:
        self._env, self.capacity = env, capacity
        self._jobs: list[_Job] = []
        self._limits: dict[str, float] = {}
        self._at = 0.0
        self._turn = 0
        self.used = 0.0
        """Work that was done so far."""

    def use(self, work: float, group: str = "", *, each: float = math.inf, most: float = math.inf) -> Event:
        """Return an event that happens when some work is done.

        Parameters
        ----------
        work : float
            Work, in units of the capacity times seconds.
        group : str
            Whose it is.
        each : float
            The most that this work gets.
        most : float
            The most that the group gets.
        """
        event = self._env.event()
        if work <= 0 or math.isinf(self.capacity):
            return self._env.timeout(work / each if work > 0 else 0)
        self._advance()
        job = _Job(work, work * _DONE, group, each, event)
        self._jobs.append(job)
        self._limits[group] = most
        self._plan()
        return event

    def _advance(self) -> None:
        """Do the work of the time that passed."""
        passed = self._env.now - self._at
        self._at = self._env.now
        for job in self._jobs:
            worked = min(job.left, job.rate * passed)
            self.used += worked
            job.left -= worked

    def _plan(self) -> None:
        """End what is done, divide anew, and wake up when the next job is done."""
        for job in self._jobs:
            if job.left <= job.small:
                job.done.succeed()
        self._jobs = [job for job in self._jobs if job.left > job.small]
        if not self._jobs:
            return
        self._divide()
        self._turn += 1
        soonest = min(job.left / job.rate for job in self._jobs)
        turn = self._turn
        self._env.timeout(soonest).callbacks.append(lambda _: self._wake(turn))

    def _wake(self, turn: int) -> None:
        if turn == self._turn:  # else it was divided anew meanwhile
            self._advance()
            for job in self._jobs:
                if job.left / job.rate <= self._at * 1e-15 + _DONE:  # less than the clock can tell
                    job.left = 0
            self._plan()

    def _divide(self) -> None:
        first = self._jobs[0]
        if all(job.group == first.group and job.cap == first.cap for job in self._jobs):  # the same, and quicker
            rate = min(first.cap, min(self.capacity, self._limits[first.group]) / len(self._jobs))
            for job in self._jobs:
                job.rate = rate
            return
        groups: dict[str, list[_Job]] = {}
        for job in self._jobs:
            groups.setdefault(job.group, []).append(job)
        wants = {name: min(sum(job.cap for job in some), self._limits[name]) for name, some in groups.items()}
        given = water_fill(wants, {name: min(wants[name], len(groups[name])) for name in wants}, self.capacity)
        for name, some in groups.items():
            inside = water_fill(
                {str(number): job.cap for number, job in enumerate(some)},
                dict.fromkeys(map(str, range(len(some))), 1.0),
                given[name],
            )
            for number, job in enumerate(some):
                job.rate = inside[str(number)]


def water_fill(wants: dict[str, float], weights: dict[str, float], capacity: float) -> dict[str, float]:
    """Divide a capacity by weights; nobody gets more than is wanted, and what is left over goes to the others."""
    given: dict[str, float] = {}
    left, rest = capacity, dict(wants)
    while rest:
        total = sum(weights[name] for name in rest)
        full = [name for name, want in rest.items() if want <= left * weights[name] / total]
        if not full:
            return given | {name: left * weights[name] / total for name in rest}
        for name in full:
            given[name] = rest.pop(name)
        left = max(0.0, left - sum(given[name] for name in full))
    return given


class Counter:
    """Serves one after the other: a single process, or a limit of requests a second."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._free = 0.0
        self.busy = 0.0
        """Seconds that it served so far."""

    def serve(self, seconds: float) -> Event:
        """Return an event that happens when a customer who came now was served."""
        self.busy += seconds
        self._free = max(self._free, self._env.now) + seconds
        return self._env.timeout(self._free - self._env.now)
