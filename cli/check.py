"""`abut check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from abut.store import open_store
from cli.opening import open_for_writing, open_with_catalogue
from cli.options import archive_option, debug_option, json_option
from cli.output import plural, print_json
from cli.status import FAILED
from ingest.check import check
from ingest.check_store import probe_store


@click.command(
    epilog="Exit status: 0 no damage, and the store does what could be tried; 1 it does not, or there is damage; 2 not "
    "an archive."
)
@archive_option()
@click.option("--repair", is_flag=True, help="Put leftovers right.")
@click.option("--deep", is_flag=True, help="Read every object and compare its digest.")
@click.option(
    "--store", "probing", is_flag=True, help="Try what the store must do; alone, there need be no archive there yet."
)
@json_option()
@debug_option()
def command(archive: str, *, repair: bool, deep: bool, probing: bool, as_json: bool) -> int:
    """See whether everything in an archive agrees, and repair it.

    Compares store, ledgers, items and catalogue. What is found is either damage, data that is missing or wrong, which
    nothing in the archive can make again; or leftovers of runs that died or of steps not done yet, which --repair
    puts right. What a dead run wrote counts as a leftover once it is a day old.

    With --store the store itself is tried: bucket, credentials, conditional writes, ranges, listings, what is said of
    objects that are not there, clock, time, room. Nothing is left behind. Alone, nothing else is looked at.

    \b
    abut check --archive l1c
    abut check --archive l1c --deep --repair
    abut check --archive s3://bucket/l1c --store
    """  # noqa: D301 - \b is click's mark before text that is not to be wrapped
    report: dict[str, Any] = {}
    bad = _probe(archive, report, as_json=as_json) if probing else False
    if not bad and (repair or deep or not probing):
        bad = _compare(archive, report, repair=repair, deep=deep, as_json=as_json)
    if as_json:
        print_json(report)
    return FAILED if bad else 0


def _probe(archive: str, report: dict[str, Any], *, as_json: bool) -> bool:
    """Try the store; return whether it lacks something."""
    store, probes = open_store(archive), []
    for probe in probe_store(store):
        probes.append(probe)
        if not as_json:
            click.echo(f"{probe.outcome:<8}  {probe.name}: {probe.what}")
    failed = sum(probe.outcome == "failed" for probe in probes)
    warnings = sum(probe.outcome == "warning" for probe in probes)
    report["store"] = {
        "url": store.url,
        "failed": failed,
        "warnings": warnings,
        "probes": [asdict(probe) for probe in probes],
    }
    if not as_json:
        click.echo(f"{store.url}: {failed} failed, {plural(warnings, 'warning')}")
    return failed > 0


def _compare(archive: str, report: dict[str, Any], *, repair: bool, deep: bool, as_json: bool) -> bool:
    """Compare everything in an archive; return whether there is damage."""
    opened = open_for_writing(archive) if repair else open_with_catalogue(archive)
    findings = check(opened, repair=repair, deep=deep)
    damage = sum(finding.kind == "damage" for finding in findings)
    repaired = sum(finding.repaired for finding in findings)
    report |= {
        "damage": damage,
        "leftovers": len(findings) - damage,
        "repaired": repaired,
        "findings": [asdict(finding) for finding in findings],
    }
    if not as_json:
        for finding in findings:
            done = "  (repaired)" if finding.repaired else ""
            click.echo(f"{finding.kind:<8}  {finding.where}: {finding.what}{done}")
        click.echo(f"{damage:,} damage, {plural(len(findings) - damage, 'leftover')}, {repaired:,} repaired")
    return damage > 0
