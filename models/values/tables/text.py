"""The text of a cell without what spreadsheets put around it."""

from __future__ import annotations

import unicodedata

# Full-width forms of ASCII, the ideographic space and the full-width yen sign. Not NFKC: it makes 52 of 5².
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xFFE5: 0xA5}
# Blanks, line breaks and format characters (zero width, byte order mark).
_AROUND = frozenset({"Cf", "Zs", "Zl", "Zp"})
# Letters by their category that show nothing.
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
REPLACEMENT = "\ufffd"
EXCERPT_MAX = 24


def half_width(text: str) -> str:
    """Return the text with full-width letters, digits and signs of ASCII as their narrow forms."""
    return text if text.isascii() else text.translate(_HALF_WIDTH)


def clean(text: str) -> str:
    """Return the text without the blanks and invisible characters around it."""
    if text.isascii() and (not text or (text[0] > " " and text[-1] > " " and text[-1] != "\x7f")):
        return text
    first, last = 0, len(text)
    while first < last and is_blank(text[first]):
        first += 1
    while last > first and is_blank(text[last - 1]):
        last -= 1
    return text[first:last]


def excerpt(text: str) -> str:
    """Return the beginning of foreign text, printable, for an error message."""
    shown = "".join(c if c.isprintable() else "�" for c in text[:EXCERPT_MAX])
    return f"{shown}…" if len(text) > EXCERPT_MAX else shown


def is_blank(character: str) -> bool:
    """Return True for a blank or an invisible character; NUL and other controls are neither."""
    return character.isspace() or unicodedata.category(character) in _AROUND or character in _FILLERS
