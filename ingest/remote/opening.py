"""A remote SAFE, opened: whichever way its server permits."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from abut.errors import InvalidSafeError, SourceError
from ingest.container import Zip, open_zip
from ingest.remote import web
from ingest.remote.access import max_bytes
from ingest.remote.bucket import open_bucket
from ingest.remote.fetched import Fetched, require_room
from ingest.remote.origins import bucket_folder, zip_in_place
from ingest.remote.ranges import TAIL, Zipped
from ingest.remote.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from ingest.remote.address import Address
    from ingest.remote.origins import Origin


@contextmanager
def open_remote(address: Address, stopped: Event) -> Iterator[Fetched | Zip]:
    """Open a remote SAFE; what is fetched of it is removed at the end of the block.

    A folder in a bucket and a zip of which ranges can be read are read in place: nothing is fetched but what is asked
    for. A zip from a server without ranges is fetched whole.

    Parameters
    ----------
    address : Address
        Where it lies.
    stopped : Event
        Ends whatever is being fetched, when it is set.

    Raises
    ------
    SourceError
        If it can't be read.
    InvalidSafeError
        If it is no SAFE, or a broken, hostile or too large one.
    """
    with scratch_folder() as folder:
        if address.in_bucket:
            with Fetched(_in_bucket(address), folder, stopped) as fetched:
                yield fetched
            return
        with web.found(address.url) as answer:
            place = _whole(address, answer, folder, stopped) if isinstance(answer, web.Answer) else Zipped(*answer)
        if isinstance(place, Zip):
            yield place
            return
        with Fetched(zip_in_place(address.url, address.name, place), folder, stopped) as fetched:
            yield fetched


def _in_bucket(address: Address) -> Origin:
    bucket = open_bucket(address.bucket)
    if not address.zipped:
        return bucket_folder(address.url, bucket, address.key)
    remote = bucket.object(address.key)
    tail = remote.read(max(remote.size - TAIL, 0), remote.size) if remote.size else b""
    return zip_in_place(address.url, address.name, Zipped(remote, tail))


def _whole(address: Address, answer: web.Answer, folder: Path, stopped: Event) -> Zip:
    """Fetch a zip whole."""
    most = max_bytes()
    require_room(folder, min(answer.length or 0, most))
    target, count = folder / "product.zip", 0
    try:
        with target.open("xb") as file:
            for piece in answer.read():
                if count == 0 and not b"PK\3\4".startswith(piece[:4]):
                    raise InvalidSafeError(f"{address.url}: not a zip archive, it begins with {piece[:16]!r}")
                if stopped.is_set():
                    raise SourceError(f"{address.url}: no longer wanted")
                count += len(piece)
                if max(count, answer.length or 0) > most:
                    raise InvalidSafeError(
                        f"{address.url}: {max(count, answer.length or 0)} bytes or more are more than one product may "
                        f"have ({most}, ABUT_SOURCE_MAX_BYTES)"
                    )
                file.write(piece)
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from error
    opened = open_zip(target, address.url)
    return opened if opened.prefix else replace(opened, name=address.name)
