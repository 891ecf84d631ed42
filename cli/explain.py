"""`abut explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from abut.safe_cost import DECODED_PER_SECOND
from cli.asking import asked_of, asking_options, connected
from cli.output import plural, print_json, print_table, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.explain import Explanation


@click.command
@asking_options
def command(*, archive: str, as_json: bool, **given: Any) -> None:
    """Say what `abut cube` will read, before it does; takes the same arguments.

    Products, blocks, bytes and requests by zone, what may be reprojected, and the cost of the same from SAFE. Blocks
    that one product holds are known exactly; where several do, and of other zones, two figures say at least and at
    most. Masks and angles are not counted.

    \b
    abut explain --archive l1c --tile 32TNM --buffer 10km --datetime 2025-07 --bands B02,B8A
    abut explain --archive https://example.org/stac --bbox 11,46,11.5,46.5 --datetime 2025 --json
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    found = asked_of(given).explain(connected(archive))
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)


def _print(found: Explanation) -> None:
    window = found.window
    click.echo(
        f"{window.width / 1000:g} x {window.height / 1000:g} km of {window.zone}, {plural(found.steps, 'step')}, "
        f"{', '.join(found.bands)}"
    )
    print_table(("zone", "products", "blocks", "objects", "bytes"), _rows(found))
    least, most = found.least_requests, found.most_requests
    click.echo(f"requests: {_between(f'{least:,}', f'{most:,}')} ({found.planning_requests:,} of them to plan)")
    if len(found.zones) > 1:
        click.echo(f"reprojected: at most {found.reprojected:.1%} of the ground")
    safe = found.from_safe
    click.echo(
        f"from SAFE: {plural(safe.products, 'product')}, {plural(safe.images, 'JP2')}, {size(safe.file_bytes)} or so, "
        f"{safe.decode_seconds:,.0f} s to decode (one core, {DECODED_PER_SECOND / 1e6:g} MB of pixels a second)"
    )


def _rows(found: Explanation) -> Iterator[tuple[str, ...]]:
    for zone in found.zones:
        yield (
            zone.zone,
            f"{len(zone.products):,}",
            f"{zone.blocks:,}",
            _between(f"{zone.least_objects:,}", f"{zone.most_objects:,}"),
            _between(size(zone.least_bytes), size(zone.most_bytes)),
        )


def _between(least: str, most: str) -> str:
    return most if least == most else f"{least} to {most}"
