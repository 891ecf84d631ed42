"""Whose turn it is: users take turns, whatever the number and size of their requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Waiting:
    """A user with parts that wait."""

    user: str
    """The user."""
    served: int
    """Number of the hand-out at which the user was last served, counted over all users; 0: never."""
    since: int
    """When the oldest of the waiting parts was asked for."""
    running: int = 0
    """Parts of the user that run."""


def next_user(waiting: Iterable[Waiting], *, per_user: int) -> str | None:
    """Return the user who gets the next part: of those who may, the one who was served longest ago.

    Between two turns of a user with waiting parts every other user has at most one. So nobody waits for more parts to
    be handed out than there are users, however many parts others ask for, and whenever they do.

    Parameters
    ----------
    waiting : iterable of Waiting
        Users with waiting parts.
    per_user : int
        Parts that each may have running.
    """
    able = [one for one in waiting if one.running < per_user]
    return min(able, key=lambda one: (one.served, one.since, one.user)).user if able else None
