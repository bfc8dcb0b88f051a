"""Every use case that needs two operators, tried by one person under many spellings of one name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models.counter import ReturnItem, ReturnReason, ReturnStatus, Way
from models.errors import Refused
from models.payout import PayoutPart
from models.recovery import UnderMaintenance
from models.review import ReviewItem
from models.values.actor import Actor
from payments import account_closing
from payments.adjustments import approval as adjustments
from payments.counter import desk
from payments.counter import returns as counter_returns
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.recovery.opening import open_recovery
from payments.refunds import approval as refunds
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.payouts.payout_world import ACCOUNT, BANK, NAME, PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT

EVIDENCE = "微信商户平台截图 20260310-17"
FIRST = "张三a"
SPELLINGS = ["张三a", "张 三a", "张三a\u200b", "张三a（财务）", "张三ａ", "张三A", " 张三a [cw]"]
# Takes the first operator; returns what the second one does.
Case = Callable[[PayoutWorld, Actor], Callable[[Actor], object]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("two"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.check_books()
    built.close()


def refund(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    number = world.asked(world.paid(credited=True), actor=first)
    return lambda second: refunds.approve(world.services, out_refund_no=number, actor=second)


def payout(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    world.cash(2000)
    number = world.requested(actor=first).payout_no
    return lambda second: payouts.approve(world.services, payout_no=number, actor=second)


def payout_of_the_owner(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    world.cash(2000)
    view = payouts.ask_as_owner(world.services, account_no=ACCOUNT, payee=NAME, **BANK)
    payouts.approve(world.services, payout_no=view.payout_no, actor=first)
    return lambda second: payouts.approve(world.services, payout_no=view.payout_no, actor=second)


def listed(world: PayoutWorld) -> str:
    world.cash(2000)
    world.agreed()
    world.work()
    with world.database.reading() as session:
        return session.scalars(select(PayoutPart.part_no)).one()


def list_after_a_failure(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    part_no = listed(world)
    transfer_list.make_list(world.services, actor=first)
    transfer_list.mark_failed(world.services, part_no=part_no, actor=first, reason="退票")
    return lambda second: transfer_list.make_list(world.services, actor=second)


def list_after_new_bank_details(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    transfer_list.correct_bank(
        world.services, part_no=listed(world), bank_name="b", bank_account="62220001", actor=first
    )
    return lambda second: transfer_list.make_list(world.services, actor=second)


def item_of(world: PayoutWorld) -> int:
    """A refund that WeChat refuses for good."""
    number = world.approved(world.paid(credited=True))
    world.fault("account_abnormal")
    world.work()
    with world.database.reading() as session:
        return session.scalars(select(ReviewItem.id).where(ReviewItem.key == number)).one()


def review(action: str) -> Case:
    def case(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
        item_id = item_of(world)
        reviews.propose(world.services, item_id, action=action, actor=first, evidence=EVIDENCE)
        return lambda second: reviews.approve(world.services, item_id, actor=second)

    return case


def adjustment(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    wanted = adjustments.Wanted(ACCOUNT, 100, "补偿", EVIDENCE)
    number = adjustments.request(world.services, wanted, actor=first).adjustment_no
    return lambda second: adjustments.approve(world.services, adjustment_no=number, actor=second)


def closing(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    account_closing.request(world.services, account_no=ACCOUNT, actor=first)
    return lambda second: account_closing.approve(world.services, account_no=ACCOUNT, actor=second)


def sent_back_and_returned(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    """Attack b4: who decides that a transfer goes back does not hand it out."""
    with world.database.transaction() as session:
        session.add(
            ReturnItem(
                return_no="tbank1",
                way=Way.TRANSFER,
                reference="B0000001",
                amount_fen=2000,
                reason=ReturnReason.DECIDED,
                status=ReturnStatus.OPEN,
                opened_by=first.name,
                opened_at=world.clock.now(),
            )
        )
    return lambda second: counter_returns.give_back(
        world.services, return_no="tbank1", clerk=second, evidence="退汇 B0000099"
    )


def transfer_refused_and_returned(world: PayoutWorld, first: Actor) -> Callable[[Actor], object]:
    booked = desk.take(
        world.services,
        clerk=first,
        receipt_no="A0001",
        account_no=ACCOUNT,
        name=NAME,
        amount_fen=501,
        way=Way.TRANSFER,
        reference="B0000001",
    )
    assert booked.return_item is not None
    number = booked.return_item.return_no
    return lambda second: counter_returns.give_back(
        world.services, return_no=number, clerk=second, evidence="退汇 B0000099"
    )


CASES: dict[str, Case] = {
    "refund": refund,
    "payout": payout,
    "payout of the owner": payout_of_the_owner,
    "list after a failure": list_after_a_failure,
    "list after new bank details": list_after_new_bank_details,
    "review: put back": review("put-back"),
    "review: pay by bank": review("pay-by-bank"),
    "review: dismiss": review("dismiss"),
    "review: owe": review("owe"),
    "adjustment": adjustment,
    "closing": closing,
    "send back and return": sent_back_and_returned,
    "refused transfer and return": transfer_refused_and_returned,
}


@pytest.mark.parametrize("name", CASES)
def test_one_person_under_any_spelling_is_refused_and_a_second_one_is_not(
    world: PayoutWorld, name: str
) -> None:
    second = CASES[name](world, Actor.from_name(FIRST))
    for spelling in SPELLINGS:
        with pytest.raises(Refused) as caught:
            second(Actor.from_name(spelling))
        assert caught.value.code == "E-TWO", spelling
    second(Actor.from_name("李四"))
    world.work()


def test_cash_refused_at_the_counter_goes_back_by_one_clerk_and_is_recorded(world: PayoutWorld) -> None:
    world.take(501, "A0001")
    item = counter_returns.give_back(world.services, return_no="tA0001", clerk=ANNA, evidence="签收单 1")
    assert (item.status, item.returned_by, item.opened_by) == (ReturnStatus.RETURNED, "anna", "anna")


def test_nothing_is_handed_out_while_a_restored_database_is_recovered(world: PayoutWorld) -> None:
    world.take(501, "A0001")
    now = world.services.clock()
    with world.services.transaction() as session:
        open_recovery(session, since=now, backup_no="b1", actor="anna", now=now)
    with pytest.raises(UnderMaintenance):
        counter_returns.give_back(world.services, return_no="tA0001", clerk=ANNA, evidence="签收单 1")


def test_a_clerk_has_one_day_under_all_spellings(world: PayoutWorld) -> None:
    """Attack b8: after the close nothing is booked under another spelling; open days are listed."""

    def take(receipt_no: str, clerk: str) -> None:
        desk.take(
            world.services,
            clerk=Actor.from_name(clerk),
            receipt_no=receipt_no,
            account_no=ACCOUNT,
            name=NAME,
            amount_fen=500,
            way=Way.CASH,
        )

    take("A0001", "anna")
    take("A0002", "Anna")
    take("A0003", "ａｎｎａ（窗口）")
    day = desk.day(world.services, clerk=Actor.from_name("ANNA"))
    assert (day.clerk, day.booked_cash_fen) == ("anna", 1500)
    world.clock.advance(86400)
    (open_day,) = desk.open_days(world.services)
    assert (open_day.on, open_day.booked_cash_fen, open_day.closed) == (day.on, 1500, False)
    desk.close_day(world.services, clerk=Actor.from_name("Anna"), counted_cash_fen=1500, on=day.on)
    assert desk.open_days(world.services) == []
    desk.close_day(world.services, clerk=ANNA, counted_cash_fen=0)
    with pytest.raises(Refused, match="已结账"):
        take("A0004", "Anna")
    take("A0004", BERT.name)
