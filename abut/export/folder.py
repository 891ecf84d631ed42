"""Folders and files that are there whole or not at all: filled beside their place, then renamed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from abut.errors import AbutError, ExportError, InvalidArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)
_PART: Final = re.compile(r"[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Work:
    """The places of a folder or file that is being made."""

    content: Path
    """What becomes the folder, or the file."""
    scratch: Path
    """For files that are needed meanwhile only."""


@contextmanager
def new_folder(target: Path) -> Iterator[Work]:
    """Make a folder: what was written to `Work.content` appears at `target` at the end, unless something failed.

    Raises
    ------
    ExportError
        If there is something at `target`, or it can't be written.
    """
    with _beside(target) as work:
        with writing(target):
            work.content.mkdir()
        yield work


@contextmanager
def new_file(target: Path) -> Iterator[Work]:
    """Make a file: as `new_folder`, but `Work.content` is to become one file."""
    with _beside(target) as work:
        yield work


@contextmanager
def _beside(target: Path) -> Iterator[Work]:
    require_absent(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".abut-", dir=target.parent))
    work = Work(hidden / "content", hidden / "scratch")
    try:
        with writing(target):
            work.scratch.mkdir()
        yield work
        with writing(target):
            _make_durable(work.content)
            require_absent(target)
            work.content.rename(target)
            _sync(target.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while writing `path` into `ExportError`."""
    try:
        yield
    except AbutError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: Exception) -> ExportError:
    """Return the error that says why a file can't be written, and how much room there is."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    folder = next((parent for parent in path.parents if parent.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free // 1_000_000
    return ExportError(f"{path}: can't be written: {reason} ({free} MB free there)")


def write_file(path: Path, data: bytes) -> None:
    """Create a file, and the folders above it.

    Raises
    ------
    ExportError
        If it can't be written, or is there already.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)


def folder_name(name: object, where: str) -> str:
    """Return a name that can safely be that of a new folder.

    Raises
    ------
    InvalidArchiveError
        If it is none: it leads elsewhere, is hidden, or has odd characters.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArchiveError(f"{where}: {str(name)[:200]!r} can't be the name of a folder")
    return name


def inner_path(path: object, where: str) -> str:
    """Return a path that stays inside the folder that it is relative to.

    Raises
    ------
    InvalidArchiveError
        If it is absolute, leads upwards, or has empty parts or characters that are not printable ASCII.
    """
    parts = path.split("/") if isinstance(path, str) else []
    if not parts or not all(_PART.fullmatch(part) and part not in (".", "..") for part in parts):
        raise InvalidArchiveError(f"{where}: {str(path)[:200]!r} is not a path inside a product")
    return "/".join(parts)


def require_absent(target: Path) -> None:
    """Raise `ExportError` if there is something at a name."""
    if os.path.lexists(target):
        raise ExportError(f"{target}: is there already")


def _make_durable(root: Path) -> None:
    if not root.is_dir():
        _sync(root)
    for folder, _, files in os.walk(root):
        for name in files:
            _sync(Path(folder, name))
        _sync(Path(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
