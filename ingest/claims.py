"""Claims: who is writing which attempt, and how far it has come.

Each attempt to ingest a product writes under its own prefix and keeps a claim beside it, changed only by
compare-and-swap. The claim records each band that is complete, so that a later run can take the attempt over, and it
fences: a worker *seals* its claim before it commits, repair *kills* a claim before it deletes, and only one can win.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from abut.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from abut.store import Store

STALE: Final = timedelta(minutes=15)
"""After this long without renewal a claim may be taken over by another run."""
DEAD: Final = timedelta(days=1)
"""After this long without renewal repair may remove what the attempt wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An attempt to ingest a product."""

    product: str
    """Product id."""
    attempt: str
    """Name of the attempt: part of its prefix."""
    source: str
    """Digest of the source."""
    state: Literal["writing", "sealed", "dead"] = "writing"
    """Whether it is being written, complete and about to be committed, or given up."""
    worker: str
    """Host, process id and a token of the worker that holds it."""
    bands: Mapping[str, Any]
    """What was written of each band that is complete, as JSON values."""
    replaces: str | None = None
    """Prefix of the attempt that the product's item named when this one began; None if there was no item."""
    item: Mapping[str, Any] | None = None
    """The item, once sealed."""
    version: str = ""
    """Version of the object, to swap it by."""

    @property
    def key(self) -> str:
        """Key of the claim in the archive."""
        return f"claims/{self.product}.{self.attempt}.json"

    @property
    def prefix(self) -> str:
        """Folder of the attempt's store, beside the items."""
        return f"{self.product}.{self.attempt}.zarr"


def begin(store: Store, product: str, source: str, replaces: str | None) -> Claim:
    """Claim a new attempt."""
    attempt = secrets.token_hex(4)
    fresh = Claim(product=product, attempt=attempt, source=source, worker=worker_name(), bands={}, replaces=replaces)
    version = store.swap(fresh.key, _encode(fresh), None)
    if version is None:
        raise ConflictError(f"{fresh.key}: the attempt exists already")
    return replace(fresh, version=version)


def resume(store: Store, product: str, source: str, replaces: str | None) -> Claim | None:
    """Take over an attempt of the same source whose worker is dead, if there is one."""
    for claim, age in _of_product(store, product):
        same = (claim.source, claim.state, claim.replaces) == (source, "writing", replaces)
        if same and (age > STALE or _worker_is_dead(claim.worker)):
            try:
                return take_over(store, claim)
            except ConflictError:
                continue
    return None


def renew(store: Store, claim: Claim) -> Claim:
    """Write a claim anew.

    Raises
    ------
    ConflictError
        If another run has taken it over, or repair has given it up.
    """
    version = store.swap(claim.key, _encode(claim), claim.version)
    if version is None:
        raise ConflictError(f"{claim.key}: another run has taken this attempt over")
    return replace(claim, version=version)


def take_over(store: Store, claim: Claim) -> Claim:
    """Renew a claim in this worker's name, so that its former worker can't."""
    return renew(store, replace(claim, worker=worker_name()))


def read(store: Store, key: str) -> Claim | None:
    """Read a claim, or None if it is gone."""
    found = store.read(key)
    if found is None:
        return None
    return Claim(**json.loads(found.data), version=found.version)


def worker_name() -> str:
    """Name this worker: host, process and its start, and a token."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}/{secrets.token_hex(4)}"


def _of_product(store: Store, product: str) -> Iterator[tuple[Claim, timedelta]]:
    _, entries = store.children("claims")
    mine = [entry for entry in entries if entry.key.startswith(f"claims/{product}.")]
    now = store.now() if mine else None
    for entry in mine:
        claim = read(store, entry.key)
        if claim is not None and now is not None:
            yield claim, now - entry.modified


def _worker_is_dead(worker: str) -> bool:
    """Whether a worker of this host has certainly ended; of other hosts nothing is known."""
    host, pid, started, _ = worker.split("/")
    return host == socket.gethostname() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot, so that a reused id is not mistaken; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - not a path to keep
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _encode(claim: Claim) -> bytes:
    names = ("product", "attempt", "source", "state", "worker", "bands", "replaces", "item")
    return json.dumps({name: getattr(claim, name) for name in names}, separators=(",", ":")).encode()
