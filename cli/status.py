"""How a command ends: exit statuses, and errors in one line."""

from __future__ import annotations

from typing import Final

import click

FAILED: Final = 1
"""A check found something, or some of several products failed."""
REFUSED: Final = 2
"""Bad usage, bad input, or a machine that can't (disk full, no permission)."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
TERMINATED: Final = 143
"""SIGTERM, such as by Kubernetes or Docker; ended in order, like by Ctrl-C."""
PIPE_CLOSED: Final = 141
"""Whoever read the output has gone."""


def print_error(text: str) -> None:
    """Print an error on stderr, on one line."""
    click.echo(f"abut: error: {' '.join(text.split())}", err=True)
