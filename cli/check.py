"""`abut check`."""

from __future__ import annotations

from dataclasses import asdict

import click

from cli.opening import open_for_writing, open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import plural, print_json
from cli.status import FAILED
from ingest.check import check


@click.command(epilog="Exit status: 0 no damage, 1 damage found, 2 not an archive.")
@archive_option()
@click.option("--repair", is_flag=True, help="Put leftovers right.")
@click.option("--deep", is_flag=True, help="Read every object and compare its digest.")
@json_option()
@debug_option()
def command(archive: str, *, repair: bool, deep: bool, as_json: bool) -> int:
    """See whether everything in an archive agrees, and repair it.

    Compares store, ledgers, items and catalogue. What is found is either damage, data that is missing or wrong, which
    nothing in the archive can make again; or leftovers of runs that died or of steps not done yet, which --repair
    puts right. What a dead run wrote counts as a leftover once it is a day old.

    \b
    abut check --archive l1c
    abut check --archive l1c --deep --repair
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    opened = open_for_writing(archive) if repair else open_with_catalogue(archive)
    findings = check(opened, repair=repair, deep=deep)
    damage = sum(finding.kind == "damage" for finding in findings)
    repaired = sum(finding.repaired for finding in findings)
    if as_json:
        print_json(
            {
                "damage": damage,
                "leftovers": len(findings) - damage,
                "repaired": repaired,
                "findings": [asdict(finding) for finding in findings],
            }
        )
    else:
        for finding in findings:
            done = "  (repaired)" if finding.repaired else ""
            click.echo(f"{finding.kind:<8}  {finding.where}: {finding.what}{done}")
        click.echo(f"{damage:,} damage, {plural(len(findings) - damage, 'leftover')}, {repaired:,} repaired")
    return FAILED if damage else 0
