from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import AmountInvalid, AmountOutOfRange
from models.site import RechargeRules
from payments.amount import check_amount, least_amount, parse_amount


def rules(
    *, min_fen: int = 100, max_fen: int = 50_000, step_fen: int = 100, presets: tuple[int, ...] = (500, 1000)
) -> RechargeRules:
    return RechargeRules(
        presets_fen=presets,
        min_fen=min_fen,
        max_fen=max_fen,
        step_fen=step_fen,
        daily_limit_fen=100_000,
        order_ttl_s=900,
    )


DEFAULT = rules()
EVERY_FEN = rules(min_fen=1, max_fen=999_999, step_fen=1)


@pytest.mark.parametrize(
    ("text", "amount_fen"),
    [
        ("5", 500),
        (" 5 ", 500),
        ("5元", 500),
        ("5块", 500),
        ("5块钱", 500),
        ("5 元", 500),
        ("5圆整", 500),
        ("5.00", 500),
        ("5.0元", 500),
        ("¥5", 500),
        ("￥５", 500),
        ("¥ 5.00", 500),
        ("５", 500),
        ("５．００元", 500),
        ("\u3000２０\u3000元", 2000),
        ("5 yuan", 500),
        ("5YUAN", 500),
        ("RMB 5", 500),
        ("5cny", 500),
        ("005", 500),
        ("五块", 500),
        ("五元", 500),
        ("十", 1000),
        ("十五", 1500),
        ("一十五", 1500),
        ("二十块", 2000),
        ("两百", 20_000),
        ("二百", 20_000),
        ("一百零五", 10_500),
        ("一百〇五元", 10_500),
        ("一百一十", 11_000),
        ("伍拾圆整", 5000),
        ("500", 50_000),
        ("1", 100),
    ],
)
def test_people_may_write_an_amount_as_they_speak(text: str, amount_fen: int) -> None:
    assert parse_amount(text, DEFAULT) == amount_fen


def test_fen_are_understood_where_the_rules_allow_them() -> None:
    fine = rules(step_fen=1)
    assert parse_amount("5.05", fine) == 505
    assert parse_amount("5.5", fine) == 550
    assert parse_amount("五点零五元", fine) == 505
    assert parse_amount("十点五", fine) == 1050


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "元",
        "¥",
        "abc",
        "-5",
        "+5",
        "5e2",
        "1,000",
        "5.",
        ".5",
        "5..0",
        "5 5",
        "5元5元",
        "0x10",
        "٥",
        "5²",
        "①",
        "½",
        "nan",
        "inf",
        "五二",
        "一百五",
        "百",
        "五百百",
        "十十",
        "零五",
        "点五",
        "五点",
        "五点十",
        "万",
        "5\x00",
        "5\n6",
        "9" * 33,
        "充值",
        "<b>5</b>",
    ],
)
def test_whatever_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AmountInvalid, match="请输入数字"):
        parse_amount(text, DEFAULT)


@pytest.mark.parametrize("text", ["5.001", "5.000", "0.001", "五点零零一"])
def test_finer_than_one_fen_is_refused_and_says_so(text: str) -> None:
    with pytest.raises(AmountInvalid, match="两位小数"):
        parse_amount(text, rules(min_fen=1, step_fen=1))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", "最少 1 元"),
        ("零", "最少 1 元"),
        ("0.99", "最少 1 元"),
        ("501", "最多 500 元"),
        ("9" * 30, "最多 500 元"),
        ("两千", "最多 500 元"),
        ("5.50", "1 元的整数倍"),
    ],
)
def test_bounds_and_step_are_named_in_the_sentence(text: str, sentence: str) -> None:
    with pytest.raises(AmountOutOfRange, match=sentence) as caught:
        parse_amount(text, DEFAULT)
    assert caught.value.text.endswith("请重新输入")


def test_bounds_belong_to_the_range() -> None:
    narrow = rules(min_fen=550, max_fen=1050, step_fen=50)
    assert parse_amount("5.50", narrow) == 550
    assert parse_amount("10.50", narrow) == 1050
    with pytest.raises(AmountOutOfRange, match=r"最少 5\.50 元"):
        parse_amount("5", narrow)


DIGITS = "零一二三四五六七八九"


def spoken(number: int) -> str:
    """Written apart from the code: by cases, for 0 to 9999."""
    if number < 10:
        return DIGITS[number]
    for unit, name in ((1000, "千"), (100, "百"), (10, "十")):
        if number >= unit:
            head, rest = divmod(number, unit)
            gap = "零" if rest and rest < unit // 10 else ""
            return DIGITS[head] + name + (gap + spoken(rest) if rest else "")
    raise AssertionError


def full_width(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


@settings(deadline=None)
@given(
    amount_fen=st.integers(1, 999_999),
    before=st.sampled_from(["", "¥", "￥ ", "RMB", " "]),
    after=st.sampled_from(["", "元", "块", "块钱", " yuan", "圆", " "]),
    wide=st.booleans(),
    short=st.booleans(),
)
def test_any_amount_in_digits_comes_back(
    amount_fen: int, before: str, after: str, *, wide: bool, short: bool
) -> None:
    number = f"{amount_fen // 100}.{amount_fen % 100:02d}"
    if short:
        number = number.rstrip("0").rstrip(".")
    text = before + (full_width(number) if wide else number) + after
    assert parse_amount(text, EVERY_FEN) == amount_fen


@settings(deadline=None)
@given(amount_fen=st.integers(1, 999_999), after=st.sampled_from(["", "元", "块"]))
def test_any_amount_in_words_comes_back(amount_fen: int, after: str) -> None:
    yuan, fen = divmod(amount_fen, 100)
    text = spoken(yuan) + (f"点{DIGITS[fen // 10]}{DIGITS[fen % 10]}" if fen else "") + after
    assert parse_amount(text, EVERY_FEN) == amount_fen


@settings(deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="0123456789.¥元块零一二两三五十百千点 -eE,", max_size=40))
def test_junk_is_refused_by_name_or_is_an_amount_in_range(text: str) -> None:
    try:
        amount_fen = parse_amount(text, DEFAULT)
    except (AmountInvalid, AmountOutOfRange):
        return
    assert DEFAULT.min_fen <= amount_fen <= DEFAULT.max_fen
    assert amount_fen % DEFAULT.step_fen == 0


@given(
    needed_fen=st.integers(-1000, 50_000),
    min_fen=st.integers(1, 2000),
    step_fen=st.sampled_from((1, 50, 100, 500, 700)),
)
def test_the_least_amount_is_enough_and_no_smaller_one_is(
    needed_fen: int, min_fen: int, step_fen: int
) -> None:
    bounds = rules(min_fen=min_fen, max_fen=100_000, step_fen=step_fen)
    least_fen = least_amount(needed_fen, bounds)
    check_amount(least_fen, bounds)
    assert least_fen >= needed_fen
    smaller_fen = least_fen - step_fen
    assert smaller_fen < needed_fen or smaller_fen < min_fen


@pytest.mark.parametrize(("needed_fen", "least_fen"), [(766, 800), (800, 800), (1, 100), (-500, 100)])
def test_what_is_missing_is_rounded_up_to_whole_yuan(needed_fen: int, least_fen: int) -> None:
    assert least_amount(needed_fen, DEFAULT) == least_fen
