r"""What an account number is, and how one is read from whatever names an account.

One definition for tables, chat, pages, logins, accounting records and commands. The text that a student
types, an identity server returns or an access device reports may carry a realm (`2400101001@cmcc`,
`GUET\2400101001`), blanks or full-width digits; `AccountRules.parse` returns the number itself.
The billing backend knows the spelling under which an account is stored: `find_account(...).account_no`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from models.values.tables.errors import CellError
from models.values.tables.text import clean, excerpt, half_width, is_blank

LONGEST: Final = 32
TYPED_LONGEST: Final = 128
_NUMBER: Final = re.compile(r"[0-9A-Za-z._-]{1,32}", re.ASCII)
_HAS_SUBSTANCE: Final = re.compile(r"[0-9A-Za-z]", re.ASCII)
DEFAULT_REALMS: Final = ("@cmcc", "@telecom", "@unicom", "GUET\\")
# What spreadsheets make of a number: ="2400101013", '2400101013, 2400101011.0, 2.4001E+11.
_AS_FORMULA: Final = re.compile(r'="([^"]*)"')
_WHOLE: Final = re.compile(r"([0-9]+)\.0+", re.ASCII)
_FRACTION: Final = re.compile(r"[0-9]*\.[0-9]*", re.ASCII)
_SCIENTIFIC: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?E[+-]?[0-9]+", re.ASCII | re.IGNORECASE)
_SIGNS: Final = ("+", "-", "\N{MINUS SIGN}", "\N{EN DASH}", "\N{EM DASH}")
# What exports write where there is no number.
_NO_NUMBERS: Final = frozenset({"none", "null", "nan", "nil", "undefined"})
_APOSTROPHES: Final = "'`\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"


def is_account_no(text: str) -> bool:
    """Return True if this is an account number as a new account may have it."""
    return bool(_NUMBER.fullmatch(text)) and bool(_HAS_SUBSTANCE.search(text))


@dataclass(frozen=True)
class AccountRules:
    r"""The two settings: whether case counts, and which realms are no part of the number.

    A realm that ends in a backslash or a slash stands before the number (`GUET\`), any other after it
    (`@cmcc`). The case of realms never counts.
    """

    ignore_case: bool = True
    realms: tuple[str, ...] = DEFAULT_REALMS

    def parse(self, typed: str) -> str | None:
        """Return the account number in this text, or None. Blanks within it do not count."""
        if len(typed) > TYPED_LONGEST:
            return None
        visible = "".join(c for c in half_width(typed) if not is_blank(c))
        number = self.strip_realm(visible)
        return number if is_account_no(number) else None

    def parse_cell(self, cell: str) -> str:
        """Return the account number in a cell of a table, unwrapped from what spreadsheets do to numbers.

        Raises:
            CellError: no account number, or one that lost digits.
        """
        text = clean(half_width(cell))
        if wrapped := _AS_FORMULA.fullmatch(text):
            text = clean(wrapped[1])
        if text[:1] in _APOSTROPHES:
            text = clean(text[1:])
        if not text:
            raise CellError("账号为空")
        if whole := _WHOLE.fullmatch(text):
            text = whole[1]
        if _SCIENTIFIC.fullmatch(text):
            raise CellError(f"账号“{excerpt(cell)}”被表格软件写成了科学计数法，请按文本格式重新导出")
        number = self.strip_realm(text)
        if number[:1] in _SIGNS:
            raise CellError(f"账号“{excerpt(cell)}”带有正负号")
        if not is_account_no(number) or _FRACTION.fullmatch(number) or number.casefold() in _NO_NUMBERS:
            raise CellError(f"“{excerpt(cell)}”不是账号")
        return number

    def strip_realm(self, text: str) -> str:
        """Return the text without the realms of the settings, at most one before and one after it."""
        folded = text.casefold() if text.isascii() else text
        for realm in self.realms:
            if is_prefix(realm) and folded.startswith(realm.casefold()):
                text, folded = text[len(realm) :], folded[len(realm) :]
                break
        for realm in self.realms:
            if not is_prefix(realm) and folded.endswith(realm.casefold()):
                return text[: -len(realm)]
        return text

    def is_same(self, one: str, other: str) -> bool:
        """Return True if two texts are one account number, in whatever spelling."""
        return self.key(self.parse(one) or one) == self.key(self.parse(other) or other)

    def key(self, account_no: str) -> str:
        """Return what is equal for two spellings of one account."""
        number = self.strip_realm(account_no)
        return number.lower() if self.ignore_case else number


DEFAULT_RULES: Final = AccountRules()


def is_prefix(realm: str) -> bool:
    """Return True if this realm stands before the number."""
    return realm.endswith(("\\", "/"))
