"""What fuzzed requests of these tests are made of, and what every answer has to be."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES: Final = int(os.environ.get("ABUT_FUZZ_EXAMPLES", "60"))
"""Requests of each kind; more find more."""

fuzzed: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NASTY: Final = [
    *("", " ", ",", ",,", "+", "-", "--", "*", "%", "%25", "\\", "'", '"', "''", ";", "--", "/*", "\0", "\x01", "\x7f"),
    *("é", "🌍", "\u202e", "\ufeff", "\uffff", "ﷺ", "İ", "a" * 300, "a" * 5000, "null", "true", "NaN", "Infinity"),
    *(
        "-0",
        "1e999",
        "-1e999",
        "1e-999",
        "9" * 400,
        "0x10",
        "1_0",
        "\u0661",
        "²",
        "½",
        "2147483648",
        "9223372036854775808",
    ),
    *("18446744073709551616", "-9223372036854775809", "0.1" * 9, "{}", "[]", "{", "[", "()", "$1", "$$", "{{x}}"),
    *(
        "id",
        "geometry",
        "properties.",
        ".",
        "..",
        "../..",
        "a.b.c.d",
        "properties.properties",
        "datetime",
        "_x",
        "a" * 64,
    ),
    *("0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2023-02-29T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01"),
    *("1,2,3,4", "180,90,-180,-90", "-180,-90,180,90", "1e308,0,1,1", "0,0,0,0,0,0", "nan,nan,nan,nan", "1,2,3,1e400"),
    *("id = ", "id = 'a", "id = 'a' OR 1=1", "NOT", "a LIKE '%'", "a IN ()", "a BETWEEN 1", "CASEI(id)='A'", "1 = 1"),
    *("S_INTERSECTS(geometry, POINT(1 1", "S_INTERSECTS(geometry, POLYGON((0 0,1 1,0 0)))", "T_AFTER(datetime, 5)"),
    *("next:" + "A" * 50, "prev:", "next:eyJ9", "eyJhIjoxfQ==", "next:sentinel-2-l1c:x", "prev:e30"),
]
"""Texts that have broken programs."""

texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8"), max_size=40)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from(NASTY)
    | st.text(max_size=20)
)

trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["op", "args", "property", "type", "coordinates", "geometries", "field", "eq", "interval"])
            | texts,
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def proper(answer: Any) -> int:
    """Return the status of an answer that is 2xx, or a refusal with the body of STAC API."""
    status: int = answer.status_code
    if status < 300:
        return status
    assert 400 <= status < 500, (status, answer.text)
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) - {"errors"} == {"code", "description"}  # of many items, each that is bad is named
    assert body["description"].strip()
    assert "\n" not in body["description"]
    assert len(body["description"]) <= 1000
    assert "Traceback" not in answer.text
    assert '.py"' not in answer.text
    return status


def as_bytes(tree: Any) -> bytes:
    """As JSON of the lax kind: NaN and lone surrogates are written, too."""
    return json.dumps(tree).encode()
