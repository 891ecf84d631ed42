"""The OpenAPI document as a page for people, without scripts and without anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse

from services.stac.render import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code{font-size:.9em}h2{font-size:1.05rem;margin:2rem 0 .3rem;border-top:1px solid #ccc;padding-top:1rem}"
    "table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0;vertical-align:top}"
)

_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def docs_page(document: Mapping[str, Any], openapi: str) -> HTMLResponse:
    """Return a page that describes an API.

    Parameters
    ----------
    document : mapping
        OpenAPI document.
    openapi : str
        Where the document itself is.
    """
    info = document["info"]
    head = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_text(info.get('description', ''))}</p>"
        f'<p>For programs: <a href="{escape(openapi)}">OpenAPI document</a>.</p>'
    )
    operations = "".join(
        "".join(_operation(method, path, operation, document))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return HTMLResponse(f"{head}{operations}</body></html>", headers={**HEADERS, **_POLICY})


def _operation(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p>{_text(operation.get('description') or operation.get('summary', ''))}</p>"
    rows = [(one["name"], one.get("description", "")) for one in operation.get("parameters", [])]
    rows += [(name, part.get("description", "")) for name, part in _members(operation, document)]
    if rows:
        cells = (f"<tr><td><code>{escape(name)}</code></td><td>{_text(said)}</td></tr>" for name, said in rows)
        yield f"<table>{''.join(cells)}</table>"
    answers = ((status, answer.get("description", "")) for status, answer in operation["responses"].items())
    yield f"<p>{' '.join(f'<code>{escape(status)}</code> {_text(said)}' for status, said in answers)}</p>"


def _members(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the members of the body that an operation takes."""
    for taken in operation.get("requestBody", {}).get("content", {}).values():
        schema = taken.get("schema", {})
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        yield from schema.get("properties", {}).items()


def _text(markdown: str) -> str:
    """Return text with code in backquotes, the only mark that descriptions here have, as HTML."""
    parts = escape(markdown).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
