"""XML of identity servers: their encodings and namespaces, no document type, one damaged part at a time.

Not `ElementTree.fromstring`: it reads no GBK, and one attribute with an odd name (`cas:urn:oid:2.5.4.3`),
an unescaped `&` or a control character in a name of no interest would cost the login.
"""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import Element
from xml.parsers import expat

from models.errors import Malformed
from models.values.xml_text import acceptable, declared_text

MAX_DEPTH = 64

_Scope = dict[str, str]


def read_answer(document: bytes | str) -> Element:
    """Return the root; tags are `{namespace}name`, or as written where the prefix stands for nothing.

    Raises: Malformed - no XML, or one with a document type: nothing is fetched and no entity is expanded.
    """
    reader = _Reader()
    # Without expat's namespaces: a prefix that is declared nowhere would end the document.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.add_text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    body = document if isinstance(document, bytes) else document.encode("utf-8", "replace")
    try:
        parser.Parse(acceptable(declared_text(body)).encode(), True)
    except (expat.ExpatError, ValueError) as error:
        raise Malformed("identity answer is no XML we accept") from error
    if reader.root is None:
        raise Malformed("identity answer is empty")
    return reader.root


def _refuse_doctype(*_: object) -> NoReturn:
    raise Malformed("identity answer has a document type")


class _Reader:
    """Builds the elements."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[tuple[Element, _Scope]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element opens; a namespace it declares holds inside it."""
        if len(self._open) >= MAX_DEPTH:
            raise Malformed("identity answer is nested too deeply")
        scope = self._open[-1][1] if self._open else {}
        declared = {
            key.partition(":")[2]: uri
            for key, uri in attributes.items()
            if key == "xmlns" or key.startswith("xmlns:")
        }
        if declared:
            scope = scope | declared
        element = Element(_resolved(name, scope), attributes)
        if self._open:
            self._open[-1][0].append(element)
        else:
            self.root = element
        self._open.append((element, scope))

    def end(self, _name: str) -> None:
        """An element closes."""
        self._open.pop()

    def add_text(self, text: str) -> None:
        """Text of the open element; what stands between and behind its children counts, too."""
        if self._open:
            element = self._open[-1][0]
            element.text = (element.text or "") + text


def _resolved(name: str, scope: _Scope) -> str:
    prefix, colon, local = name.partition(":")
    if not colon:
        prefix, local = "", name
    uri = scope.get(prefix, "")
    return f"{{{uri}}}{local}" if uri else name
