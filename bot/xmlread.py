"""A strict reader for the small flat XML that WeChat sends."""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat

from models.errors import Malformed

MAX_DEPTH = 8
MAX_ELEMENTS = 2000

# A person may type control characters that XML forbids; they carry nothing.
_FORBIDDEN = bytes(code for code in range(32) if code not in b"\t\n\r")

# A leaf is a str, a structure a Tree; a name that occurs several times in a structure is a list.
Tree = dict[str, Any]


def read_xml(body: bytes) -> Tree:
    """The children of the root `<xml>`, each name exactly once.

    Structures below are read as nested dicts. No DOCTYPE, no attributes, no entities beyond
    XML's own five, bounded depth and size.

    Raises:
        Malformed: anything else.
    """
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(body.translate(None, _FORBIDDEN), True)
    except expat.ExpatError as error:
        raise Malformed("no XML") from error
    return reader.fields


def _no_doctype(*_: object) -> NoReturn:
    raise Malformed("DOCTYPE")


class _Reader:
    """Collects leaves; `text` holds what was read since the last tag."""

    def __init__(self) -> None:
        self.fields: Tree = {}
        self.text: list[str] = []
        self._open: list[Tree] = []
        self._leaf = False
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element opens; its parent is a structure from now on."""
        self._count += 1
        if attributes or len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Malformed("attributes, or too deep, or too much")
        if not self._open and name != "xml":
            raise Malformed("root element")
        self._open.append({})
        self._leaf = True
        self.text.clear()

    def end(self, name: str) -> None:
        """An element closes; it is a leaf when nothing opened inside."""
        inside: Tree = self._open.pop()
        value: str | Tree = "".join(self.text) if self._leaf else inside
        self._leaf = False
        self.text.clear()
        if not self._open:
            self.fields = inside
        elif len(self._open) > 1:
            _add(self._open[-1], name, value)
        elif name in self._open[0]:
            raise Malformed("field given twice")
        else:
            self._open[0][name] = value


def _add(parent: Tree, name: str, value: str | Tree) -> None:
    if name not in parent:
        parent[name] = value
    elif isinstance(parent[name], list):
        parent[name].append(value)
    else:
        parent[name] = [parent[name], value]
