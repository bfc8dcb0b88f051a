"""Direction, currency and status of money as banks write them. A word that is not known is an error."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from models.values.tables.errors import CellError
from models.values.tables.text import clean, excerpt, half_width


class Direction(StrEnum):
    """Seen from the owner of the bank account."""

    IN = "in"
    OUT = "out"


class Outcome(StrEnum):
    """What became of a movement."""

    DONE = "done"
    FAILED = "failed"
    REVERSED = "reversed"
    PENDING = "pending"


def _table(**words: str) -> dict[str, str]:
    return {word: meaning for meaning, text in words.items() for word in text.split()}


_DIRECTIONS: Final = _table(
    IN=(
        "贷 贷方 贷记 收 收入 收款 进 进账 入 入账 转入 汇入 存入 来账 来帐 c cr credit in income + "
        "贷(收入) 收入(贷) 贷-收入"
    ),
    OUT=(
        "借 借方 借记 付 支 支出 付款 出 出账 转出 汇出 支取 往账 往帐 d dr debit out outgoing expense - "
        "借(支出) 支出(借) 借-支出"
    ),
)
_CURRENCIES: Final = _table(
    CNY=(
        "cny rmb 156 01 人民币 人民币元 元 ¥ 人民币(cny) 人民币cny cny人民币 cny-人民币 人民币rmb "
        "156-人民币 01-人民币"
    )
)
_OUTCOMES: Final = _table(
    DONE=(
        "成功 交易成功 处理成功 支付成功 转账成功 已支付 已付款 已入账 已到账 入账成功 完成 已完成 正常 "
        "success succeeded successful ok paid done completed"
    ),
    FAILED=(
        "失败 交易失败 处理失败 支付失败 转账失败 未成功 不成功 退回 已退回 退票 退汇 已退汇 拒绝 已拒绝 "
        "作废 已作废 关闭 已关闭 fail failed failure rejected returned cancelled canceled closed"
    ),
    REVERSED=(
        "冲正 已冲正 被冲正 冲销 已冲销 撤销 已撤销 抹账 已抹账 红冲 退款 已退款 失败已冲正 "
        "reversed reversal revoked refunded"
    ),
    PENDING=(
        "处理中 交易处理中 待处理 未处理 待入账 未入账 待确认 未确认 受理中 已受理 待审核 在途 "
        "挂账 未知 processing pending unknown accepted"
    ),
)
# Columns that say whether a row was reversed, and nothing else.
_REVERSED: Final = _table(
    DONE="否 未冲正 正常 n no 0 false", REVERSED="是 已冲正 冲正 被冲正 冲销 撤销 已撤销 y yes 1 true"
)


def parse_direction(cell: str) -> Direction:
    """Return the direction of 借/贷, 收入/支出, 转入/转出, 来账/往账, D/C or DR/CR. Raises: CellError."""
    return Direction[_meaning(cell, _DIRECTIONS, "收支方向")]


def parse_currency(cell: str) -> str:
    """Return `CNY` for the yuan under any of its names. Raises: CellError - another currency, or none."""
    return _meaning(cell, _CURRENCIES, "币种", "不是人民币，或看不懂的币种")


def parse_outcome(cell: str) -> Outcome:
    """Return what became of a movement: 成功, 失败, 已冲正, 处理中 and the like. Raises: CellError."""
    return Outcome[_meaning(cell, _OUTCOMES, "交易状态")]


def parse_reversed(cell: str) -> Outcome:
    """Return REVERSED or DONE from a column that only tells whether a row was reversed. Raises: CellError."""
    return Outcome[_meaning(cell, _REVERSED, "冲正标志")]


def _meaning(cell: str, known: dict[str, str], what: str, unknown: str = "") -> str:
    word = "".join(clean(half_width(cell)).split()).lower()
    if not word:
        raise CellError(f"缺少{what}")
    if word not in known:
        raise CellError(f"{unknown or f'看不懂的{what}'}“{excerpt(cell)}”")
    return known[word]
