"""stac-api-validator against the API as a real server, without a network: schemas come from copies."""

from __future__ import annotations

import json
from typing import Any

import pystac
import pytest

from tests.stac.items import L1C
from tests.stac_schemas import validate

CLASSES = [
    *("core", "collections", "features", "item-search"),
    *("filter", "item-search#filter", "features#filter", "item-search#sort", "item-search#fields", "item-search#query"),
]
AREA = {"type": "Polygon", "coordinates": [[[5, 40], [20, 40], [20, 65], [5, 65], [5, 40]]]}

MISTAKEN = (
    # An empty or missing `include` beside `exclude` asks for what `exclude` alone asks for, which the validator knows.
    "{'fields': {'exclude': ['geometry'], 'include': []}} response contained 'properties.eo:cloud_cover'",
    "{'fields': {'exclude': ['geometry'], 'include': None}} response contained 'properties.eo:cloud_cover'",
    # It asks for one field, and expects five.
    "{'fields': {'exclude': ['properties'], 'include': ['properties.eo:cloud_cover']}} response contained fewer",
    # It takes the letters of a text for the values of a list.
    """search with Query '{"platform": {"in": ["sentinel-2a", "sentinel-2b"]}}' had non-matching results""",
)
"""Complaints of the validator that are its own mistakes."""


class _Validator:
    """Stands in for stac-validator, which loads schemas from the net."""

    def __init__(self, **_: Any) -> None:
        self.message = ""

    def validate_dict(self, body: dict[str, Any]) -> bool:
        kind = pystac.Item if body["type"] == "Feature" else pystac.Collection
        try:
            validate(kind.from_dict(body, migrate=False))
        except pystac.STACValidationError as error:
            self.message = str(error)
            return False
        return True


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_api_is_valid(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from stac_api_validator import validations  # noqa: PLC0415 - loads much

    monkeypatch.setattr(validations, "StacValidate", _Validator)
    monkeypatch.setattr(validations, "stac_check", lambda *_, **__: None)  # recommendations, from the net
    some: Any = 37.0  # numbers, not the text that its command line would hand over
    half: Any = 50.0
    query = validations.QueryConfig(
        query_comparison_field="eo:cloud_cover",
        query_eq_value=some,
        query_neq_value=some,
        query_lt_value=half,
        query_lte_value=half,
        query_gt_value=half,
        query_gte_value=half,
        query_substring_field="platform",
        query_starts_with_value="sent",
        query_ends_with_value="2a",
        query_contains_value="inel",
        query_in_field="platform",
        query_in_values="sentinel-2a,sentinel-2b",
    )
    _, errors = validations.validate_api(
        root_url=f"{url}/",
        ccs_to_validate=CLASSES,
        collection=L1C,
        geometry=json.dumps(AREA),
        auth_bearer_token=None,
        auth_query_parameter=None,
        fields_nested_property="properties.eo:cloud_cover",
        validate_pagination=True,
        query_config=query,
        transaction_collection=None,
        headers={},
        open_assets_urls=False,
    )
    complaints = [error for error in errors if not any(mistake in error for mistake in MISTAKEN)]
    assert complaints == []
