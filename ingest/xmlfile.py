"""XML from untrusted hands: parsed without entities, DTDs or surprises, read as typed values or a clear error."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from abut.errors import InvalidSafeError
from ingest.container import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.container import Container

MAX_XML_BYTES: Final = 64 << 20
"""Largest XML that is parsed: the largest real ones (dense cloud masks) are some 10 MB, and a tree takes ten times
its text."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?", re.ASCII)


@dataclass(frozen=True, slots=True)
class XmlNode:
    """An element, with the name of its file for messages; tags and attributes come without namespaces.

    Paths are tags separated by ``/``. All methods raise `InvalidSafeError` that names file, element and value.
    """

    where: str
    """Name of the file."""
    element: Element
    """The element."""

    @property
    def tag(self) -> str:
        """Name of the element."""
        return self.element.tag

    def find(self, path: str) -> XmlNode | None:
        """Return the first element at a path, or None."""
        found = self.element.find(path)
        return None if found is None else XmlNode(self.where, found)

    def child(self, path: str) -> XmlNode:
        """Return the first element at a path."""
        found = self.find(path)
        if found is None:
            raise InvalidSafeError(f"{self.where}: no {path} in {self.tag}")
        return found

    def all(self, path: str) -> Iterator[XmlNode]:
        """Return every element at a path, in the order of the file."""
        return (XmlNode(self.where, element) for element in self.element.iterfind(path))

    def descendants(self, *tags: str) -> Iterator[XmlNode]:
        """Return every element with one of these tags, this one and all below, in the order of the file."""
        return (XmlNode(self.where, element) for element in self.element.iter() if element.tag in tags)

    def attribute(self, *names: str) -> str:
        """Return the value of the first of these attributes that there is."""
        for name in names:
            if name in self.element.attrib:
                return self.element.attrib[name].strip()
        raise InvalidSafeError(f"{self.where}: {self.tag} without attribute {' or '.join(names)}")

    def text(self, path: str = ".") -> str:
        """Return the text of the element at a path; it may not be empty."""
        node = self.child(path)
        text = (node.element.text or "").strip()
        if not text:
            raise InvalidSafeError(f"{self.where}: {node.tag} is empty")
        return text

    def number(self, path: str = ".") -> float:
        """Return the finite number at a path."""
        return parse_number(self.text(path), self.where, self.child(path).tag)

    def integer(self, path: str = ".") -> int:
        """Return the whole number at a path; ``10000.0`` is one too."""
        return parse_integer(self.text(path), self.where, self.child(path).tag)

    def optional_number(self, path: str) -> float | None:
        """Return the finite number at a path; None where there is no such element, or it is empty or ``NaN``."""
        node = self.find(path)
        if node is None or (node.element.text or "").strip().lower() in ("", "nan"):
            return None
        return node.number()

    def time(self, path: str) -> datetime:
        """Return the time at a path, in UTC."""
        text = self.text(path)
        try:
            if not _TIME.fullmatch(text):
                raise ValueError
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError:
            raise InvalidSafeError(f"{self.where}: {path} {text!r} is not a time") from None


def parse_number(text: str, where: str, name: str, *, nan: bool = False) -> float:
    """Return the finite number that a text says (or NaN where that is allowed).

    Raises
    ------
    InvalidSafeError
        If it is none.
    """
    if nan and text.lower() == "nan":
        return math.nan
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise InvalidSafeError(f"{where}: {name} {text[:80]!r} is not a finite number")
    return value


def parse_integer(text: str, where: str, name: str) -> int:
    """Return the whole number that a text says.

    Raises
    ------
    InvalidSafeError
        If it is none, or too large to be held exactly.
    """
    value = parse_number(text, where, name)
    if not value.is_integer() or abs(value) > 1 << 53:
        raise InvalidSafeError(f"{where}: {name} {text[:80]!r} is not a whole number")
    return int(value)


def read_xml(container: Container, path: str) -> XmlNode:
    """Return the root of an XML file of a SAFE.

    Raises
    ------
    InvalidSafeError
        If it is missing, too large, malformed, or has a DTD or entities.
    """
    return parse_xml(read_whole(container, path, MAX_XML_BYTES), container.label(path))


def parse_xml(data: bytes, where: str) -> XmlNode:
    """Return the root of an XML document, namespaces dropped.

    Parameters
    ----------
    data : bytes
        The document.
    where : str
        Its name, for messages.

    Raises
    ------
    InvalidSafeError
        If it is malformed, or has a DTD or entities.
    """
    try:
        root: Element = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise InvalidSafeError(f"{where}: XML with a DTD or entities is refused ({type(error).__name__})") from error
    except (ParseError, LookupError, ValueError) as error:
        raise InvalidSafeError(f"{where}: malformed XML: {' '.join(str(error).split())}") from error
    # Namespaces changed with every version of the format; the local names did not.
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if any("}" in name for name in element.attrib):
            element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    return XmlNode(where, root)
