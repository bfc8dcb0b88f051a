"""Refunds in one line: two people agree, billing gives back, WeChat's word is played."""

from __future__ import annotations

from sqlalchemy import select

from models.order import PaymentFact
from models.refund import Refund, RefundStatus
from models.values.actor import Actor
from payments import outbox
from payments.refunds import approval as refunds
from payments.refunds.facts import record_refund
from payments.refunds.freeing import free
from payments.services import Services
from payments.wechatpay.client import RefundTrade


def ask_back(services: Services, order_no: str, amount_fen: int) -> str:
    """A refund that waits for a second person; its number."""
    asked = refunds.request(
        services, order_no=order_no, amount_fen=amount_fen, reason="充错账号", actor=Actor.from_name("anna")
    )
    return asked.out_refund_no


def send_back(services: Services, order_no: str, amount_fen: int) -> str:
    """A refund that two people agreed to and WeChat works on; its number."""
    number = ask_back(services, order_no, amount_fen)
    refunds.approve(services, out_refund_no=number, actor=Actor.from_name("bert"))
    with services.transaction() as session:
        (held,) = outbox.claim(session, "test", now=services.clock(), limit=9, kinds=["refund"])
    assert free(services, held) is None
    hear(services, number, RefundStatus.PROCESSING)
    with services.transaction() as session:
        outbox.finish(session, held, now=services.clock())
    return number


def hear(services: Services, number: str, status: RefundStatus) -> None:
    """WeChat says what became of a refund."""
    now = services.clock()
    with services.transaction() as session:
        refund = session.scalars(select(Refund).where(Refund.out_refund_no == number)).one()
        paid = session.scalars(
            select(PaymentFact).where(PaymentFact.out_trade_no == refund.out_trade_no)
        ).one()
        fact = RefundTrade(
            out_refund_no=number,
            refund_id=f"50{number}",
            out_trade_no=refund.out_trade_no,
            transaction_id=paid.transaction_id,
            status=status,
            amount_fen=refund.amount_fen,
            total_fen=paid.amount_fen,
            currency="CNY",
            mch_id="",
            success_at=now if status == RefundStatus.SUCCESS else None,
        )
        record_refund(session, fact, cause="test", now=now)
