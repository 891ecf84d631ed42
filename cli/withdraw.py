"""`abut withdraw`."""

from __future__ import annotations

import click

from catalog.opening import catalogue_last
from cli.opening import open_for_writing
from cli.options import archive_option, debug_option, json_option
from cli.output import print_json
from ingest.withdraw import withdraw


@click.command
@click.argument("products", metavar="ID...", nargs=-1, required=True)
@archive_option()
@json_option()
@debug_option()
def command(products: tuple[str, ...], archive: str, *, as_json: bool) -> None:
    """Take products out of search and views.

    ID is a product id, as `abut list` prints it. Nothing that another product needs is destroyed; `abut purge`
    removes a withdrawn product when none relies on it. Ingesting it again reinstates it.

    \b
    abut withdraw S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559 --archive l1c
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive)
    ids = [opened.product(product).id for product in products]  # all are there, or none is withdrawn
    changed: dict[str, bool] = {}
    with catalogue_last() as later:
        for product in ids:
            with later():
                changed[product] = withdraw(opened, product)
        _print(changed, as_json=as_json)


def _print(changed: dict[str, bool], *, as_json: bool) -> None:
    if as_json:
        print_json({"withdrawn": [{"product": name, "changed": now} for name, now in changed.items()]})
        return
    for name, now in changed.items():
        click.echo(f"withdrawn  {name}{'' if now else '  (it was already)'}")
