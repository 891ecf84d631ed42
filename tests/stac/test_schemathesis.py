"""Schemathesis holds the API to its own OpenAPI document, on either database, read-only and with transactions.

`ABUT_SCHEMATHESIS_EXAMPLES` says how many random requests each operation gets beside those at the edges of its
parameters; more find more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.python import asgi

from services.backends import backend_of
from tests.postgres import new_database
from tests.stac.items import DAYS, L1C, OTHER, product_id
from tests.stac.serving import fill, make_app
from tests.writing import REGISTRAR, writing_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from schemathesis.schemas import BaseSchema

EXAMPLES: Final = int(os.environ.get("ABUT_SCHEMATHESIS_EXAMPLES", "12"))

COLLECTIONS: Final = (L1C, OTHER)
ITEMS: Final = (product_id("32TNM", DAYS[0]), "photo-1")


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A catalogue on either database."""
    if request.param == "sqlite":
        path = str(tmp_path_factory.mktemp("schemathesis") / "catalog.sqlite")
        fill(path)
        yield path
        return
    with new_database(request.getfixturevalue("postgres")) as database:
        fill(database)
        yield database
        asgi.shutdown_lifespans()


@pytest.fixture(scope="module")
def reading(url: str) -> BaseSchema:
    """The document of the API that only reads."""
    return described(make_app(backend_of(url)))


@pytest.fixture(scope="module")
def writing(url: str) -> BaseSchema:
    """The document of the API that writes, too, for one whose token allows all."""
    return described(writing_app(url), Authorization=f"Bearer {REGISTRAR}")


def described(app: FastAPI, **headers: str) -> BaseSchema:
    """Return what schemathesis tests: every operation with valid and invalid data."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 20_231_004,
            "headers": headers,
            "generation": {"max-examples": EXAMPLES, "mode": "all", "deterministic": True, "database": "none"},
            # Many texts that the document allows have no meaning: filters, geometries, tokens.
            "checks": {"positive_data_acceptance": {"enabled": False}},
        }
    )
    schema = schemathesis.openapi.from_asgi("/api", app, config=config)

    @schema.hook
    def map_path_parameters(_context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        """Half of the collections and items are some that there are."""
        made = dict(path_parameters or {})
        for name, known in (("collection_id", COLLECTIONS), ("item_id", ITEMS)):
            length = len(str(made.get(name, "")))
            if length % 2:
                made[name] = known[length // 2 % 2]
        return made

    return schema


def test_answers_are_as_the_document_says(reading: BaseSchema) -> None:
    assert complaints(reading) == []


def test_answers_to_writers_are_as_the_document_says(writing: BaseSchema) -> None:
    assert complaints(writing) == []


def complaints(schema: BaseSchema) -> list[str]:
    """Run schemathesis; return what it found, each with the request that shows it."""
    found: dict[str, str] = {}
    asked = 0
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            found[event.label] = f"{event.label}: {event.value!r}"
        if isinstance(event, events.ScenarioFinished):
            asked += len(event.recorder.interactions)
            found |= _failures(event)
        if isinstance(event, events.EngineFinished):
            assert event.stop_reason is engine.StopReason.COMPLETED
    assert asked > 800
    return list(found.values())


def _failures(event: events.ScenarioFinished) -> dict[str, str]:
    failed = [
        (one, check.failure_info)
        for one, checks in event.recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    ]
    return {
        f"{event.recorder.label} {info.failure.title}": f"{event.recorder.label}: {info.failure.title}: "
        f"{info.failure.message[:600]}\n{info.code_sample[:1500]}"
        for _, info in failed
    }
