"""A rig that many tests share: each makes its own students, and time is moved for everybody at once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from app.phone import Phone
from billing.embedded import seed
from models.clock import CAMPUS_ZONE, utc_now
from models.order import Order, orders_of
from models.person import Person, find_person
from sandbox.students import Identity
from tests.rig import DEMO_BALANCE_FEN, Rig

PASSWORD = "demo"
NAME = "赵小满"
FAILED = ("没有听懂", "抱歉", "系统出了点问题", "计费系统暂时没有回应")


class MovableClock:
    """Real time plus an offset."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.offset


class Student(Phone):
    """One newcomer: phone, campus account and what they see."""

    def __init__(self, wechat: str, student: str, account_no: str, openid: str) -> None:
        super().__init__(wechat, student, PASSWORD)
        self.account_no = account_no
        self.own_openid = openid

    def push(self, kind: str, **body: object) -> dict[str, Any]:
        """One push of any kind; what became of it."""
        found: dict[str, Any] = self.api("POST", f"/sim/students/{self.student}/{kind}", body)["delivery"]
        return found

    def tap(self, answer: str, words: str) -> str:
        """Tap a word of an answer, as the phone does: its hidden text is sent with the menu's id."""
        found = re.search(rf'bizmsgmenu\?msgmenucontent={re.escape(words)}&msgmenuid=(\w+)"', answer)
        assert found is not None, f"{words!r} cannot be tapped in {answer!r}"
        return text_of(self.push("text", text=words, bizmsgmenuid=found[1]))

    def network(self, where: str) -> None:
        """Change to `campus` or `mobile`."""
        self.api("POST", f"/sim/students/{self.student}/network", {"network": where})

    def bound(self) -> Student:
        """Follow and bind the own account."""
        self.follow()
        page = self.bind()
        assert self.account_no in page.text
        return self


class Town:
    """The rig and the people that tests add to it."""

    def __init__(self, make: Callable[..., Rig]) -> None:
        self._clock = MovableClock()
        self._numbers = itertools.count(1)
        self.rig = make(clock=self._clock)
        self.house = self.rig.house

    def newcomer(self, name: str = NAME, *, daily_gb: tuple[int, ...] = ()) -> Student:
        """A student whom nobody has met, with 12.34 yuan on the account."""
        number = next(self._numbers)
        student_id, account_no = f"new{number}", f"25009{number:05d}"
        enrolled = self.rig.sandbox.enrol(Identity(student_id, name, account_no, PASSWORD))
        row = seed.DemoAccount(account_no, name, balance_fen=DEMO_BALANCE_FEN, daily_gb=daily_gb)
        with self.house.database.transaction() as session:
            seed.seed_demo_accounts(session, [row], self._clock())
        return Student(self.rig.sandbox.url, student_id, account_no, enrolled.openid)

    def move(self, **time: float) -> None:
        """Move the time of everybody forward, as for `timedelta`."""
        step = timedelta(**time)
        self.rig.sandbox.engine.scheduler.advance(step.total_seconds())
        self._clock.offset += step

    def move_to(self, weekday: int, hour: int) -> None:
        """Go on to the next such campus weekday (Monday is 0) and hour."""
        now = self._clock().astimezone(CAMPUS_ZONE)
        goal = now.replace(hour=hour, minute=0, second=0) + timedelta(days=(weekday - now.weekday()) % 7)
        if goal <= now:
            goal += timedelta(days=7)
        self.move(seconds=(goal - now).total_seconds())

    def move_to_day(self, day: int, hour: int = 12) -> None:
        """Go on to this day on campus, of this month if it is still to come, else of the next."""
        now = self._clock().astimezone(CAMPUS_ZONE)
        goal = now.replace(day=day, hour=hour, minute=0, second=0, microsecond=0)
        if goal <= now:
            first = now.replace(day=1) + timedelta(days=32)
            goal = goal.replace(year=first.year, month=first.month)
        self.move(seconds=(goal - now).total_seconds())

    def now(self) -> datetime:
        """The time of everybody."""
        return self._clock()

    def person(self, student: Student) -> Person:
        """What the database knows of a student."""
        with self.house.database.reading() as session:
            found = find_person(session, student.own_openid)
        assert found is not None
        return found

    def orders(self, student: Student) -> list[Order]:
        """The orders a student made, newest first."""
        with self.house.database.reading() as session:
            return orders_of(session, student.own_openid)


def text_of(delivery: dict[str, Any]) -> str:
    """The text of a reply; empty when there is none."""
    return str((delivery["reply"] or {}).get("text", ""))


def taps(answer: str) -> list[str]:
    """The words an answer offers to tap, in order."""
    return re.findall(r"msgmenucontent=([^&]+)&", answer)


def understood(answer: str) -> bool:
    """Whether an answer is neither silence, nor a guess, nor an apology."""
    return bool(answer) and not any(words in answer for words in FAILED)
