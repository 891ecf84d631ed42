"""Secrets, taken out of texts that somebody will read: messages, logs, tracebacks.

Abut puts no secret into a message. This is the net below that: what other libraries say of a connection or a request
may have its URL in it, with a password or a signature.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = "***"
"""What stands in place of a secret."""
LEAST: Final = 8
"""Characters of the shortest value that is looked for: shorter ones are parts of other words."""

_NAMES: Final = (
    r"ticket|access_token|id_token|refresh_token|api_?key|sig|signature|password|passwd|secret|client_secret|"
    r"x-amz-(?:signature|credential|security-token)|awsaccesskeyid|x-goog-(?:signature|credential)"
)
_PATTERNS: Final = (
    (re.compile(r"(://[^/\s:@?#]*):[^\s/?#]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(rf"\b({_NAMES})(=|%3D)(?:'[^']*'|[^\s&;,'\"<>)]+)", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*", re.ASCII), HIDDEN),
    (re.compile(r"\b(bearer|basic)(\s+)(?!realm=)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
)


def hide(text: str, values: Iterable[str] = ()) -> str:
    """Return a text without secrets.

    Parameters
    ----------
    text : str
        Any text.
    values : iterable of str
        Secrets that are known; what only looks like one (a password in a URL, a parameter of a signed URL, a JSON Web
        Token, what follows ``Bearer``) is found without.
    """
    for value in values:
        if len(value) >= LEAST:
            text = text.replace(value, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
