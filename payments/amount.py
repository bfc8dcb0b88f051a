"""What a person typed as an amount, in fen. Pure; the bounds are an argument."""

from __future__ import annotations

import re2

from models.errors import AmountInvalid, AmountOutOfRange
from models.money import FEN_PER_YUAN, yuan_short
from models.site import RechargeRules

LONGEST_TEXT = 32
FEN_DIGITS = 2

_CURRENCY_BEFORE = re2.compile(r"^(?:¥|rmb|cny)\s*")
_CURRENCY_AFTER = re2.compile(r"\s*(?:元钱|块钱|元整|圆整|元|块|圆|yuan|rmb|cny)$")
_NUMBER = re2.compile(r"([0-9]+)(?:\.([0-9]+))?")

# Full-width forms of ASCII, and of the space and the yen sign beside them. Not NFKC: it makes 52 of 5².
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xFFE5: 0xA5}

_DIGITS = "零一二三四五六七八九"
_UNITS = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))
_SPOKEN_MAX = 9999
# Other ways to write the same numerals; `两` stands for two of anything.
_VARIANTS = str.maketrans("〇两俩壹贰叁肆伍陆柒捌玖拾佰仟點", "零二二一二三四五六七八九十百千点")


def parse_amount(text: str, rules: RechargeRules) -> int:
    """The amount in fen of `5`, `5元`, `¥5.00`, `５块`, `5 yuan`, `五块`, `十五`, `两百`, `五点五`.

    Raises: AmountInvalid - no amount, or finer than one fen; AmountOutOfRange - outside `rules`.
        Both carry a sentence for the person.
    """
    amount_fen = _fen(_bare_number(text))
    check_amount(amount_fen, rules)
    return amount_fen


def check_amount(amount_fen: int, rules: RechargeRules) -> None:
    """Raises: AmountOutOfRange - below, above or beside the step; with a sentence for the person."""
    if amount_fen < rules.min_fen:
        raise AmountOutOfRange(f"单次充值最少 {yuan_short(rules.min_fen)} 元，请重新输入")
    if amount_fen > rules.max_fen:
        raise AmountOutOfRange(f"单次充值最多 {yuan_short(rules.max_fen)} 元，请重新输入")
    if amount_fen % rules.step_fen:
        raise AmountOutOfRange(f"充值金额须是 {yuan_short(rules.step_fen)} 元的整数倍，请重新输入")


def least_amount(needed_fen: int, rules: RechargeRules) -> int:
    """The smallest recharge by the rules that brings `needed_fen`; above their maximum it is refused."""
    wanted_fen = max(needed_fen, rules.min_fen)
    return -(-wanted_fen // rules.step_fen) * rules.step_fen


def _not_a_number() -> AmountInvalid:
    return AmountInvalid("没有看懂这个金额，请输入数字，例如 20")


def _bare_number(text: str) -> str:
    """The number alone, half-width and lower case, without the currency around it."""
    if len(text) > LONGEST_TEXT:
        raise _not_a_number()
    plain = text.translate(_HALF_WIDTH).strip().lower()
    bare: str = _CURRENCY_AFTER.sub("", _CURRENCY_BEFORE.sub("", plain))
    return bare


def _fen(number: str) -> int:
    match = _NUMBER.fullmatch(number) or _NUMBER.fullmatch(_in_digits(number))
    if match is None:
        raise _not_a_number()
    whole, rest = match[1], match[2] or ""
    if len(rest) > FEN_DIGITS:
        raise AmountInvalid("金额最多精确到分，也就是两位小数，例如 5.50")
    return int(whole) * FEN_PER_YUAN + int(rest.ljust(FEN_DIGITS, "0"))


def _in_digits(numeral: str) -> str:
    """A Chinese numeral in Arabic digits; empty when it is none."""
    whole, point, rest = numeral.translate(_VARIANTS).partition("点")
    value = _spoken_value(whole)
    if value is None or (point and not rest) or any(letter not in _DIGITS for letter in rest):
        return ""
    return f"{value}.{''.join(str(_DIGITS.index(letter)) for letter in rest)}" if point else str(value)


def _spoken_value(numeral: str) -> int | None:
    """The value of a numeral up to 9999, None when it is not written as it is spoken.

    Adding up is generous (`五二` would be seven), so the sum is spoken again and compared: an
    amount is understood exactly or not at all. `一百五` is refused, too: some mean 150 by it.
    """
    names = {name: unit for unit, name in _UNITS if name}
    full = "一" + numeral if numeral.startswith("十") else numeral
    value, digit = 0, 0
    for letter in full:
        if letter in _DIGITS:
            digit = _DIGITS.index(letter)
        elif letter in names:
            value, digit = value + digit * names[letter], 0
        else:
            return None
    value += digit
    return value if value <= _SPOKEN_MAX and _spoken(value) == full else None


def _spoken(value: int) -> str:
    """A number from 0 to 9999 in Chinese, 一十五 for fifteen."""
    text, gap = "", False
    for unit, name in _UNITS:
        digit, value = divmod(value, unit)
        if digit:
            text += ("零" if gap and text else "") + _DIGITS[digit] + name
            gap = False
        else:
            gap = True
    return text or _DIGITS[0]
