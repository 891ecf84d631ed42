"""The landing page of the cube service, and what it conforms to."""

from __future__ import annotations

from typing import Any, Final

_CONF: Final = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
REL: Final = "http://www.opengis.net/def/rel/ogc/1.0"
"""Where relations of OGC APIs begin."""
JSON: Final = "application/json"
"""Media type of documents."""

_ALWAYS: Final = ("core", "ogc-process-description", "json")
_OF_JOBS: Final = ("job-list", "dismiss")


def conformance_classes(*, has_jobs: bool) -> list[str]:
    """Return the URIs of the conformance classes, each of which is tested."""
    names = (*_ALWAYS, *(_OF_JOBS if has_jobs else ()))
    return ["http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core", *(f"{_CONF}/{name}" for name in names)]


def landing_page(base: str, root: str, openapi: str, *, has_jobs: bool) -> dict[str, Any]:
    """Return the landing page of a service at a URL.

    Parameters
    ----------
    base : str
        URL of the cube service, without a slash at its end.
    root : str
        URL of all that is served.
    openapi : str
        Media type of the OpenAPI document.
    has_jobs : bool
        Whether there are jobs.
    """
    return {
        "title": "Abut: cubes",
        "description": "Sentinel-2 L1C over any ground and time: small cubes at once, large ones as jobs.",
        "links": [
            link(f"{base}/", "self", "This page"),
            link(f"{base}/api", "service-desc", "OpenAPI document", openapi),
            link(f"{base}/api.html", "service-doc", "Description for people", "text/html"),
            link(f"{base}/conformance", f"{REL}/conformance", "What it conforms to"),
            link(f"{base}/conformance", "conformance", "What it conforms to"),
            link(f"{base}/processes", f"{REL}/processes", "Processes"),
            *([link(f"{base}/jobs", f"{REL}/job-list", "Your jobs")] if has_jobs else []),
            link(f"{root}/", "related", "What else is served here"),
        ],
    }


def link(href: str, rel: str, title: str, kind: str = JSON) -> dict[str, str]:
    """Return a link."""
    return {"href": href, "rel": rel, "type": kind, "title": title}
