"""`abut serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import archive_option, debug_option, json_option
from cli.output import print_json
from cli.status import REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.settings import PartName, Settings


@click.command
@archive_option()
@click.option(
    "--catalogue",
    metavar="FILE|URL",
    help="The archive's own catalogue as it is reached from here: with a password, or the database behind the STAC API "
    "that the archive names.  [ABUT_CATALOGUE]",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["viewer", "stac", "tiles", "cubes", "legacy", "zarr"]),
    help="Serve this part only; may be given several times. Other parts are behind the same --public-url.  "
    "[ABUT_PARTS; default: all]",
)
@click.option("--host", help="Address to listen on; 0.0.0.0 for all.  [ABUT_HOST; default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 for any that is free.  [ABUT_PORT; default: 8000]")
@click.option("--workers", type=int, help="Processes that answer.  [ABUT_WORKERS; default: 1]")
@click.option("--public-url", metavar="URL", help="URL of the service as clients see it.  [ABUT_PUBLIC_URL]")
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), help="[ABUT_LOG_FORMAT; default: auto]")
@json_option("Print where it listens as one line of JSON.")
@debug_option()
def command(
    *,
    archive: str,
    catalogue: str | None,
    parts: tuple[PartName, ...],
    host: str | None,
    port: int | None,
    workers: int | None,
    public_url: str | None,
    log_format: str | None,
    as_json: bool,
) -> int:
    """Serve an archive over HTTP: the STAC API, map tiles and a viewer, cubes, legacy tiles, zones and objects.

    It answers until SIGINT (Ctrl-C) or SIGTERM; requests in flight are finished. All settings are environment
    variables too, see docs/serving.md.

    \b
    abut serve --archive l1c
    abut serve --archive s3://bucket/l1c --host 0.0.0.0 --workers 4
    abut serve --archive s3://bucket/l1c --part tiles --public-url https://l1c.example.org
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    from services.mounted import places  # noqa: PLC0415 - an extra
    from services.serving import listen, serve  # noqa: PLC0415 - an extra
    from services.settings import load_settings  # noqa: PLC0415 - an extra

    settings = load_settings(
        archive=archive,
        catalogue=catalogue,
        parts=parts or None,
        host=host,
        port=port,
        workers=workers,
        public_url=public_url,
        log_format=log_format,
    )

    listening = listen(settings.host, settings.port)

    def announce() -> None:
        _announce(listening.url, settings, places(settings), as_json=as_json)

    return 0 if serve(settings, listening, announce) else REFUSED


def _announce(url: str, settings: Settings, mounted: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    public_url, archive = settings.public_url, settings.archive
    if as_json:
        parts = [{"path": path, "title": title} for path, title in mounted]
        print_json({"url": url, "public_url": public_url or url, "archive": archive, "parts": parts}, indent=None)
        return
    click.echo(f"abut: serving {archive} at {url}" + (f" for {public_url}" if public_url else ""))
    if "viewer" in settings.parts:
        click.echo(f"  {public_url or url}/  The viewer, in a browser; an index for programs")
    for path, title in mounted:
        click.echo(f"  {public_url or url}{path}  {title}")
