"""Foreign XML as text that a parser accepts: what cannot be read costs its character only.

Senders cut text inside a character, write emoji as two surrogates (CESU-8), pass on characters that XML
forbids, and forget to escape. None of this can hide or make markup: only single characters are replaced,
and a reference that is none becomes the text it was written as.
"""

from __future__ import annotations

import codecs
import re
import sys

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# XML 1.0 §2.2 allows every other character.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CESU_PAIR = re.compile(rb"\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf])")
# What is text as it stands, before the references of the rest are looked at.
_LITERAL = re.compile(r"<!\[CDATA\[|<!--")
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos);|#([0-9]{1,7});|#x([0-9A-Fa-f]{1,6});)?")
_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*?\?>")
_DECLARED = re.compile(rb"<\?xml\b[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,30})[\"']")
# The encodings of identity servers in China; any other is read as UTF-8.
_CHINESE = frozenset({"gbk", "gb2312", "gb18030", "cp936", "ms936", "x-gbk", "euc-cn"})
_PLAIN = frozenset({"iso-8859-1", "latin1", "us-ascii", "windows-1252", "big5", "utf-16"})
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def utf8_text(body: bytes) -> str:
    """Return UTF-8 as text; a pair of surrogates is its character, what is no UTF-8 is replaced."""
    return _CESU_PAIR.sub(_joined, body).decode("utf-8", "replace")


def declared_text(body: bytes) -> str:
    """Return a document as text without its declaration, by its byte order mark or its declared encoding.

    Without either it is UTF-8, or GB18030 where it is none.

    Raises:
        ValueError: where a CDATA section ends depends on the encoding, and the encoding is not certain.
    """
    encoding, certain = _encoding_of(body)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        certain = False
        text = utf8_text(body) if encoding == "utf-8" else body.decode(encoding, "replace")
    if not certain and b"<![CDATA[" in body:
        # The second byte of a Chinese character may be "]": read wrongly, a name would write elements.
        readings = {text, utf8_text(body), body.decode("gb18030", "replace")}
        if len({reading.count("]]>") for reading in readings}) > 1:
            raise ValueError("ambiguous end of a CDATA section")
    return _DECLARATION.sub("", text, count=1)


def _encoding_of(body: bytes) -> tuple[str, bool]:
    """Return the codec, and whether the document names it."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return encoding, True
    found = _DECLARED.match(body.lstrip()[:300])
    name = found[1].decode().lower() if found else ""
    if name in _CHINESE:
        return "gb18030", True
    if name in _PLAIN:
        return name, True
    if not name and not _decodes(body, "utf-8") and _decodes(body, "gb18030"):
        return "gb18030", False
    return "utf-8", True


def acceptable(text: str) -> str:
    """Return the text without what no parser reads: forbidden characters, references that are none."""
    text = _FORBIDDEN.sub(REPLACEMENT, text)
    parts: list[str] = []
    place = 0
    # Each character is passed once, whatever is opened and never closed.
    while literal := _LITERAL.search(text, place):
        parts.append(_REFERENCE.sub(_reference, text[place : literal.start()]))
        closing = "-->" if literal[0] == "<!--" else "]]>"
        end = text.find(closing, literal.end())
        place = len(text) if end < 0 else end + len(closing)
        parts.append(text[literal.start() : place])
    parts.append(_REFERENCE.sub(_reference, text[place:]))
    return "".join(parts)


def _joined(pair: re.Match[bytes]) -> bytes:
    high = (pair[1][0] & 0x0F) << 6 | pair[2][0] & 0x3F
    low = (pair[3][0] & 0x0F) << 6 | pair[4][0] & 0x3F
    return chr(0x10000 + (high << 10 | low)).encode()


def _reference(found: re.Match[str]) -> str:
    named, decimal, hexadecimal = found.groups()
    if named:
        return found[0]
    if decimal is None and hexadecimal is None:
        return "&amp;"
    code = int(decimal) if decimal is not None else int(hexadecimal, 16)
    if code > sys.maxunicode or _FORBIDDEN.match(chr(code)):
        return REPLACEMENT
    return found[0]


def _decodes(body: bytes, encoding: str) -> bool:
    try:
        body.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
