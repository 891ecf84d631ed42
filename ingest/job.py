"""One product out of many: finding the products, and storing one so that its failure stops nothing else."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import GenericError

from abut.archive import open_archive
from abut.errors import ConflictError, InvalidSafeError, SourceUnavailableError
from abut.messages import describe
from ingest.container import MANIFEST
from ingest.ingest import store_product
from ingest.safe_source import safe_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.ingest import Outcome


@dataclass(frozen=True, slots=True)
class Failure:
    """A product that could not be ingested."""

    path: str
    """The SAFE."""
    product: str | None
    """Product id; None if the SAFE could not be read that far."""
    error: str
    """What went wrong, one line that names the file or value."""
    trace: str
    """The traceback, for whoever looks for a defect in Abut itself."""
    transient: bool = False
    """Whether the same may succeed later: a server was away, a worker was lost."""


@dataclass(frozen=True, slots=True)
class Job:
    """One product to be stored."""

    path: str
    """The SAFE: a path, or the URL of a remote one."""
    product: str
    """Product id; of a remote SAFE, which is opened by whoever stores it, what its product is probably called."""
    number: int
    """Place in the order in which the products were asked for."""
    tries: int = 1
    """How often it has been begun."""
    remote: bool = False
    """Whether the SAFE lies elsewhere; then all its products are meant, unless `only` names one."""
    part: int = 0
    """Place of the product in a remote SAFE of several."""
    only: str = ""
    """Id of the one product of a remote SAFE that is still to be stored."""
    not_before: float = 0.0
    """Time (Unix) before which it is not to be begun."""


def failure(path: str, product: str | None, error: BaseException, place: str = "") -> Failure:
    """Return an error as a failure; `place` is named where the error names nothing."""
    trace = "".join(traceback.format_exception(error))
    return Failure(path, product, describe(error, place), trace, transient=is_transient(error))


def is_transient(error: BaseException) -> bool:
    """Whether what failed may succeed later: a source or an archive's store was away, or other runs were in the way."""
    return isinstance(error, SourceUnavailableError | ConflictError | GenericError)


def find_safes(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the SAFE products that paths stand for.

    Parameters
    ----------
    paths : iterable of path
        SAFE folders, zips, and folders that hold ``*.SAFE`` folders or ``*.zip`` files, which are taken by name.

    Returns
    -------
    list of str
        Each once, in the order given.

    Raises
    ------
    InvalidSafeError
        If there is nothing at a path, or a folder holds no SAFE.
    """
    found: dict[str, str] = {}
    for path in map(Path, paths):
        for safe in _safes_at(path):
            found.setdefault(os.path.realpath(safe), str(safe))
    return list(found.values())


def store(archive_url: str, job: Job, threads: int, done: Callable[[str], None]) -> Outcome | Failure:
    """Write and commit one product; whatever goes wrong is returned, not raised."""
    try:
        archive = open_archive(archive_url)
        source = next((one for one in safe_sources(job.path) if one.id == job.product), None)
        if source is None:
            raise InvalidSafeError(f"{job.path}: changed while it was being ingested; {job.product} is gone")
        return store_product(archive, source, threads=threads, done=done)
    except Exception as error:  # noqa: BLE001 - one product's failure must not stop the others
        return failure(job.path, job.product, error, archive_url)


def _safes_at(path: Path) -> list[Path]:
    if not path.exists():
        raise InvalidSafeError(f"{path}: no such file or folder")
    if not path.is_dir() or _is_safe(path) or (path / MANIFEST).is_file():
        return [path]
    inside = sorted(entry for entry in path.iterdir() if _is_safe(entry) or entry.suffix.lower() == ".zip")
    if not inside:
        raise InvalidSafeError(f"{path}: neither a SAFE (no {MANIFEST}) nor a folder with *.SAFE or *.zip")
    return inside


def _is_safe(path: Path) -> bool:
    return path.suffix.lower() == ".safe" and path.is_dir()
