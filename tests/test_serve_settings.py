"""Settings of the services: where they come from, and what is said of those that can't be used."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

from services.settings import InvalidSettingError, Settings, load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ABUT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ABUT_ARCHIVE", "l1c")


def test_variables_are_settings_and_options_go_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_PORT", "8080")
    monkeypatch.setenv("ABUT_WORKERS", "3")
    settings = load_settings(port=0, host=None)
    assert (settings.archive, settings.host, settings.port, settings.workers) == ("l1c", "127.0.0.1", 0, 3)


def test_lists_are_separated_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_CORS_ORIGINS", "https://a.example, https://b.example")
    monkeypatch.setenv("ABUT_TRUSTED_PROXIES", "10.0.0.0/8 ::1")
    settings = load_settings()
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_PORT", "")
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "http"),
        ("WORKERS", "0"),
        ("PUBLIC_URL", "example.org"),
        ("PUBLIC_URL", "https://user:pw@example.org"),
        ("PUBLIC_URL", "https://example.org/a?b"),
        ("PUBLIC_URL", "https://example.org/a b"),
        ("PRODUCTS_URL", "products"),
        ("TRUSTED_PROXIES", "nobody"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("MAX_BODY", "-1"),
    ],
)
def test_a_value_that_cant_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ABUT_{name}", value)
    with pytest.raises(InvalidSettingError) as refused:
        load_settings()
    assert f"ABUT_{name}" in str(refused.value)
    assert value.lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


def test_an_archive_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABUT_ARCHIVE")
    with pytest.raises(InvalidSettingError, match="ABUT_ARCHIVE is not set"):
        load_settings()


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_CATALOGUE", "postgresql://me:hush-hush-hush@db/stac")
    monkeypatch.setenv("ABUT_TRANSACTIONS", "true")
    monkeypatch.setenv("ABUT_WRITE_TOKENS", "hush-hush-hush-1 hush-hush-hush-2")
    settings = load_settings()
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert [token.get_secret_value() for token in settings.write_tokens] == ["hush-hush-hush-1", "hush-hush-hush-2"]


def test_whoever_turns_writing_on_says_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABUT_TRANSACTIONS", "true")
    with pytest.raises(InvalidSettingError, match="ABUT_WRITE_TOKENS"):
        load_settings()
    monkeypatch.setenv("ABUT_OIDC_ISSUER", "https://login.example.org")
    with pytest.raises(InvalidSettingError, match="ABUT_OIDC_AUDIENCE"):
        load_settings()
    monkeypatch.setenv("ABUT_OIDC_AUDIENCE", "abut")
    assert load_settings().transactions


def test_settings_reach_the_processes_that_answer() -> None:
    settings = load_settings(public_url="https://example.org/l1c/", write_tokens="hush-hush-hush-1")
    assert settings.public_url == "https://example.org/l1c"
    copy = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    assert isinstance(copy, Settings)
    assert copy == settings


def test_the_documentation_names_every_setting_and_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs" / "serving.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1]: line.split("|")[2].strip() for line in page.splitlines() if line.startswith("| `ABUT_")}
    named = {name: row for row in rows for name in re.findall(r"`ABUT_(\w+)`", row)}
    assert {name.lower() for name in named} == set(Settings.model_fields)
    plain = {
        name: field.default for name, field in Settings.model_fields.items() if isinstance(field.default, int | str)
    }
    assert len(plain) > 8
    for name, default in plain.items():
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert f"`{shown}`" in rows[named[name.upper()]], name
