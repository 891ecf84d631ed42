"""Where the results of jobs lie: ``<job>/<part>.<claim>.zarr``.

Each try of a part writes below a key of its own, and the job names the one that is complete. So nothing that is half
written, or written again, is ever taken for a result, whoever dies or comes back late.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from abut.errors import UnsupportedStoreError
from abut.store import open_store

if TYPE_CHECKING:
    from abut.archive import Archive
    from abut.store import Store
    from services.cubes.jobs import Claim

FOLDER: Final = "results"
"""Folder of results in an archive."""


def results_url(archive: Archive, given: str | None = None) -> str:
    """Return where results are written: what the operator says (ABUT_RESULTS), or a folder of the archive."""
    return (given or f"{archive.store.url}/{FOLDER}").rstrip("/")


def open_results(url: str) -> Store:
    """Open the store of results; a local folder is made if it is missing.

    Raises
    ------
    InvalidArchiveError
        If it is neither a folder nor ``s3://bucket/prefix``.
    UnsupportedStoreError
        If nothing can be written there.
    """
    store = open_store(url, create=True)
    if store.read_only:
        raise UnsupportedStoreError(f"{url}: results can't be written to a web server")
    return store


def key_of(claim: Claim) -> str:
    """Return the key below which a try of a part writes its Zarr group."""
    return f"{claim.part.job}/{claim.part.number}.{claim.token[:12]}.zarr"


def remove_others(store: Store, claim: Claim) -> None:
    """Delete what earlier tries of a part left whose services were killed; the result of this one stays."""
    part, mine = claim.part, key_of(claim)
    if part.tries > 1:
        for folder in _folders(store, part.job):
            if folder.startswith(f"{part.job}/{part.number}.") and folder != mine:
                remove(store, folder)


def _folders(store: Store, job: str) -> list[str]:
    if store.root is not None:
        return [f"{job}/{path.name}" for path in (store.root / job).iterdir()]
    return [folder.rstrip("/") for folder in store.children(job)[0]]


def zarr_store(url: str, key: str) -> Any:
    """Return the Zarr store of a result, to be written or read."""
    from zarr.storage import ObjectStore  # noqa: PLC0415 - slow to import

    return ObjectStore(open_results(f"{url}/{key}").backend)


def remove(store: Store, folder: str) -> None:
    """Delete all that lies below a key; nothing there is no error."""
    if store.root is not None:
        shutil.rmtree(store.root / folder, ignore_errors=True)  # with what writers left that died
        return
    store.delete(entry.key for entry in store.entries(folder))
