"""What the drill itself wrote down, and what WeChat and the bank say, beside the balances after recovery.

Nothing here reads orders, payments or refunds of ours: an account must hold what it opened with, plus what
WeChat kept for it, minus the packages it bought and what the bank paid out of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.ledger import Account
from models.payout import PartStatus, PayoutPart
from models.review import ReviewItem, ReviewStatus


@dataclass
class Diary:
    """Who paid for which account, in fen; written by the drill while it goes on."""

    opening: dict[str, int] = field(default_factory=dict)
    account_of: dict[str, str] = field(default_factory=dict)
    bought: Counter[str] = field(default_factory=Counter)
    approved: dict[str, int] = field(default_factory=dict)
    payout_account: dict[str, str] = field(default_factory=dict)
    paid_by_bank: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, out_trade_no: str, account_no: str) -> None:
        """Someone was about to pay this number for this account."""
        with self.lock:
            self.account_of[out_trade_no] = account_no

    def purchase(self, account_no: str, price_fen: int) -> None:
        """A package was bought."""
        with self.lock:
            self.bought[account_no] += price_fen

    def payout(self, part_no: str, account_no: str, amount_fen: int) -> None:
        """Two operators agreed to a payout by bank."""
        with self.lock:
            self.approved[part_no] = amount_fen
            self.payout_account[part_no] = account_no


@dataclass(frozen=True)
class Verdict:
    """`lost_fen`: less on an account than there should be; `doubled_fen`: more, or payable a second time."""

    lost_fen: int
    doubled_fen: int
    details: list[str]
    open_items: list[str]


def compare(session: Session, diary: Diary, paid: dict[str, int], refunded: dict[str, int]) -> Verdict:
    """Compare every account, then every payout.

    Args:
        paid, refunded: fen by out_trade_no, as the simulated WeChat has them.
    """
    expected = Counter(diary.opening)
    for number, account_no in diary.account_of.items():
        expected[account_no] += paid.get(number, 0) - refunded.get(number, 0)
    for account_no, fen in diary.bought.items():
        expected[account_no] -= fen
    for part_no, fen in diary.approved.items():
        expected[diary.payout_account[part_no]] -= fen
    balances = {row.account_no: row.balance_fen for row in session.scalars(select(Account))}
    differences = {
        account_no: balances.get(account_no, 0) - fen
        for account_no, fen in expected.items()
        if balances.get(account_no, 0) != fen
    }
    details = [f"account {account_no}: {fen:+d} fen" for account_no, fen in sorted(differences.items())]
    lost = -sum(fen for fen in differences.values() if fen < 0)
    doubled = sum(fen for fen in differences.values() if fen > 0)
    for part_no, fen in diary.approved.items():
        part = session.scalar(select(PayoutPart).where(PayoutPart.part_no == part_no))
        if part is None:
            # Off no account: the difference of the balance has counted it.
            continue
        payable = part.status in (PartStatus.WITHDRAWN, PartStatus.LISTED) and not part.fate_unknown
        if part_no in diary.paid_by_bank and payable:
            doubled += fen
            details.append(f"payout {part_no}: the bank has paid it, and it can be listed again")
    query = select(ReviewItem).where(ReviewItem.status != ReviewStatus.CLOSED).order_by(ReviewItem.id)
    items = [f"{item.kind} {item.key} {item.amount_fen or 0} fen" for item in session.scalars(query)]
    return Verdict(lost, doubled, details, items)
