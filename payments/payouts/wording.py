"""What a part for the bank says to the owner of the account, in messages of its own accord."""

from __future__ import annotations

from datetime import datetime

from models.money import yuan
from models.payout import PartStatus, Payout, PayoutPart
from models.tidings import Tidings, of_money

# Headline, the few characters that a template has room for, and what happens next.
SAID: dict[PartStatus, tuple[str, str, str]] = {
    PartStatus.LISTED: (
        "退费已提交银行转账",
        "转账中",
        "已列入银行转账名单，转账结果会再通知您。",
    ),
    PartStatus.PAID: (
        "退费已转账",
        "已转账",
        "银行已转出，到账时间以收款银行为准，请查看银行卡的收支明细。",
    ),
    PartStatus.WITHDRAWN: (
        "退费转账未成功",
        "转账失败",
        "银行没有转出这笔钱，钱仍为您保留。请联系我们核对户名、开户行和卡号，核对后会重新转账。",
    ),
}


def moved(payout: Payout, part: PayoutPart, *, at: datetime) -> Tidings:
    """The part has come to the state it is in: on a list, paid, or given back by the bank."""
    headline, short, next_step = SAID[PartStatus(part.status)]
    text = "\n".join(
        [
            headline,
            f"金额：{yuan(part.amount_fen)} 元",
            f"收款银行卡：尾号 {payout.bank_account[-4:]}",
            f"退费编号：{part.part_no}",
            next_step,
        ]
    )
    return of_money(
        text,
        account_no=payout.account_no,
        amount_fen=part.amount_fen,
        state=short,
        at=at,
        path="/go/payout",
    )
