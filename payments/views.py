"""An order as a person sees it: one value for pages, chat and command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models.money import yuan
from models.order import CREDIT_VOID, Credit, CreditStatus, Order, OrderStatus
from models.refund import NOTHING_BACK, MoneyBack
from models.swap import SwapIntent, SwapStatus


class Step(StrEnum):
    """Where the money is; REFUNDING and REFUNDED only where it never went to the account."""

    UNPAID = "unpaid"
    CREDITING = "crediting"
    CREDITED = "credited"
    CLOSED = "closed"
    ATTENTION = "attention"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


TITLES = {
    Step.UNPAID: "待支付",
    Step.CREDITING: "入账中",
    Step.CREDITED: "已到账",
    Step.CLOSED: "已关闭",
    Step.ATTENTION: "人工处理中",
    Step.REFUNDING: "退款中",
    Step.REFUNDED: "已退款",
}

# How a recharge with a swap ended.
SWAP_TITLES = {SwapStatus.DONE: "已到账，换购成功", SwapStatus.REFUSED: "已到账，套餐未能换购"}

STEP_LABELS = ("提交订单", "支付完成", "正在入账", "充值成功")
# How many of STEP_LABELS are behind an order in each step.
STEPS_DONE = {
    Step.UNPAID: 1,
    Step.CREDITING: 2,
    Step.ATTENTION: 2,
    Step.CREDITED: 4,
    Step.CLOSED: 1,
    Step.REFUNDING: 2,
    Step.REFUNDED: 2,
}


@dataclass(frozen=True)
class OrderView:
    """Amounts in fen, times aware UTC. `balance_after_fen` only where billing reported one.

    `then_package` is the name of the package that the money is to be swapped for, `swap` how far that is and
    `swap_refusal` the code of what spoke against it.
    `back` counts all refunds of the order, also those of a second payment.
    """

    id: int
    order_no: str
    account_no: str
    masked_name: str
    amount_fen: int
    source: str
    step: Step
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    credited_at: datetime | None
    balance_after_fen: int | None
    transaction_id: str | None
    late: bool
    then_package: str | None = None
    swap: SwapStatus | None = None
    swap_refusal: str | None = None
    back: MoneyBack = NOTHING_BACK

    @property
    def title(self) -> str:
        """The step in Chinese."""
        return TITLES[self.step]

    @property
    def outcome(self) -> str:
        """The same, with how a swap ended: what a screen reader is told."""
        return self.title if self.swap is None else SWAP_TITLES.get(self.swap, self.title)

    @property
    def payable(self) -> bool:
        """Whether the pay button makes sense."""
        return self.step is Step.UNPAID

    @property
    def going_back(self) -> bool:
        """Whether the order's own money goes back instead of to the account."""
        return self.step in (Step.REFUNDING, Step.REFUNDED)

    @property
    def refund_text(self) -> str:
        """What of the money is on its way back and what is there, in Chinese; empty without refunds."""
        parts = (("退款中", self.back.under_way_fen), ("已退款", self.back.returned_fen))
        return "，".join(f"{word} ¥{yuan(fen)}" for word, fen in parts if fen)

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen by itself within minutes: a page may stop asking."""
        if self.step is Step.CREDITED:
            return self.swap is not SwapStatus.WAITING
        return self.step is Step.CLOSED or self.going_back


def view_of(
    order: Order,
    credit: Credit | None,
    swap: SwapIntent | None = None,
    back: MoneyBack = NOTHING_BACK,
) -> OrderView:
    """Order, credit, swap and refunds as one value."""
    credited = credit is not None and credit.status == CreditStatus.CREDITED
    return OrderView(
        id=order.id,
        order_no=order.order_no,
        account_no=order.account_no,
        masked_name=order.masked_name,
        amount_fen=order.amount_fen,
        source=order.source,
        step=_step(order, credit, back),
        created_at=order.created_at,
        expires_at=order.expires_at,
        paid_at=order.paid_at,
        credited_at=credit.changed_at if credit is not None and credited else None,
        balance_after_fen=credit.balance_after_fen if credit is not None and credited else None,
        transaction_id=order.transaction_id,
        late=order.late,
        then_package=swap.package_name if swap else None,
        swap=SwapStatus(swap.status) if swap else None,
        swap_refusal=swap.reason if swap else None,
        back=back,
    )


def steps(view: OrderView) -> list[tuple[str, str]]:
    """The progress bar: each label with `done`, `now` or `todo`."""
    done = STEPS_DONE[view.step]
    labels = list(STEP_LABELS)
    if view.step is Step.UNPAID:
        labels[1] = "等待支付"
    return [
        (label, "done" if index < done else "now" if index == done else "todo")
        for index, label in enumerate(labels)
    ]


def _step(order: Order, credit: Credit | None, back: MoneyBack) -> Step:
    if order.status in (OrderStatus.CREATED, OrderStatus.PREPAID):
        return Step.UNPAID
    if order.status in (OrderStatus.CLOSED, OrderStatus.EXPIRED):
        return Step.CLOSED
    if credit is not None and credit.status in CREDIT_VOID:
        return _step_back(order, back)
    if credit is None or credit.status in (CreditStatus.MANUAL, CreditStatus.REJECTED):
        return Step.ATTENTION
    return Step.CREDITED if credit.status == CreditStatus.CREDITED else Step.CREDITING


def _step_back(order: Order, back: MoneyBack) -> Step:
    """A credit was voided for a refund; when that failed, people find another way."""
    if back.under_way_fen:
        return Step.REFUNDING
    return Step.REFUNDED if back.returned_fen >= order.amount_fen else Step.ATTENTION
