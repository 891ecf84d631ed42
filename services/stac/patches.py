"""Patches of JSON documents: merge patches (RFC 7396) and JSON Patch (RFC 6902); what is patched is never changed."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

from abut.errors import BadRequestError
from abut.messages import quoted
from catalog.comparing import equal
from services.stac.bodies import read_json, require_shallow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

MOST: Final = 1_000
"""Operations of a patch at most."""

COPIED: Final = 4_000_000
"""Characters that the operations of a patch copy at most."""

MERGE: Final = "application/merge-patch+json"
"""Media type of merge patches."""

OPERATIONS: Final = "application/json-patch+json"
"""Media type of JSON Patch."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_OPERATIONS: Final = {
    "add": {"value"},
    "replace": {"value"},
    "test": {"value"},
    "remove": set[str](),
    "move": {"from"},
    "copy": {"from"},
}
"""Operations, and what each needs beside its path."""


class PatchConflictError(ValueError):
    """A patch does not fit the document: a test fails, or a path leads nowhere."""


def merged(document: Any, patch: Any) -> Any:
    """Return a document with a merge patch applied: members are replaced, those that are null removed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), value)
    return made


def patched(document: Any, operations: Sequence[Any]) -> Any:
    """Return a document with the operations of a JSON Patch applied, all or none.

    Raises
    ------
    BadRequestError
        If an operation is none.
    PatchConflictError
        If one does not fit the document.
    """
    if len(operations) > MOST:
        raise BadRequestError(f"patch: {len(operations)} operations, {MOST} are the most")
    made, copied = copy.deepcopy(document), 0
    for number, operation in enumerate(operations):
        try:
            _require_operation(operation)
            copied += _copied(made, operation)
            if copied > COPIED:
                raise BadRequestError(f"what is copied is larger than {COPIED} characters in all")
            made = _applied(made, operation)
        except PatchConflictError as error:
            raise PatchConflictError(f"patch, operation {number}: {error}") from error
        except BadRequestError as error:
            raise BadRequestError(f"patch, operation {number}: {error}") from error
    return made


async def read_patch(request: Request) -> dict[str, Any] | list[Any]:
    """Return the patch that a request brings.

    Raises
    ------
    BadRequestError
        If it is none of the kind that its media type says; plain JSON is either kind.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    patch = await read_json(request)
    if not isinstance(patch, list if kind == OPERATIONS else dict if kind == MERGE else dict | list):
        name = {OPERATIONS: "a list of operations", MERGE: "a merge patch"}.get(kind, "a patch")
        raise BadRequestError(f"body: {quoted(patch)}: not {name}")
    return patch


def _applied(document: Any, operation: Any) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _added(document, path, copy.deepcopy(operation["value"]))
        case "remove":
            return _removed(document, path)[0]
        case "replace":
            _found(document, path)
            return _added(_removed(document, path)[0] if path else None, path, copy.deepcopy(operation["value"]))
        case "move":
            source = _pointer(operation["from"])
            if path[: len(source)] == source and path != source:
                raise BadRequestError(f"can't move {operation['from']!r} into itself")
            without, value = _removed(document, source)
            return _added(without, path, value)
        case "copy":
            return _added(document, path, copy.deepcopy(_found(document, _pointer(operation["from"]))))
    if not equal(_found(document, path), operation["value"]):
        raise PatchConflictError(f"{operation['path']} is not what the test says")
    return document


def _copied(document: Any, operation: Mapping[str, Any]) -> int:
    """Return the size of what an operation copies: copies of copies grow beyond all bounds."""
    return _size(_found(document, _pointer(operation["from"]))) if operation["op"] == "copy" else 0


def _size(value: Any) -> int:
    """Return about how many characters a value has as JSON."""
    size, todo = 0, [value]
    while todo and size <= COPIED:
        one = todo.pop()
        size += len(one) + 2 if isinstance(one, str) else 4
        if isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one
    return size


def _require_operation(operation: Any) -> None:
    name = operation.get("op") if isinstance(operation, dict) else operation
    if not isinstance(operation, dict) or not isinstance(name, str) or name not in _OPERATIONS:
        raise BadRequestError(f"{quoted(name)}: not one of {', '.join(_OPERATIONS)}")
    for member in {"path"} | _OPERATIONS[name]:
        if member not in operation or (member != "value" and not isinstance(operation[member], str)):
            raise BadRequestError(f"{name} needs {member}")


def _pointer(text: str) -> list[str]:
    """Return the parts of a JSON Pointer (RFC 6901)."""
    if text and not text.startswith("/"):
        raise BadRequestError(f"path {text!r} does not start with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _found(document: Any, path: Sequence[str]) -> Any:
    for number, part in enumerate(path):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and _INDEX.fullmatch(part) and int(part) < len(document):
            document = document[int(part)]
        else:
            raise PatchConflictError(f"there is no /{'/'.join(path[: number + 1])}")
    return document


def _added(document: Any, path: Sequence[str], value: Any) -> Any:
    require_shallow(value, "patch", len(path))
    if not path:
        return value
    parent, last = _found(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last == "-":
        parent.append(value)
    elif isinstance(parent, list) and _INDEX.fullmatch(last) and int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise PatchConflictError(f"nothing can be put at /{'/'.join(path)}")
    return document


def _removed(document: Any, path: Sequence[str]) -> tuple[Any, Any]:
    """Return the document without a part of it, and that part."""
    value = _found(document, path)
    if not path:
        return None, value
    parent: Mapping[str, Any] | list[Any] = _found(document, path[:-1])
    if isinstance(parent, list):
        del parent[int(path[-1])]
    else:
        del parent[path[-1]]  # type: ignore[attr-defined] # it was found in there: a dict
    return document, value
