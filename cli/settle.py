"""`abut settle`."""

from __future__ import annotations

from dataclasses import asdict

import click

from catalog.opening import catalogue_last
from cli.opening import open_for_writing
from cli.options import archive_option, debug_option, json_option
from cli.output import counted, plural, print_json
from ingest.settle import Settled, join_missing, settle_layer


@click.command
@archive_option()
@json_option()
@debug_option()
def command(archive: str, *, as_json: bool) -> None:
    """Release blocks that a neighbour holds with equal pixels.

    Of the products of one datastrip that cover a block, the best-ranked one keeps it; the others release it where
    their pixels are equal in all bands. Where they differ, all stay. Nothing is deleted: see `abut purge`. Settling
    again changes nothing that is settled.

    \b
    abut settle --archive l1c
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive)
    joined: list[str] = []
    settled: list[Settled] = []
    with catalogue_last() as later:
        with later():
            joined += join_missing(opened)
        for layer in counted(opened.layers(), "layers", hidden=as_json):
            with later():
                settled.append(settle_layer(opened, layer))
        _print(joined, settled, as_json=as_json)


def _print(joined: list[str], settled: list[Settled], *, as_json: bool) -> None:
    if as_json:
        print_json({"joined": joined, "settled": [asdict(layer) for layer in settled]})
        return
    for product in joined:
        click.echo(f"joined   {product}")
    for layer in settled:
        unequal = f", {layer.unequal:,} stay stored twice because pixels differ" if layer.unequal else ""
        click.echo(f"settled  {layer.layer}  {plural(layer.released, 'block')} released{unequal}")
