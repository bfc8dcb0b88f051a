"""A reader for the small flat XML that WeChat sends.

Strict about structure; a character that cannot be read costs itself only: WeChat repeats a push that is
refused, and shows the sender 服务出现故障.
"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat

from models.errors import Malformed
from models.values.xml_text import acceptable, utf8_text

MAX_DEPTH = 8
MAX_ELEMENTS = 2000

# A person may type control characters that XML forbids; they carry nothing.
_FORBIDDEN = bytes(code for code in range(32) if code not in b"\t\n\r")

# A leaf is a str, a structure a Tree; a name that occurs several times in a structure is a list.
Tree = dict[str, Any]


def read_xml(body: bytes, *, repair: bool = True) -> Tree:
    """The children of the root `<xml>`; a name that occurs twice has a list, which is no text.

    Structures below are read as nested dicts. No DOCTYPE, no entities beyond XML's own five, bounded depth
    and size; what has attributes is left out. Bytes that are no text, and characters that XML forbids, are
    replaced: nothing of this can make markup. Without `repair` they are refused: what is outside a
    signature was not typed by a person.

    Raises:
        Malformed: anything else.
    """
    try:
        return _parsed(body.translate(None, _FORBIDDEN) if repair else body)
    except expat.ExpatError as error:
        if not repair:
            raise Malformed("no XML") from error
        # Once more, repaired: a push that needs no repair is read once.
        repaired = acceptable(utf8_text(body.translate(None, _FORBIDDEN))).encode()
    try:
        return _parsed(repaired)
    except expat.ExpatError as error:
        raise Malformed("no XML") from error


def _parsed(body: bytes) -> Tree:
    """Raises: ExpatError, Malformed."""
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.Parse(body, True)
    return reader.fields


def _no_doctype(*_: object) -> NoReturn:
    raise Malformed("DOCTYPE")


class _Reader:
    """Collects leaves; `text` holds what was read since the last tag."""

    def __init__(self) -> None:
        self.fields: Tree = {}
        self.text: list[str] = []
        self._open: list[Tree] = []
        self._unreadable: set[int] = set()
        self._leaf = False
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element opens; its parent is a structure from now on."""
        self._count += 1
        if len(self._open) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Malformed("too deep, or too much")
        if not self._open and (name != "xml" or attributes):
            raise Malformed("root element")
        if attributes:
            self._unreadable.add(len(self._open))
        self._open.append({})
        self._leaf = True
        self.text.clear()

    def end(self, name: str) -> None:
        """An element closes; it is a leaf when nothing opened inside."""
        inside: Tree = self._open.pop()
        value: str | Tree = "".join(self.text) if self._leaf else inside
        self._leaf = False
        self.text.clear()
        depth = len(self._open)
        if not self._open:
            self.fields = inside
        elif depth in self._unreadable:
            self._unreadable.discard(depth)
        else:
            _add(self._open[-1], name, value)


def _add(parent: Tree, name: str, value: str | Tree) -> None:
    if name not in parent:
        parent[name] = value
    elif isinstance(parent[name], list):
        parent[name].append(value)
    else:
        parent[name] = [parent[name], value]
