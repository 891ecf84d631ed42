"""The index of an archive for commands that only read."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.collection import make_collection
from catalog.opening import open_catalogue, open_own
from ingest.listing import stored_items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive


@contextmanager
def index_of(archive: Archive) -> Iterator[str]:
    """Give the URL of an archive's catalogue; of one made for the moment if it has none.

    Raises
    ------
    InvalidArchiveError
        If it is another archive's, or of another version.
    """
    path = archive.catalogue_path
    if archive.catalogue and (path is None or path.is_file()):
        open_own(archive, create=False, claim=False).close()
        yield archive.catalogue_url
        return
    with index_of_store(archive) as made:
        yield made


@contextmanager
def index_of_store(archive: Archive) -> Iterator[str]:
    """Give the URL of a catalogue that is made for the moment from the items of an archive's store."""
    with tempfile.TemporaryDirectory(prefix="abut-") as folder:
        made = str(Path(folder, "catalog.sqlite"))
        with open_catalogue(made) as catalogue:
            catalogue.put_collection(make_collection().to_dict(include_self_link=False))
            catalogue.upsert_many(stored_items(archive))
        yield made
