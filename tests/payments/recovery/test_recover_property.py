"""Any subset of what may happen after a backup: nothing is lost, nothing is there twice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ServiceError, Unavailable
from models.recovery import RecoveryStatus
from payments.payouts import transfer_list
from payments.recovery.run import watch
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, PEOPLE
from tests.payments.recovery.recovery_world import OPERATOR, RecoveryWorld
from tests.places import quick_folder

EVENTS = (
    "paid",
    "paid untold",
    "unpaid",
    "refunded",
    "partly refunded",
    "refund under way",
    "refund asked",
    "bought",
    "with package",
    "payout",
    "bank paid",
    "foreign",
    "a day",
)
PRICE_FEN = 500


class Story:
    """Carries out events, and keeps what each account should hold at the end."""

    def __init__(self, world: RecoveryWorld) -> None:
        self.world = world
        self.paid_by_bank: set[str] = set()
        self.numbers = 0
        self.foreign_fen = 0

    def happen(self, event: str) -> None:
        """One event."""
        self.numbers += 1
        fen = PRICE_FEN + 100 * self.numbers
        does: dict[str, Callable[[int], object]] = {
            "paid": lambda fen: self._paid(fen, told=True),
            "paid untold": lambda fen: self._paid(fen, told=False),
            "unpaid": self._started,
            "refunded": lambda fen: self._refunded(fen, fen, ends=True),
            "partly refunded": lambda fen: self._refunded(fen, fen // 3, ends=True),
            "refund under way": lambda fen: self._refunded(fen, fen, ends=False),
            "refund asked": self._asked,
            "bought": self._bought,
            "with package": lambda fen: self._paid(fen, told=True, package="P05"),
            "payout": self._payout,
            "bank paid": self._bank_paid,
            "foreign": self._foreign,
            "a day": lambda _: self.world.clock.advance(86_400),
        }
        does[event](fen)
        self.world.clock.advance(61)

    def _started(self, fen: int, package: str | None = None) -> str:
        order_no = self.world.start(1, 0, fen, package)
        assert order_no is not None
        self.world.prepare(order_no)
        return order_no

    def _paid(self, fen: int, *, told: bool, package: str | None = None) -> str:
        order_no = self._started(fen, package)
        self.world.pay(order_no)
        if told:
            self.world.tell(self.world.platform.book.get(f"{order_no}01"))
            self.world.work()
        return order_no

    def _refunded(self, fen: int, back_fen: int, *, ends: bool) -> None:
        order_no = self._paid(fen, told=True)
        self.world.clock.advance(61)
        number = self.world.approved(order_no, back_fen)
        self.world.work()
        if ends:
            self.world.ends(number)
            self.world.work()

    def _asked(self, fen: int) -> None:
        self.world.asked(self._paid(fen, told=True), fen)

    def _bought(self, fen: int) -> None:
        self._paid(fen, told=True)
        with suppress(ServiceError):  # one package at a time
            self.world.services.billing.exchange(
                ACCOUNTS[0], "P05", key=f"bought{self.numbers}", price_fen=PRICE_FEN
            )

    def _payout(self, fen: int) -> None:
        self._paid(fen, told=True)
        with suppress(ServiceError):  # a request waits, or everything is reserved
            self.world.agreed()
            self.world.work()

    def _bank_paid(self, _: int) -> None:
        list_no = transfer_list.make_list(self.world.services, actor=OPERATOR)
        for row in transfer_list.rows_of(self.world.services, list_no) if list_no else ():
            self.paid_by_bank.add(row.part_no)
            transfer_list.mark_paid(self.world.services, part_no=row.part_no, actor=OPERATOR)

    def _foreign(self, fen: int) -> None:
        number = f"MEALCARD{self.numbers:08d}"
        self.world.services.pay.prepay(
            out_trade_no=number,
            description="一卡通",
            amount_fen=fen,
            openid=PEOPLE[1],
            expires_at=self.world.clock.now().replace(year=self.world.clock.now().year + 1),
            attach="meal",
        )
        self.world.platform.pay(number, PEOPLE[1])
        self.foreign_fen += fen


@pytest.mark.long
def test_any_time_after_the_backup_is_recovered(recovery_template: Path, credentials: Credentials) -> None:
    @settings(max_examples=40, deadline=None, print_blob=True)
    @given(
        before=st.lists(st.sampled_from(EVENTS), max_size=4),
        after=st.lists(st.sampled_from(EVENTS), max_size=7),
        at_once=st.booleans(),
    )
    def run(before: list[str], after: list[str], *, at_once: bool) -> None:
        check_story(recovery_template, credentials, before, after, at_once=at_once)

    run()


@pytest.mark.parametrize("at_once", [True, False])
def test_one_of_everything_is_recovered(
    recovery_template: Path, credentials: Credentials, *, at_once: bool
) -> None:
    check_story(recovery_template, credentials, list(EVENTS), list(EVENTS), at_once=at_once)


def check_story(
    template: Path, credentials: Credentials, before: list[str], after: list[str], *, at_once: bool
) -> None:
    """Live it, lose it, recover it twice, at once or when every bill is there."""
    with tempfile.TemporaryDirectory(dir=quick_folder()) as folder, pytest.MonkeyPatch.context() as patch:
        world = RecoveryWorld(template, Path(folder) / "campus.db", credentials, patch)
        try:
            _live(world, before, after, at_once=at_once)
        finally:
            world.close()


def _live(world: RecoveryWorld, before: list[str], after: list[str], *, at_once: bool) -> None:
    story = Story(world)
    for event in before:
        story.happen(event)
    world.backup()
    foreign_before = story.foreign_fen
    for event in after:
        story.happen(event)
    world.copy_journal()
    world.work()
    world.copy_journal()
    world.destroy_and_restore()
    if not at_once:
        world.bills_come()
    first = world.recovered()
    world.work()
    assert first.findings == []
    world.bills_come()
    for _ in range(4):
        with suppress(Unavailable):
            watch(world.services, world.journal_copy)
        world.work()
    assert world.status() == RecoveryStatus.DONE
    again = world.recovered()
    assert again.changed == 0
    world.end_refunds()
    world.later(3600)
    world.check_books()
    assert world.kept_by_us() == world.kept_at_wechat()
    # Of those that the bank has paid none can be listed once more.
    transfer_list.make_list(world.services, actor=OPERATOR)
    for part_no in story.paid_by_bank:
        part = world.part(part_no)
        assert part.fate_unknown or part.status == "PAID", part_no
    assert again.fen["foreign"] >= story.foreign_fen - foreign_before
    assert world.billed_to(ACCOUNTS[0]) == world.balance_of(ACCOUNTS[0])
