"""`abut catalog migrate`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import click

from abut.archive import identified, open_archive, switch_catalogue
from abut.catalogue import path_of, require_no_secret, same, without_secrets
from abut.errors import InvalidArchiveError, NewerCatalogueError
from catalog.opening import open_catalogue
from catalog.owner import require_own
from catalog.transfer import Comparison, compare, copy, copy_again
from cli.opening import open_for_writing, open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, plural, print_json
from cli.reading import index_of_store
from cli.status import FAILED, print_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from catalog.interface import Catalogue


@click.command(epilog="Exit status: 0 both catalogues list the same, 1 they do not, 2 bad usage.")
@archive_option()
@click.option("--to", "target", required=True, metavar="FILE|URL", help="The other catalogue; made if there is none.")
@click.option("--switch", is_flag=True, help="Make it the archive's catalogue if both list the same.")
@json_option()
@debug_option()
def command(archive: str, target: str, *, switch: bool, as_json: bool) -> int:
    """Copy an archive's catalogue into another one, and compare both.

    Where the archive has none, its catalogue is another archive's, or a newer version of Abut has upgraded it, the
    items come from its store.

    All collections and items are copied, withdrawn ones included, then digests of all are compared. A copy that was
    interrupted is done again from the start; what is there already stays. With --switch, archive.json names the new
    catalogue from then on, and what others registered meanwhile is copied as well. The old one stays as it is.

    \b
    abut catalog migrate --archive l1c --to postgresql://db.example.org/stac
    abut catalog migrate --archive l1c --to postgresql://db.example.org/stac --switch
    abut catalog migrate --archive l1c --to catalog.sqlite --switch
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive) if switch else open_with_catalogue(archive)
    path = path_of(target, opened.store.root)
    if opened.catalogue and same(opened.catalogue_url, target, opened.store.root):
        raise InvalidArchiveError(f"{without_secrets(target)!r} is the archive's catalogue already")
    if switch:
        require_no_secret(target)
    with (
        _source(opened) as old,
        open_catalogue(path or target) as new,
        bar(None, " items", hidden=as_json) as progress,
    ):
        require_own(new, opened, claim=True)
        copied = copy(old, new, on_items=progress.update)
        found = compare(old, new, on_items=progress.update)
        if found.missing or found.unequal:  # registered meanwhile
            copy_again(old, new, (*found.missing, *found.unequal))
            found = compare(old, new, on_items=progress.update)
        if switch and found.equal:
            found = _switch(archive, target, old, new)
    _print(copied, found, switched=switch and found.equal, as_json=as_json, target=without_secrets(target))
    return 0 if found.equal else FAILED


@contextmanager
def _source(archive: Archive) -> Iterator[Catalogue]:
    """Open what is copied: the archive's catalogue, or one made for the moment where it has none of its own."""
    with ExitStack() as stack:
        if archive.catalogue:
            catalogue = _opened(archive, stack)
            owner = catalogue.owner() if catalogue else None
            if catalogue and (owner is None or owner.id == identified(archive).id):
                yield catalogue
                return
        yield stack.enter_context(open_catalogue(stack.enter_context(index_of_store(archive))))


def _opened(archive: Archive, stack: ExitStack) -> Catalogue | None:
    """Open the archive's catalogue; None if a newer version has upgraded it: this one is being gone back to."""
    with suppress(NewerCatalogueError):
        return stack.enter_context(open_catalogue(archive.catalogue_url, create=False))
    return None


def _switch(archive: str, target: str, old: Catalogue, new: Catalogue) -> Comparison:
    """Change archive.json, then copy what was registered between the last comparison and now."""
    opened: Archive = open_archive(archive)
    switch_catalogue(opened, target)
    found = compare(old, new)
    copy_again(old, new, (*found.missing, *found.unequal))
    return Comparison(items=found.items)  # what only the new one has was registered there


def _print(copied: int, found: Comparison, *, switched: bool, as_json: bool, target: str) -> None:
    parts = {"missing": found.missing, "unequal": found.unequal, "surplus": found.surplus}
    if as_json:
        named = {what: [name for _, name in names] for what, names in parts.items()}
        print_json({"catalogue": target, "copied": copied, "items": found.items, "switched": switched, **named})
    else:
        click.echo(f"{plural(copied, 'item')} copied to {target}{'; it is the catalogue now' if switched else ''}")
    for what, names in parts.items():
        if names:
            print_error(f"{target}: {plural(len(names), 'item')} {what}, such as {names[0][1]}")
