"""Probes of a store: what an archive needs of it, tried, told in plain words, with nothing left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from abut.endpoint import endpoint, region
from abut.errors import AbutError, UnsupportedStoreError
from abut.files import LOCKS
from abut.messages import describe
from abut.unusable import explained, is_denied
from abut.writable import require_conditional_writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from abut.store import Store

type Outcome = Literal["ok", "warning", "failed", "not made"]
"""``warning``: works, but look at it; ``not made``: the credentials do not permit to try, or it means nothing there."""

_TIMED: Final = 5
"""Objects that are written and read to see how long that takes."""
_SIZE: Final = 250_000
"""Their bytes: about those of a block of a 10 m band."""
_SKEW: Final = 60.0
"""Seconds by which clocks may differ; S3 itself refuses requests at 15 minutes."""
_SCARCE: Final = 0.05
"""Share of a file system that has to be free."""
_TLS_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that was tried."""

    name: str
    """What."""
    outcome: Outcome
    """How it went."""
    what: str
    """What was found, and what to do about it."""


def probe_store(store: Store) -> Iterator[Probe]:
    """Try what an archive needs of its store; there need not be an archive yet.

    Parameters
    ----------
    store : Store
        The store; objects are written below ``.probe/``, and removed.

    Yields
    ------
    Probe
        In the order in which they are made. After one that shows that the store can't be used at all there are none.
    """
    yield from _connection(store)
    usable, may_list = True, True
    for probe in _access(store):
        yield probe
        usable = usable and probe.outcome != "failed"
        may_list = may_list and (probe.name != "list" or probe.outcome == "ok")
    if not usable:
        return
    writing = _conditional(store)
    yield writing
    if writing.outcome == "failed":
        return
    key = f".probe/{secrets.token_hex(8)}"
    if writing.outcome == "ok":
        yield from _written(store, key, may_list=may_list)
    else:
        yield from _only_read(store)
    if store.root is not None:
        yield from _file_system(store.root)


def _connection(store: Store) -> Iterator[Probe]:
    """Tell how the store is reached."""
    if store.root is not None:
        return
    url = store.url if store.read_only else _endpoint(store)
    if url is None:
        return
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    if parts.scheme == "http":
        yield Probe("connection", "warning", f"{where}: plain HTTP; whoever is between can read and change objects")
        return
    try:
        version = tls_version(parts.hostname or "", parts.port or 443)
    except OSError as error:
        yield Probe("connection", "warning", f"{where}: {describe(error)}; it may be reached through a proxy")
        return
    old = version not in ("TLSv1.2", "TLSv1.3")
    yield Probe("connection", "warning" if old else "ok", f"{where}: {version}")


def _endpoint(store: Store) -> str | None:
    if not isinstance(store.backend, S3Store):
        return None
    return endpoint() or f"https://s3.{region() or 'us-east-1'}.amazonaws.com"


def tls_version(host: str, port: int) -> str:
    """Return the version of TLS that a server chooses; certificates are the business of who sends something."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), _TLS_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return secured.version() or "no TLS"


def _access(store: Store) -> Iterator[Probe]:
    """See whether the store is there and lets objects be listed, and what it says of one that is not there."""
    listing = _listing(store)
    if listing is not None:
        yield listing
        if listing.outcome == "failed":
            return
    denied = listing is not None and listing.outcome == "warning"
    try:
        with explained(store.url):
            obstore.head(store.backend, f".probe/{secrets.token_hex(8)}")
    except UnsupportedStoreError as error:
        if error.__cause__ is not None and is_denied(error.__cause__):
            yield _denied_if_absent(listed=not denied)
        elif isinstance(error.__cause__, FileNotFoundError) and "NoSuchBucket" not in str(error.__cause__):
            yield Probe("absent object", "ok", "404")
        else:
            yield Probe("absent object", "failed", describe(error))
    else:
        yield Probe("absent object", "failed", "an object that nobody wrote is said to be there")


def _denied_if_absent(*, listed: bool) -> Probe:
    if listed:
        return Probe("absent object", "failed", "403: reading is not permitted; permit s3:GetObject")
    return Probe(
        "absent object",
        "warning",
        "403 instead of 404, as S3 answers who may not list: stock clients take each block that is empty or held by a "
        "neighbour for an error (Abut's own readers ask for none of them); permit s3:ListBucket",
    )


def _listing(store: Store) -> Probe | None:
    if store.read_only:
        return Probe("list", "not made", "a web server lists nothing")
    try:
        folders, objects = store.children("")
    except UnsupportedStoreError as error:
        if error.__cause__ is not None and _is_not_permitted(error.__cause__):
            return Probe(
                "list",
                "warning",
                "not permitted: `abut list`, checks, settling and everything that looks for products needs it; permit "
                "s3:ListBucket",
            )
        return Probe("list", "failed", describe(error))
    found = "an archive" if any(entry.key == "archive.json" for entry in objects) else "no archive yet"
    return Probe("list", "ok", f"{len(folders)} folders, {len(objects)} objects at its top; {found}")


def _is_not_permitted(error: BaseException) -> bool:
    """Whether these credentials are known, but don't permit it."""
    return is_denied(error) and ("<Code>AccessDenied</Code>" in str(error) or "<Code>" not in str(error))


def _conditional(store: Store) -> Probe:
    """See whether what writers rely on holds."""
    if store.read_only:
        return Probe("conditional writes", "not made", "a web server takes no objects")
    made_here = store.root is not None and not (store.root / LOCKS).exists()
    try:
        require_conditional_writes(store)
    except UnsupportedStoreError as error:
        cause = error.__cause__
        if isinstance(cause, PermissionError) or (cause is not None and is_denied(cause)):
            return Probe("conditional writes", "not made", "these credentials do not permit to write (and to delete)")
        return Probe("conditional writes", "failed", describe(error))
    finally:
        if made_here and store.root is not None:
            with contextlib.suppress(OSError):
                (store.root / LOCKS / "probe").unlink()
                (store.root / LOCKS).rmdir()
    what = "locks exclude each other" if store.root else "create-only and compare-and-swap hold"
    return Probe("conditional writes", "ok", what)


def _written(store: Store, key: str, *, may_list: bool) -> Iterator[Probe]:
    """Write, read back in parts, list and delete."""
    data = secrets.token_bytes(_SIZE)
    keys = [f"{key}/{number}" for number in range(_TIMED)]
    try:
        before = datetime.now(UTC)
        puts = [_seconds(lambda name=name: store.put_new(name, data)) for name in keys]  # type: ignore[misc]
        after = datetime.now(UTC)
        yield from _parts(store, keys[0], data)
        if may_list:
            yield _listed(store, key, keys)
        yield _clock(store, keys[-1], before, after)
        gets = [_seconds(lambda name=name: store.get(name)) for name in keys]  # type: ignore[misc]
        yield Probe(
            "time",
            "ok",
            f"an object of {_SIZE // 1000} kB is written in {_milliseconds(puts)}, read in {_milliseconds(gets)} "
            f"(median of {_TIMED})",
        )
    except (AbutError, BaseError, OSError) as error:
        yield Probe("objects", "failed", describe(error))
    finally:
        left = _deleted(store, keys)
    yield left


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.3g} ms"


def _parts(store: Store, key: str, data: bytes) -> Iterator[Probe]:
    """Read parts of an object; Zarr shards and GDAL ask for the last bytes by a suffix."""
    try:
        with explained(f"{store.url}/{key}"):
            part = bytes(obstore.get_range(store.backend, key, start=7, end=107))
            last = bytes(obstore.get(store.backend, key, options={"range": {"suffix": 9}}).bytes())
            rest = bytes(obstore.get(store.backend, key, options={"range": {"offset": len(data) - 5}}).bytes())
    except UnsupportedStoreError as error:
        yield Probe("ranges", "failed", describe(error))
        return
    wrong = [
        name
        for name, found, expected in (
            ("a range", part, data[7:107]),
            ("a suffix", last, data[-9:]),
            ("an offset", rest, data[-5:]),
        )
        if found != expected
    ]
    if wrong:
        yield Probe("ranges", "failed", f"wrong bytes of {' and '.join(wrong)}; clients that read parts will fail")
    else:
        yield Probe("ranges", "ok", "ranges, suffixes and offsets give the right bytes")


def _listed(store: Store, key: str, keys: list[str]) -> Probe:
    found = {entry.key: entry.size for entry in store.entries(key)}
    if found != dict.fromkeys(keys, _SIZE):
        return Probe("list after write", "failed", f"{len(found)} of {len(keys)} new objects are listed as they are")
    return Probe("list after write", "ok", "new objects are listed at once")


def _clock(store: Store, key: str, before: datetime, after: datetime) -> Probe:
    with explained(f"{store.url}/{key}"):
        theirs = obstore.head(store.backend, key)["last_modified"]
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if skew > _SKEW:
        return Probe(
            "clock", "warning", f"differs from the store's by {skew:.0f} s; signed requests fail at 15 minutes"
        )
    return Probe("clock", "ok", f"within {max(skew, 1):.0f} s of the store's")


def _deleted(store: Store, keys: list[str]) -> Probe:
    try:
        store.delete(keys)
        left = [entry.key for entry in store.entries(keys[0].rpartition("/")[0])] if not store.read_only else []
    except (AbutError, BaseError, OSError) as error:
        return Probe("delete", "failed", f"{describe(error)}; {keys[0].rpartition('/')[0]} may have been left")
    if left:
        return Probe("delete", "failed", f"{len(left)} objects are listed after they were deleted, such as {left[0]}")
    return Probe("delete", "ok", "what was written is gone")


def _only_read(store: Store) -> Iterator[Probe]:
    """Read parts of what is there, with credentials that permit no more."""
    try:
        with explained(store.url):
            data = bytes(obstore.get(store.backend, "archive.json").bytes())
    except UnsupportedStoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            yield Probe("ranges", "not made", "there is no archive.json to read")
        else:
            yield Probe("ranges", "failed", f"{describe(error)}; or there is no archive.json")
    else:
        yield from _parts(store, "archive.json", data)
    for name in ("list after write", "clock", "time", "delete"):
        yield Probe(name, "not made", "nothing can be written")


def _file_system(root: Path) -> Iterator[Probe]:
    """Tell what a folder's file system has left, and whether it takes what has to be durable."""
    path = root / f".probe-{secrets.token_hex(8)}"
    try:
        with path.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            seconds = _seconds(lambda: os.fsync(file.fileno()))
        yield Probe("fsync", "ok", f"{seconds * 1000:.3g} ms")
    except OSError as error:
        outcome: Outcome = "not made" if isinstance(error, PermissionError) else "failed"
        yield Probe("fsync", outcome, describe(error, str(root)))
    finally:
        path.unlink(missing_ok=True)
    status = os.statvfs(root)
    yield _room("room", status.f_bavail * status.f_frsize / 1e9, status.f_blocks * status.f_frsize / 1e9, "GB")
    if status.f_files:
        yield _room("inodes", status.f_favail, status.f_files, "inodes, one a file")
    else:
        yield Probe("inodes", "ok", "made as they are needed")


def _room(name: str, free: float, whole: float, unit: str) -> Probe:
    scarce = free < _SCARCE * whole
    return Probe(name, "warning" if scarce else "ok", f"{free:,.0f} of {whole:,.0f} {unit} are free")
