"""The people of the simulated campus: each has a phone, a WeChat openid and a campus account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.oa.users import openid_for

CAMPUS, MOBILE = "campus", "mobile"


@dataclass(frozen=True)
class Identity:
    """What the campus knows: `account_no` is also the login of the unified identity."""

    id: str
    name: str
    account_no: str
    password: str = "demo"  # noqa: S105 - the demo's password is shown on the login page
    kind: str = "student"


DEFAULT: tuple[Identity, ...] = (
    Identity("xiaoming", "李小明", "2400101001"),
    Identity("xiaohong", "王小红", "2400101002"),
    Identity("dawei", "陈大伟", "2300302017"),
    Identity("meiling", "韦美玲", "2200510233"),
    Identity("laozhou", "周建国", "T20080015", kind="staff"),
)


@dataclass
class Student:
    """An identity with a phone; `network` is "campus" or "mobile" and decides the client address."""

    identity: Identity
    openid: str
    campus_address: str
    mobile_address: str
    network: str = CAMPUS

    @property
    def address(self) -> str:
        """The address the site sees."""
        return self.campus_address if self.network == CAMPUS else self.mobile_address

    def as_dict(self) -> dict[str, object]:
        """JSON-ready, with the demo password: this is a simulation."""
        return {
            "id": self.identity.id,
            "name": self.identity.name,
            "account_no": self.identity.account_no,
            "password": self.identity.password,
            "kind": self.identity.kind,
            "openid": self.openid,
            "network": self.network,
            "address": self.address,
        }


class Students:
    """Everybody with a phone, by id, by openid and by account."""

    def __init__(self, app_id: str, identities: Iterable[Identity] = DEFAULT) -> None:
        self._app_id = app_id
        self._initial = tuple(identities)
        self._by_id: dict[str, Student] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the people of the start, all on the campus network."""
        self._by_id.clear()
        for identity in self._initial:
            self.add(identity)

    def add(self, identity: Identity) -> Student:
        """Enrol one more; the openid is the same for the same id in every run.

        Raises: ValueError - the id or the account is taken.
        """
        if identity.id in self._by_id or self.by_account(identity.account_no) is not None:
            raise ValueError("this id or account is taken")
        number = len(self._by_id)
        host = 23 + number % 200
        student = Student(
            identity,
            openid_for(self._app_id, identity.id),
            f"10.70.{1 + number // 200}.{host}",
            f"203.0.113.{7 + number % 200}",
        )
        self._by_id[identity.id] = student
        return student

    def get(self, student_id: str) -> Student | None:
        """By id."""
        return self._by_id.get(student_id)

    def by_openid(self, openid: str) -> Student | None:
        """By openid."""
        return next((item for item in self if item.openid == openid), None)

    def by_account(self, account_no: str) -> Student | None:
        """By campus account."""
        return next((item for item in self if item.identity.account_no == account_no), None)

    def __iter__(self) -> Iterator[Student]:
        return iter(tuple(self._by_id.values()))
