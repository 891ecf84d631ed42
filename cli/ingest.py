"""`abut ingest`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from abut.codec import PROFILES
from abut.errors import CatalogueError, InvalidPeriodError
from abut.layout import BANDS
from abut.period import parse_period
from catalog.literals import box
from cli.lists import listed, require_writable, write_list
from cli.opening import make_archive
from cli.options import archive_option, debug_option, debugging, json_option
from cli.output import bar, plural, print_json, size
from cli.status import FAILED, REFUSED, print_error
from ingest.ingest import Outcome
from ingest.job import Failure
from ingest.parallel import Progress, ingest_many
from ingest.places import find_places
from ingest.remote.choosing import Chosen, choose
from ingest.remote.search import COLLECTION, Wanted
from ingest.remote.search import search as search_products
from ingest.settle import settle

if TYPE_CHECKING:
    from typing import Self

    from abut.archive import Archive
    from ingest.settle import Settled


@click.command(epilog="Exit status: 0 all is stored, 1 some products failed, 2 none could be stored.")
@click.argument("safes", metavar="[SAFE...]", nargs=-1)
@archive_option()
@click.option("--profile", type=click.Choice(list(PROFILES)), help="Encoding of a new archive. [default: default]")
@click.option(
    "--catalogue",
    metavar="FILE|URL",
    envvar="ABUT_CATALOGUE",
    show_envvar=True,
    help="Catalogue of a new archive: a SQLite file, postgresql://host/database, or the URL of a STAC API. "
    "[default: catalog.sqlite in a folder, none on S3]",
)
@click.option(
    "--workers", type=click.IntRange(min=0), help="Processes on this machine; 0: none but this one. [default: by cores]"
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler to use instead, such as tcp://10.0.0.5:8786.")
@click.option("--from-stac", "api", metavar="URL", help="A STAC API whose products to ingest, instead of SAFE...")
@click.option("--bbox", metavar="W,S,E,N", help="Of it, what touches this box, in degrees; W > E crosses 180.")
@click.option("--datetime", "times", metavar="FROM[/TO]", help="Years, months, days or RFC 3339; .. for an open end.")
@click.option("--collection", "collections", multiple=True, help="May be repeated.  [default: sentinel-2-l1c]")
@click.option("--max-cloud", type=click.FloatRange(0, 100), metavar="PERCENT", help="At most so many clouds.")
@click.option("--ids", multiple=True, metavar="ID|@FILE", help="Only these items; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ingest no more than so many.")
@click.option(
    "--retries",
    type=click.IntRange(0, 20),
    default=2,
    show_default=True,
    help="How often to begin a product again whose failure may pass: a server was away, a worker was lost.",
)
@click.option("--failed", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="List failures here.")
@click.option("--settle/--no-settle", "then_settle", default=False, help="Settle afterwards. [default: no]")
@json_option()
@debug_option()
def command(
    safes: tuple[str, ...],
    archive: str,
    profile: str | None,
    workers: int | None,
    scheduler: str | None,
    *,
    catalogue: str | None,
    api: str | None,
    retries: int,
    failed: Path | None,
    then_settle: bool,
    as_json: bool,
    **searched: Any,
) -> int:
    """Store SAFE products in an archive.

    SAFE is a .SAFE folder, a .zip with one inside, or a folder that holds such: here, in a bucket (s3://...), or as a
    zip on a web server; @FILE lists such. --from-stac takes what a STAC API finds. A new archive is made if need be.
    What is stored already is compared and left alone; what was interrupted is taken up where it stopped. A product
    that fails stops none of the others. If the catalogue can't be reached, products are stored all the same, and
    `abut check --repair` lists them later.

    \b
    abut ingest S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559.SAFE --archive l1c
    abut ingest downloads/ --archive l1c --workers 8 --settle
    abut ingest /data/*.zip --archive s3://bucket/l1c --scheduler tcp://10.0.0.5:8786 --json
    abut ingest /data/*.zip --archive s3://bucket/l1c --catalogue postgresql://db.example.org/stac
    abut ingest s3://eodata/Sentinel-2/MSI/L1C_N0500/2025/08/01/ --archive l1c
    abut ingest --from-stac https://example.org/stac --bbox 10,46,11,47 --datetime 2025-08 --archive l1c --failed bad
    abut ingest --from-stac https://example.org/stac --ids @bad --archive l1c --failed bad
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    if scheduler is not None and workers is not None:
        raise click.UsageError("--workers is for this machine; with --scheduler its own workers count")
    _require_one(safes, api, searched)
    places = [] if api else find_places(listed(safes))  # before an archive is made
    search = _wanted(api, **searched) if api else None
    if failed is not None:
        require_writable(failed)
    opened = make_archive(archive, profile, catalogue)
    chosen = choose(opened, search_products(search), searched["limit"]) if search else Chosen(places)
    with _Bars(hidden=as_json) as bars:
        results = ingest_many(
            opened,
            chosen.addresses,
            retries=retries,
            scheduler=scheduler,
            workers=workers,
            on_progress=bars.show,
        )
    stored = chosen.skipped + [result for result in results if isinstance(result, Outcome)]
    failures = chosen.failed + [result for result in results if isinstance(result, Failure)]
    if failed is not None:
        write_list(failed, [(chosen.id_of(one), one.error) for one in failures])
    fresh = [outcome for outcome in stored if outcome.status != "skipped"]
    layers = sorted({opened.product(outcome.product).layer for outcome in fresh}) if then_settle else []
    settled, lagging = _settled(opened, layers)
    if as_json:
        _print_json(stored, failures, settled)
    else:
        _print(stored, failures, settled)
    for failure in failures:
        _print_failure(failure)
    unlisted = [outcome for outcome in stored if outcome.unlisted]
    if unlisted:
        print_error(f"{plural(len(unlisted), 'product')} stored, but not in the catalogue: {unlisted[-1].unlisted}")
    elif lagging:
        print_error(f"settled, but not in the catalogue: {lagging}")
    if failures and not stored:
        return REFUSED
    return FAILED if failures or unlisted or lagging else 0


def _require_one(safes: tuple[str, ...], api: str | None, searched: dict[str, Any]) -> None:
    """See that either products are named, or a search."""
    if bool(safes) == bool(api):
        raise click.UsageError("name either SAFE... or --from-stac URL")
    given = next((name for name, value in searched.items() if value not in (None, ())), None)
    if api is None and given is not None:
        name = {"times": "datetime", "collections": "collection"}.get(given, given).replace("_", "-")
        raise click.UsageError(f"--{name} is for a search, with --from-stac")
    if api and not (searched["bbox"] or searched["times"] or searched["ids"]):
        raise click.UsageError("--from-stac needs --bbox, --datetime or --ids: it does not take all that there is")


def _wanted(
    api: str,
    *,
    bbox: str | None,
    times: str | None,
    collections: tuple[str, ...],
    max_cloud: float | None,
    ids: tuple[str, ...],
    limit: int | None,  # noqa: ARG001 - of what is not there yet
) -> Wanted:
    try:
        return Wanted(
            api,
            collections or (COLLECTION,),
            box([float(part) for part in bbox.split(",")]) if bbox else None,
            parse_period(times).interval if times else None,
            max_cloud,
            tuple(listed(ids)) if ids else None,
        )
    except InvalidPeriodError as error:
        raise click.UsageError(str(error)) from error
    except ValueError:
        raise click.UsageError(f"--bbox {bbox!r} is not W,S,E,N in degrees, such as 10,46,11,47") from None


def _settled(archive: Archive, layers: list[str]) -> tuple[list[Settled], str]:
    """Settle; return what was done, and why the catalogue could not be told of some of it."""
    settled, lagging = [], ""
    for layer in layers:
        try:
            settled += settle(archive, [layer])
        except CatalogueError as error:
            lagging = str(error)
    return settled, lagging


def _print(stored: list[Outcome], failed: list[Failure], settled: list[Settled]) -> None:
    for outcome in stored:
        click.echo(f"{outcome.status:<10}  {outcome.product}  {size(outcome.data_bytes)}")
    for layer in settled:
        click.echo(f"settled     {layer.layer}  {plural(layer.released, 'block')} released")
    if len(stored) + len(failed) > 1:
        counts = Counter(outcome.status for outcome in stored)
        parts = [f"{count:,} {status}" for status, count in counts.items()]
        click.echo(", ".join([*parts, f"{len(failed):,} failed"]))


def _print_json(stored: list[Outcome], failed: list[Failure], settled: list[Settled]) -> None:
    print_json(
        {
            "products": [asdict(outcome) for outcome in stored],
            "failures": [
                {"path": one.path, "product": one.product, "error": one.error, "transient": one.transient}
                for one in failed
            ],
            "settled": [asdict(layer) for layer in settled],
        }
    )


def _print_failure(failure: Failure) -> None:
    if debugging():
        click.echo(failure.trace, err=True, nl=False)
    named = failure.path in failure.error or (failure.product or failure.path) in failure.error
    print_error(failure.error if named else f"{failure.path}: {failure.error}")


class _Bars:
    """Two bars: products, and bands of all products."""

    def __init__(self, *, hidden: bool) -> None:
        self._products = bar(None, " products", hidden=hidden)
        self._bands = bar(None, " bands", hidden=hidden, position=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bands.close()
        self._products.close()

    def show(self, progress: Progress) -> None:
        """Take a step."""
        self._products.total = progress.total
        self._bands.total = progress.total * len(BANDS)
        if progress.kind == "band":
            self._bands.set_postfix_str(f"{progress.product} {progress.band}", refresh=False)
            self._bands.update()
        elif progress.kind == "finished":
            self._products.update()
        else:
            self._products.refresh()
