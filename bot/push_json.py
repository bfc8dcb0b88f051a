"""The console's JSON format for pushes: the same fields, answered in kind.

公众平台 lets the operator choose XML or JSON. XML is what the platform documents for official accounts and
what we ask for; a push in JSON is answered all the same, and the log and `campusnet doctor` name the setting.
"""

from __future__ import annotations

import json
from typing import Any

from bot.xmlread import MAX_DEPTH, MAX_ELEMENTS, Tree, read_xml
from models.errors import Malformed
from models.values.xml_text import utf8_text

JSON = "application/json; charset=utf-8"
_BOM = b"\xef\xbb\xbf"


def is_json(body: bytes) -> bool:
    """Return True if this is no XML but may be an object."""
    return body.removeprefix(_BOM).lstrip()[:1] == b"{"


def read_push(body: bytes, *, repair: bool = True) -> Tree:
    """Return the fields of a push in either format; `repair` as of `read_xml`. Raises: Malformed."""
    return _read_json(body) if is_json(body) else read_xml(body, repair=repair)


def reply_as_json(reply: str) -> str:
    """Return a rendered reply with the same names as an object; a card's articles are a list there."""
    fields = read_xml(reply.encode())
    articles = fields.get("Articles")
    if isinstance(articles, dict):
        items = articles.get("item", [])
        fields["Articles"] = items if isinstance(items, list) else [items]
    numbers = {name: int(fields[name]) for name in ("CreateTime", "ArticleCount") if name in fields}
    return json.dumps({**fields, **numbers}, ensure_ascii=False)


def encrypted_reply(encrypted: str, signature: str, timestamp: str, nonce: str) -> str:
    """Return the outer shape of a reply in safe mode."""
    return json.dumps(
        {"Encrypt": encrypted, "MsgSignature": signature, "TimeStamp": int(timestamp), "Nonce": nonce}
    )


def _read_json(body: bytes) -> Tree:
    try:
        found = json.loads(utf8_text(body.removeprefix(_BOM)), strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error
    if not isinstance(found, dict):
        raise Malformed("no object")
    return {name: value for name, value in _Converter().tree(found).items() if value is not None}


class _Converter:
    """Makes of values what the XML reader makes of elements: texts, trees, lists of both."""

    def __init__(self) -> None:
        self._count = 0

    def tree(self, found: dict[str, Any], depth: int = 1) -> Tree:
        """Return the texts and structures of an object. Raises: Malformed."""
        return {name: self._value(value, depth) for name, value in found.items()}

    def _value(self, value: object, depth: int) -> Any:
        self._count += 1
        if depth >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Malformed("too deep, or too much")
        if isinstance(value, dict):
            return self.tree(value, depth + 1)
        if isinstance(value, list):
            return [self._value(item, depth + 1) for item in value]
        if isinstance(value, bool) or value is None:
            return None
        # Half a surrogate pair can be neither encoded nor compared.
        return str(value).encode("utf-8", "replace").decode().replace("\0", "")
