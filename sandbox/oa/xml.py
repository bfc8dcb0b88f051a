"""Writing pushes and reading replies, in the platform's flat XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class BadXml(Exception):
    """Not one well-formed `<xml>` document."""


def build(fields: Mapping[str, object]) -> str:
    """`<xml>…</xml>`; integers bare, texts as CDATA, mappings nested, lists as repeated tags."""
    return f"<xml>{_children(fields)}</xml>"


def parse(body: bytes) -> Element:
    """The root of a document whose root is `<xml>`; entities and DTDs are refused."""
    try:
        root: Element = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadXml(f"not well-formed XML: {type(error).__name__}") from error
    if root.tag != "xml":
        raise BadXml(f"the root is <{root.tag}>, expected <xml>")
    return root


def leaf(root: Element, name: str) -> str | None:
    """Text of the only direct child `name`; None when missing, BadXml when it comes twice."""
    found = root.findall(name)
    if len(found) > 1:
        raise BadXml(f"<{name}> appears {len(found)} times")
    return (found[0].text or "") if found else None


def _children(fields: Mapping[str, object]) -> str:
    return "".join(_element(name, value) for name, value in fields.items())


def _element(name: str, value: object) -> str:
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, Mapping):
        return f"<{name}>{_children(value)}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    return f"<{name}><![CDATA[{_cdata(str(value))}]]></{name}>"


def _cdata(text: str) -> str:
    return UNPRINTABLE.sub("", text).replace("]]>", "]]]]><![CDATA[>")
