"""Making a zone-wide Zarr of a zone view: objects are copied, blocks that several products hold are merged."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from abut.errors import ConflictError
from abut.layout import BANDS, Band
from abut.pixels import LOCAL_THREADS, REMOTE_THREADS
from abut.threads import for_each
from abut.view_masks import Mask
from abut.zone_chunks import ZoneChunks, held_blocks
from abut.zone_layout import AxisChunk, BandChunk, MaskChunk, SourceChunk, ZoneLayout
from abut.zone_metadata import documents
from abut.zone_snapshot import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from abut.store import Store
    from abut.view import View
    from abut.zone_chunks import Counts
    from abut.zone_layout import Chunk

MARK: Final = "abut-zone.json"
"""Object that says of what a zone-wide Zarr is made; the first that is written."""


@dataclass(frozen=True, slots=True)
class Materialised:
    """What a run wrote."""

    counts: Counts
    """Blocks that were copied, and merged."""
    written: int
    """Objects that were written."""
    present: int
    """Objects that an earlier run had written."""
    size: int
    """Bytes that were written."""


def materialise(
    view: View,
    out: Store,
    *,
    bands: Sequence[Band] = BANDS,
    masks: bool = False,
    threads: int | None = None,
    on_chunk: Callable[[int], object] | None = None,
) -> Materialised:
    """Write a zone view as a Zarr of its own, or go on where an earlier run ended.

    Objects are created, never replaced, and only those that are absent; the metadata of the root is the last, so that
    what has it is complete.

    Parameters
    ----------
    view : View
        The whole zone, see `abut.zone_layout.zone_blocks`.
    out : Store
        Where to write it.
    bands : sequence of Band
        Which bands.
    masks : bool
        Whether to write masks too.
    threads : int, optional
        How many objects are copied at once. Default: 4 from a folder to a folder, else 64.
    on_chunk : callable, optional
        Called after each object with its bytes, or 0 if it was there; from other threads, never two at once.

    Raises
    ------
    ConflictError
        If other pixels, bands or masks were begun there, or a product was withdrawn meanwhile.
    MissingObjectError, DigestMismatchError, UnsupportedStoreError
        As `abut.pixels.read_bands`.
    """
    layout = ZoneLayout(view.zone, len(view.slots), tuple(bands), masks)
    about = {"contents": digest_of(view), "bands": [band.name for band in bands], "masks": masks}
    _begin(out, {"zone": view.zone.epsg, **about})
    chunks = ZoneChunks(view, layout, view.store)
    totals, lock = {"written": 0, "present": 0, "size": 0}, threading.Lock()

    def put(key: str, data: bytes | None) -> None:
        new = data is not None and out.put_new(key, data)
        with lock:
            totals["written" if new else "present"] += 1
            totals["size"] += len(data) if new and data is not None else 0
            if on_chunk is not None:
                on_chunk(len(data) if new and data is not None else 0)

    def copy(job: tuple[str, Chunk | None]) -> None:
        key, chunk = job
        put(key, None if chunk is None else chunks.read(chunk))

    local = view.store.root is not None and out.root is not None
    for_each(_jobs(view, layout, out), copy, threads or (LOCAL_THREADS if local else REMOTE_THREADS))
    lost = view.gone()
    if lost:
        raise ConflictError(f"{out.url}: {lost[0]} was withdrawn meanwhile; delete what is there and begin again")
    told = {**about, "notes": list(view.notes)}
    static = documents(layout, view.slots, view.profile, told, view.named)
    for key in sorted(static, key=lambda key: (key == "zarr.json", key)):
        put(key, static[key])
    out.flush()
    return Materialised(chunks.counts, **totals)


def chunks_of(view: View, layout: ZoneLayout) -> int:
    """Return how many chunks of bands and masks a view has in a layout."""
    held = sum(int((view.counts(slot) > 0).sum()) for slot in range(len(view.slots)))
    return held * sum(isinstance(what, Band | Mask) for what in layout.arrays.values())


def _begin(out: Store, contents: dict[str, Any]) -> None:
    """Say of what the Zarr is made, or see that an earlier run said the same."""
    out.put_new(MARK, json.dumps(contents).encode())
    found = json.loads(out.get(MARK))
    for name, value in contents.items():
        if found.get(name) != value:
            raise ConflictError(
                f"{out.url}: was begun with other {'pixels' if name == 'contents' else name} "
                f"({found.get(name)!r}, now {value!r}); delete it, or write elsewhere"
            )


def _jobs(view: View, layout: ZoneLayout, out: Store) -> Iterator[tuple[str, Chunk | None]]:
    """Yield keys and what they mean, None if it is there already; array by array."""
    held = [list(held_blocks(view, slot)) for slot in range(layout.steps)]
    for path, what in layout.arrays.items():
        there = {entry.key for entry in out.entries(f"{path}/c")}
        wanted: Iterator[tuple[str, Chunk]]
        if isinstance(what, tuple):
            wanted = ((f"{path}/c/{n}", AxisChunk(*what, n)) for n in range(layout.axis_chunks(what[0])))
        elif what is None:
            wanted = ((f"{path}/c/{slot}/0/0", SourceChunk(slot)) for slot in range(layout.steps))
        else:
            kind = BandChunk if isinstance(what, Band) else MaskChunk
            wanted = (
                (layout.key(path, slot, block), kind(what, slot, block))  # type: ignore[arg-type] # of its kind
                for slot in range(layout.steps)
                for block in held[slot]
            )
        yield from ((key, None if key in there else chunk) for key, chunk in wanted)
