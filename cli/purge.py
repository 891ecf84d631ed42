"""`abut purge`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from abut.duration import parse_duration
from catalog.opening import catalogue_last
from cli.opening import open_for_writing
from cli.options import archive_option, debug_option, json_option
from cli.output import counted, plural, print_json, size
from ingest.purge import Purged, purge_layer


class Duration(click.ParamType[timedelta]):
    """A duration such as ``7d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read what the user wrote."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command
@archive_option()
@click.option(
    "--grace",
    type=Duration(),
    default="7d",
    show_default=True,
    help="How long released blocks and withdrawn products stay: 7d, 12h, 30m, 0s.",
)
@json_option()
@debug_option()
def command(archive: str, grace: timedelta, *, as_json: bool) -> None:
    """Delete what was released or withdrawn long enough ago.

    A released block goes only after its holder's object was read and found to be what was recorded; otherwise the
    release is taken back. A withdrawn product goes when no other product relies on its blocks. Readers with an old
    plan rely on the grace period: 0s is for archives that no one reads.

    \b
    abut purge --archive l1c
    abut purge --archive l1c --grace 12h
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive)
    purged: list[Purged] = []
    with catalogue_last() as later:
        for layer in counted(opened.layers(), "layers", hidden=as_json):
            with later():
                purged.append(purge_layer(opened, layer, grace))
        _print(grace, purged, as_json=as_json)


def _print(grace: timedelta, purged: list[Purged], *, as_json: bool) -> None:
    if as_json:
        print_json({"grace_seconds": int(grace.total_seconds()), "purged": [asdict(layer) for layer in purged]})
        return
    for layer in purged:
        click.echo(f"purged      {layer.layer}  {plural(layer.objects, 'object')}, {size(layer.bytes)} deleted")
        for product in layer.removed:
            click.echo(f"removed     {product}")
        for block in layer.taken_back:
            click.echo(f"taken back  {block}: its holder has not what was recorded")
