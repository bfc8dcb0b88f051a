"""What a person filled in on the recharge page, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import NoSuchAccount, Refused
from models.site import RechargeRules
from payments.amount import parse_amount
from web.h5 import accounts

OTHER = "other"


class AccountMissing(Refused):
    """No account was typed and none is bound."""

    status = 422
    code = "E-NOACCT"

    def __init__(self) -> None:
        super().__init__("请输入要充值的校园网账号")


class AccountsDiffer(Refused):
    """The two typed accounts are not the same."""

    status = 422
    code = "E-TWICE"

    def __init__(self) -> None:
        super().__init__("两次输入的账号不一致，请重新核对")


class NameUnconfirmed(Refused):
    """Somebody else's account, and its masked name was not ticked yet."""

    status = 422
    code = "E-NAME"

    def __init__(self) -> None:
        super().__init__("请核对姓名，并勾选确认")


@dataclass(frozen=True)
class RechargeForm:
    """The fields as typed. `amount` is yuan as text, or `other` for what stands in `amount_other`.

    `package` is the code of the package that the money is for, empty without.
    """

    account: str = ""
    account_again: str = ""
    confirmed: str = ""
    amount: str = ""
    amount_other: str = ""
    package: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> RechargeForm:
        """Read the fields; missing ones are empty."""
        return cls(**{name: fields.get(name, "").strip()[:64] for name in cls.__dataclass_fields__})

    def account_no(self, bound: str | None) -> str:
        """The account to recharge: the typed one, else the bound one.

        Raises: AccountMissing, AccountsDiffer, NameUnconfirmed, NoSuchAccount - it is no account number.
        """
        account_no = accounts.typed(self.account)
        if not account_no and bound is None:
            raise AccountMissing
        if bound is not None and (not account_no or accounts.same(account_no, bound)):
            return bound
        if not accounts.same(account_no, accounts.typed(self.account_again)):
            raise AccountsDiffer
        if not accounts.same(account_no, accounts.typed(self.confirmed)):
            raise NameUnconfirmed
        return account_no

    def amount_fen(self, rules: RechargeRules) -> int:
        """The chosen amount. Raises: AmountInvalid, AmountOutOfRange."""
        return parse_amount(self.amount_other if self.amount == OTHER else self.amount, rules)


def field_of(error: Refused) -> str:
    """The id of the field that an error is about, for the link in the error summary."""
    if isinstance(error, AccountsDiffer):
        return "account-again"
    if isinstance(error, NameUnconfirmed):
        return "confirmed"
    if isinstance(error, AccountMissing | NoSuchAccount):
        return "account"
    return "amount"
