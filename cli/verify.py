"""`abut verify`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from abut.archive import open_archive
from cli.options import archive_option, debug_option, json_option
from cli.output import bar, print_json
from cli.status import FAILED
from ingest.job import find_safes
from ingest.verify import verify_all

if TYPE_CHECKING:
    from tqdm import tqdm


@click.command(epilog="Exit status: 0 all is equal, 1 something differs, 2 not in the archive, or a broken SAFE.")
@click.argument("safes", metavar="SAFE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@archive_option()
@json_option()
@debug_option()
def command(safes: tuple[Path, ...], archive: str, *, as_json: bool) -> int:
    """Compare SAFE products with an archive, pixel by pixel.

    All bands, masks and angles value by value, all other files byte by byte. The SAFE is decoded by a second reader,
    not the one that ingested it. SAFE is as for `abut ingest`.

    \b
    abut verify S2B_MSIL1C_20250801T101559_N0511_R065_T32TMT_20250801T121559.SAFE --archive l1c
    abut verify downloads/ --archive l1c --json > certificates.json
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_archive(archive)
    certificates = []
    for safe in find_safes(safes):
        with bar(None, " arrays", hidden=as_json) as progress:
            for certificate in verify_all(opened, safe, done=partial(_step, progress)):
                certificates.append(certificate)
                if not as_json:
                    progress.clear()
                    click.echo("\n".join(certificate.lines()))
    equal = all(certificate.equal for certificate in certificates)
    if as_json:
        print_json({"equal": equal, "certificates": [json.loads(one.to_json()) for one in certificates]})
    return 0 if equal else FAILED


def _step(progress: tqdm[Any], line: str) -> None:
    progress.set_postfix_str(line, refresh=False)
    progress.update()
