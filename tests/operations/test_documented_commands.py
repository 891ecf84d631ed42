"""Commands that the documentation tells people to run exist, with the options that it gives them."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import click
import pytest

from cli.main import program
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = [*sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")), "README.md"]


def quoted(page: str) -> Iterator[str]:
    """Yield what a page has as commands: lines of its blocks, and code within its text."""
    text = (ROOT / page).read_text()
    for block in re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S* )*(?:docker compose run --rm )?(abut [a-z].*)", line)
            if found:
                yield found[1]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(abut [a-z][^`\n]*)`", prose)


def words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an apostrophe in a remark
        return line.partition("#")[0].split()


def unknown(line: str) -> str | None:
    """Return the first word of a command that the program does not know, if there is one."""
    command: Any = program
    for word in words(line)[1:]:
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return None if word.startswith(("-", "...", "|")) else word
            command = found
            continue
        if word in ("|", ">", "&&", ";", "&"):
            break
        name = word.partition("=")[0]
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
        if name.startswith("--") and name not in options:
            return word
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_exist(page: str) -> None:
    assert {line: word for line in quoted(page) if (word := unknown(line))} == {}


def test_commands_are_found_and_mistakes_too() -> None:
    assert len(list(quoted("docs/operations.md"))) > 20
    assert unknown("abut check --repair --archive x") is None
    assert unknown("abut check --repare") == "--repare"
    assert unknown("abut chek") == "chek"
    assert unknown("abut catalog rebild --archive x") == "rebild"
