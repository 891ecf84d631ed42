"""What commands print: JSON for programs, lines and tables for people, progress for whoever waits."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def print_json(document: Any, *, indent: int | None = 1) -> None:
    """Print a JSON document; with `indent` None on one line. JSON has no infinity: it becomes a text."""
    plain = json.loads(json.dumps(document, default=str), parse_constant=lambda text: text)
    click.echo(json.dumps(plain, indent=indent, ensure_ascii=False))


@contextmanager
def aside() -> Iterator[None]:
    """Send to stderr what others print meanwhile, such as functions of a user: stdout is for results."""
    with redirect_stdout(sys.stderr):
        yield


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with aligned columns; columns of numbers to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [all(_is_number(line[i]) for line in lines[1:]) for i in range(len(header))]
    for line in lines:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def size(count: int) -> str:
    """Return a number of bytes for people: ``8.4 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 product``, ``2 products``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def bar(total: int | None, unit: str, *, hidden: bool, position: int = 0) -> tqdm[Any]:
    """Return a progress bar on stderr; none is shown if that is no terminal."""
    return tqdm(
        total=total,
        unit=unit,
        disable=hidden or not sys.stderr.isatty(),
        position=position,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    )


@contextmanager
def stages(*, hidden: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar that begins anew with each stage; give what is told the stage, its parts that are done, and all."""
    before = ""
    with bar(None, " parts", hidden=hidden) as progress:

        def show(stage: str, count: int, total: int) -> None:
            nonlocal before
            if stage != before:
                before = stage
                progress.reset(total)
                progress.set_description(stage)
            progress.total = total
            progress.update(count - progress.n)

        yield show


def counted[T](values: Sequence[T], unit: str, *, hidden: bool) -> Iterator[T]:
    """Yield values while a bar counts them."""
    with bar(len(values), f" {unit}", hidden=hidden) as progress:
        for value in values:
            progress.set_postfix_str(str(value)[:60])
            yield value
            progress.update()


def _is_number(text: str) -> bool:
    return not text or text.replace(".", "", 1).replace(",", "").split(" ")[0].isdigit() or text == "-"
