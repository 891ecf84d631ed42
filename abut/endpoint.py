"""Which S3 server the environment names, by the variables that obstore reads."""

from __future__ import annotations

import os


def endpoint() -> str | None:
    """Return the endpoint's URL; None: that of AWS."""
    return _first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def region() -> str | None:
    """Return the region; None: obstore takes us-east-1."""
    return _first("AWS_REGION", "AWS_DEFAULT_REGION")


def _first(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
