"""`python -m services.probe`: whether the service in this container lives; exit status 0 or 1."""

from __future__ import annotations

import http.client
import os
import sys

SECONDS = 4
"""How long it may take to answer."""


def lives(host: str, port: int) -> bool:
    """Whether ``/healthz`` answers 200 at an address."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if lives("127.0.0.1", int(os.environ.get("ABUT_PORT", "8000"))) else 1)
