"""stac-api-validator, stac-validator, stac-check and pystac as a program that has no network but loopback.

``python -m tests.judges URL SETTINGS`` prints a JSON object: what each of them said, and which connections were tried.
Schemas come from copies; what has no copy is an error of the validation that asked for it. Links to other hosts than
loopback are taken as dead, without a try.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

from tests.stac_schemas import FOLDER

NOT_AT_HAND: Final = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
"""The only schema that there is no copy of; taken as one that allows everything."""

_LOCAL: Final = ("127.0.0.1", "localhost", "::1")


@dataclass
class Judges:
    """What the validators are made of here, and what they did."""

    url: str
    """The API."""
    schemas: dict[str, Any]
    """Schemas by address."""
    tried: list[str] = field(default_factory=list)
    """Hosts other than loopback that something wanted to reach."""
    dead: list[str] = field(default_factory=list)
    """Links to the API that did not answer with 200."""

    def close_network(self) -> None:
        """Let nothing but loopback be reached, and remember who tried."""
        connect, lookup = socket.socket.connect, socket.getaddrinfo

        def connected(one: socket.socket, address: Any) -> None:
            self._require_local(address[0] if isinstance(address, tuple) else str(address))
            connect(one, address)

        def looked_up(host: Any, *rest: Any, **options: Any) -> Any:
            self._require_local(host.decode() if isinstance(host, bytes) else str(host))
            return lookup(host, *rest, **options)

        socket.socket.connect = connected  # type: ignore[method-assign, assignment]  # that is the purpose
        socket.getaddrinfo = looked_up

    def _require_local(self, host: str) -> None:
        if host not in _LOCAL:
            self.tried.append(host)
            raise OSError(f"{host}: no network")

    def give_schemas(self) -> None:
        """Hand copies of the schemas to those who would load them."""
        from pystac.validation import RegisteredValidator  # noqa: PLC0415 - after the network was closed
        from stac_validator import utilities  # type: ignore[import-untyped] # noqa: PLC0415 - as above

        validator: Any = RegisteredValidator.get_validator()
        validator.schema_cache.update(self.schemas)
        fetch, opened = utilities.fetch_and_parse_file, utilities.urlopen

        def fetched(path: str, headers: Any = None) -> Any:
            if path.startswith(self.url):
                return fetch(path, headers)
            return self.schemas[path.removesuffix("#")]

        def answered(request: urllib.request.Request, **options: Any) -> Any:
            if not request.full_url.startswith(self.url):
                raise OSError(f"{request.full_url}: no network")
            try:
                return opened(request, **options)
            except OSError:
                self.dead.append(request.full_url)
                raise

        utilities.fetch_and_parse_file = fetched
        utilities.urlopen = answered

    def api(self, settings: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Return errors and recommendations of stac-api-validator, which asks the others, too."""
        from stac_api_validator import validations  # noqa: PLC0415 - as above

        settings["query_config"] = validations.QueryConfig(**settings["query_config"])
        warnings, errors = validations.validate_api(root_url=f"{self.url}/", **settings)
        return list(errors), list(warnings)

    def transactions(self, token: str, collection: str) -> list[str]:
        """Return what stac-api-validator says of transactions, without the pauses it makes for slow databases."""
        from requests import Session  # noqa: PLC0415 - as above
        from stac_api_validator import validations  # noqa: PLC0415 - as above

        errors, session = validations.Errors(), Session()
        session.headers["Authorization"] = f"Bearer {token}"
        time.sleep = lambda _: None
        try:
            validations.validate_transaction(
                context=validations.Context.FEATURES_TXN,
                landing_page_body=self._got(f"{self.url}/"),
                collection=collection,
                errors=errors,
                warnings=validations.Warnings(),
                r_session=session,
                transaction_collection=collection,
            )
        except Exception as error:  # noqa: BLE001 - that it fails is what the test has to know
            errors += f"stac-api-validator failed: {error!r}"
        return list(errors)

    def documents(self, items: list[str]) -> list[str]:
        """Return what stac-validator and pystac say of landing page, collections, pages, and items of some paths."""
        from stac_validator.stac_validator import StacValidate  # type: ignore[import-untyped] # noqa: PLC0415 - as above

        complaints = []
        for path in self._paths(items):
            document, judge = self._got(self.url + path), StacValidate()
            if document["type"] == "FeatureCollection":
                assert document["features"], path
                judge.validate_item_collection_dict(document)
            else:
                judge.validate_dict(document)
                complaints += _of_pystac(path, document)
            complaints += [f"{path}: stac-validator: {one}" for one in judge.message if not one["valid_stac"]]
        return complaints

    def _paths(self, items: list[str]) -> list[str]:
        listed = [one["id"] for one in self._got(f"{self.url}/collections?limit=1000")["collections"]]
        pages = [f"/collections/{one}/items?limit=2" for one in listed]
        return ["/", *(f"/collections/{one}" for one in listed), *pages, "/search?limit=2&complete=true", *items]

    @staticmethod
    def _got(address: str) -> Any:
        with urllib.request.urlopen(address) as answer:  # noqa: S310 - loopback
            return json.load(answer)


def schemas() -> dict[str, Any]:
    """Return the copies of the schemas by their addresses."""
    found: dict[str, Any] = {NOT_AT_HAND: {"$schema": "http://json-schema.org/draft-07/schema#"}}
    for path in (*FOLDER.glob("*.json"), *FOLDER.glob("core/*.json")):
        schema = json.loads(path.read_text())
        name = path.name.removesuffix(".json")
        if name == "projjson":
            found["https://proj.org/schemas/v0.7/projjson.schema.json"] = schema
        elif path.parent.name == "core":
            # One of them has a mistake in its `$id`; the names of the files are the addresses.
            found[f"https://{name.replace('_', '/')}.json"] = schema
        else:
            found[schema["$id"].removesuffix("#")] = schema
    return found


def _of_pystac(path: str, document: dict[str, Any]) -> list[str]:
    import pystac  # noqa: PLC0415 - as above
    from pystac.validation import validate_dict  # noqa: PLC0415 - as above

    try:
        validate_dict(document)
    except (pystac.STACError, KeyError, OSError) as error:
        return [f"{path}: pystac: {error!r}"]
    return []


def main() -> None:
    """Judge an API."""
    logging.disable(logging.CRITICAL)
    url, settings = sys.argv[1], json.loads(sys.argv[2])
    judges = Judges(url, schemas())
    judges.close_network()
    judges.give_schemas()
    items, transactions = settings.pop("items"), settings.pop("transactions")
    errors, warnings = judges.api(settings)
    made = {
        "documents": judges.documents(items),
        "errors": errors,
        "warnings": warnings,
        "transactions": judges.transactions(**transactions),
        "tried": judges.tried,
        "dead": judges.dead,
    }
    print("\n" + json.dumps(made), flush=True)  # noqa: T201 - the result of this program


if __name__ == "__main__":
    main()
