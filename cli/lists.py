"""Lists in files, one entry a line: what a command writes of failures, the next run takes as ``@FILE``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def listed(values: Iterable[str]) -> list[str]:
    """Return values, and in place of each ``@FILE`` the lines of it that are neither empty nor begin with ``#``.

    Raises
    ------
    click.UsageError
        If a file can't be read.
    """
    found: list[str] = []
    for value in values:
        if not value.startswith("@"):
            found.append(value)
            continue
        try:
            lines = Path(value[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{value}: can't be read ({getattr(error, 'strerror', None) or error})") from error
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return found


def require_writable(path: Path) -> None:
    """See that a list can be written, before hours of work depend on it; `OSError` if not."""
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def write_list(path: Path, entries: Sequence[tuple[str, str]]) -> None:
    """Write entries, each after a line with its reason; a file that is there is replaced as a whole."""
    lines = [line for entry, reason in entries for line in (f"# {reason}", entry)]
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
