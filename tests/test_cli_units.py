"""Durations, error lines and tables: the small parts of the command line."""

from __future__ import annotations

import io
import sqlite3
from datetime import timedelta

import obstore
import pytest
from obstore.store import LocalStore

from abut.duration import parse_duration
from abut.errors import InvalidSafeError, ProductNotFoundError
from abut.messages import describe, is_expected
from cli.output import counted, plural, print_table, size


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("0s", timedelta()),
        ("2w", timedelta(days=14)),
        ("1d12h", timedelta(hours=36)),
        (" 7D ", timedelta(days=7)),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "7 d", "1.5h", "7y", "7dd", "x7d", "7d x", "999999999w", "\u0667d"]
)
def test_what_is_no_duration_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="duration") as caught:
        parse_duration(text)

    assert repr(text) in str(caught.value)


def test_errors_are_one_line_that_names_something() -> None:
    assert describe(InvalidSafeError("a.SAFE:\n no manifest")) == "a.SAFE: no manifest"
    assert describe(ProductNotFoundError("no product 'x'")) == "no product 'x'"
    assert describe(OSError(28, "No space left", "/a"), "here") == "/a: No space left"
    assert describe(OSError(28, "No space left", "/a", None, "/b")) == "/a -> /b: No space left"
    assert describe(OSError(28, "No space left"), "here") == "here: No space left"
    assert describe(sqlite3.OperationalError("disk full"), "here") == "here: catalogue: disk full"
    assert describe(KeyError("x"), "here") == "here: KeyError: 'x'"
    assert describe(MemoryError(), "here") == "here: MemoryError"


def test_errors_of_the_store_lose_their_inner_life(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("store")
    (folder / "a").write_text("a file where a folder is due")
    with pytest.raises(Exception, match="Debug source") as caught:
        obstore.put(LocalStore(folder), "a/b", b"1")

    line = describe(caught.value, "the archive")

    assert "\n" not in line
    assert "Debug source" not in line
    assert "Generic" not in line
    assert str(folder / "a") in line
    assert is_expected(caught.value)


def test_defects_are_told_from_what_users_and_machines_cause() -> None:
    assert is_expected(OSError(28, "No space left"))
    assert is_expected(sqlite3.OperationalError("locked"))
    assert is_expected(InvalidSafeError("x"))
    assert not is_expected(KeyError("x"))
    assert not is_expected(AssertionError())


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (8_364_394, "8.4 MB"), (82_000_000_000_000, "82.0 TB")]
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_counts_agree_with_their_nouns() -> None:
    assert [plural(count, "block") for count in (0, 1, 2_000)] == ["0 blocks", "1 block", "2,000 blocks"]


def test_tables_put_words_left_and_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "held"), [("a", "7"), ("longer", "1234")])

    assert capsys.readouterr().out == "name    held\na          7\nlonger  1234\n"


class Terminal(io.StringIO):
    """What says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stderr", "hidden", "shown"), [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)]
)
def test_progress_is_shown_on_terminals_and_to_people_only(
    monkeypatch: pytest.MonkeyPatch, stderr: type[io.StringIO], hidden: bool, shown: bool
) -> None:
    written = stderr()
    monkeypatch.setattr("sys.stderr", written)

    assert list(counted(["a", "b"], "layers", hidden=hidden)) == ["a", "b"]

    assert ("0/2" in written.getvalue()) is shown
    assert bool(written.getvalue()) is shown
