"""The list for the bank: what is owed stands on one list at a time, and is paid once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.notices import fit
from models.clock import CAMPUS_ZONE
from models.errors import IllegalTransition, Refused
from models.outbox import OutboxItem
from models.payout import PartStatus, move_part
from models.person import bind, unbind
from models.values.actor import Actor
from models.values.tables.errors import TableRefused
from payments.payouts import transfer_list as payout_list
from payments.payouts.approval import NoSuchPayout
from payments.payouts.wording import SAID
from payments.refunds.approval import SamePerson
from sandbox.credentials import Credentials
from tests.builders import NOON
from tests.models_of_money.world import PEOPLE, make_template
from tests.payments.payouts.payout_world import ACCOUNT, PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def test_a_payment_that_the_bank_could_not_make_stands_on_the_next_list(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    world.work()
    part_no = view.parts[0].part_no
    first = payout_list.make_list(world.services, actor=BERT)
    assert first is not None
    with pytest.raises(IllegalTransition):
        payout_list.correct_bank(
            world.services, part_no=part_no, bank_name="b", bank_account="12345678", actor=BERT
        )
    payout_list.mark_failed(world.services, part_no=part_no, actor=BERT, reason="户名不符")
    for bank_name, bank_account in [
        ("", "62220001"),
        ("银" * 65, "62220001"),
        ("另一银行", "6222"),
        ("另一银行", "6" * 31),
        ("另一银行", "６２２２０００１"),
    ]:
        with pytest.raises(Refused):
            payout_list.correct_bank(
                world.services, part_no=part_no, bank_name=bank_name, bank_account=bank_account, actor=BERT
            )
    payout_list.correct_bank(
        world.services, part_no=part_no, bank_name="另一银行", bank_account="62220001", actor=BERT
    )
    with pytest.raises(SamePerson):
        payout_list.make_list(world.services, actor=Actor.from_name(f" {BERT.name.upper()}"))
    second = payout_list.make_list(world.services, actor=ANNA)
    assert second is not None
    assert second != first
    (row,) = payout_list.rows_of(world.services, second)
    assert (row.bank_name, row.bank_account) == ("另一银行", "62220001")
    with pytest.raises(NoSuchPayout):
        payout_list.rows_of(world.services, first)
    payout_list.mark_paid(world.services, part_no=part_no, actor=BERT)
    with pytest.raises(IllegalTransition):
        payout_list.mark_failed(world.services, part_no=part_no, actor=BERT, reason="late")
    assert world.balance_fen() == 0
    world.check_books()


def told(world: PayoutWorld, openid: str) -> list[str]:
    """The headline and the card of every message about a payout to this person, oldest first."""
    with world.database.reading() as session:
        query = select(OutboxItem).where(OutboxItem.kind == "message", OutboxItem.key.like("payout-%"))
        rows = [row.payload for row in session.scalars(query.order_by(OutboxItem.id))]
    texts = [row["text"] for row in rows if row["openid"] == openid]
    assert all("收款银行卡：尾号 5678" in text and "6222" not in text for text in texts)
    assert all("金额：20.00 元" in text for text in texts)
    return [text.partition("\n")[0] for text in texts]


def test_the_owner_is_told_of_every_step_once(world: PayoutWorld, tmp_path: Path) -> None:
    with world.database.transaction() as session:
        bind(session, PEOPLE[1], ACCOUNT, world.clock.now())
    world.cash(2000)
    view = world.agreed()
    world.work()
    part_no = view.parts[0].part_no
    assert told(world, PEOPLE[0]) == []
    payout_list.make_list(world.services, actor=BERT)
    assert payout_list.make_list(world.services, actor=BERT) is None
    assert told(world, PEOPLE[0]) == ["退费已提交银行转账"]
    for _ in range(2):
        payout_list.mark_failed(world.services, part_no=part_no, actor=BERT, reason="户名不符")
    with world.database.transaction() as session:
        unbind(session, PEOPLE[1], world.clock.now())
    list_no = payout_list.make_list(world.services, actor=ANNA)
    path = tmp_path / "result.csv"
    path.write_text(f"名单号,编号,结果\n{list_no},{part_no},成功\n", encoding="utf-8")
    for _ in range(2):
        payout_list.read_result(world.services, path, actor=BERT)
    steps = ["退费已提交银行转账", "退费转账未成功", "退费已提交银行转账", "退费已转账"]
    assert told(world, PEOPLE[0]) == steps
    # Whoever gives the account up hears no more of it.
    assert told(world, PEOPLE[1]) == steps[:2]
    world.check_books()


def test_what_a_template_says_fits_its_fields() -> None:
    for headline, short, _ in SAID.values():
        assert fit("thing1", headline) == headline
        assert fit("phrase1", short) == short


def test_the_bank_s_results_are_read_once(world: PayoutWorld, tmp_path: Path) -> None:
    world.cash(2000)
    view = world.agreed()
    world.work()
    part_no = view.parts[0].part_no
    list_no = payout_list.make_list(world.services, actor=BERT)
    path = tmp_path / "result.csv"

    def read(*rows: str) -> payout_list.Result:
        path.write_text("\n".join(["名单号,编号,金额,结果", *rows]), encoding="gb18030")
        return payout_list.read_result(world.services, path, actor=BERT)

    odd = read(f"{list_no},{part_no},20.00,", f"{list_no},nobody,1,成功", f"L0,{part_no},20.00,成功")
    assert (odd.paid, len(odd.faults)) == (0, 3)
    assert world.states(view) == [PartStatus.LISTED]
    assert read(f"{list_no},{part_no},20.00,失败").failed == 1
    with pytest.raises(SamePerson):
        payout_list.make_list(world.services, actor=BERT)
    again = payout_list.make_list(world.services, actor=ANNA)
    old = read(f"{list_no},{part_no},20.00,失败")
    assert (old.failed, len(old.faults)) == (0, 1)
    assert read(f"{again},{part_no},20.00,成功").paid == 1
    assert read(f"{again},{part_no},20.00,成功").known == 1
    path.write_text("编号\n1\n", encoding="utf-8")
    with pytest.raises(TableRefused):
        payout_list.read_result(world.services, path, actor=BERT)


def test_what_is_not_off_the_account_is_on_no_list_and_cannot_be_paid(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    part_no = view.parts[0].part_no
    for state in (PartStatus.WAITING, PartStatus.SENDING):
        assert world.part(part_no).status == state
        assert payout_list.make_list(world.services, actor=BERT) is None
        with pytest.raises(IllegalTransition):
            payout_list.mark_paid(world.services, part_no=part_no, actor=BERT)
        with pytest.raises(IllegalTransition):
            payout_list.mark_failed(world.services, part_no=part_no, actor=BERT, reason="x")
        if state == PartStatus.WAITING:
            with world.database.transaction() as session:
                move_part(session, session.merge(world.part(part_no)), PartStatus.SENDING, now=NOON)
    world.work()
    assert world.balance_fen() == 0


def test_the_clock_of_the_list_is_the_campus_s(world: PayoutWorld) -> None:
    world.cash(2000)
    world.agreed()
    world.work()
    list_no = payout_list.make_list(world.services, actor=BERT)
    assert list_no is not None
    assert list_no.startswith(f"L{world.clock.now().astimezone(CAMPUS_ZONE):%Y%m%d}-")
