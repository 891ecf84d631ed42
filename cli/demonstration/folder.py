"""The folder that a demonstration writes to: emptied when it was made by an earlier run, refused otherwise."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from abut.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARKER: Final = ".made-by-abut"
"""File that says which command made a folder."""


def fresh_folder(path: Path, command: str, *, inputs: Iterable[Path] = ()) -> Path:
    """Make an empty folder, or empty the one that the same command made before.

    Parameters
    ----------
    path : Path
        The folder.
    command : str
        Name of the command.
    inputs : iterable of Path
        What will be read: none of it may be deleted.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    ExportError
        If something else lies there, it holds an input, or it can't be written.
    """
    root = path.absolute()
    for given in inputs:
        if given.resolve().is_relative_to(root.resolve()):
            raise ExportError(f"{given}: lies inside {path}, which is emptied first; choose another --out")
    try:
        if os.path.lexists(root) and not _is_ours(root, command):
            raise ExportError(f"{path}: is there already, and was not made by `abut {command}`; choose another --out")
        root.mkdir(parents=True, exist_ok=True)
        # The marker stays until all else is gone, so that a run that is interrupted here can be repeated.
        (root / MARKER).write_text(f"abut {command}\n", encoding="utf-8")
        for entry in sorted(root.iterdir()):
            if entry.name != MARKER:
                _remove(entry)
    except OSError as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path}: can't be written: {error.strerror or error}") from error
    return root


def _is_ours(root: Path, command: str) -> bool:
    if root.is_symlink() or not root.is_dir():
        return False
    marker = root / MARKER
    if marker.is_file():
        return marker.read_text(encoding="utf-8", errors="replace") == f"abut {command}\n"
    return not any(root.iterdir())


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
