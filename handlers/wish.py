"""What somebody wants to recharge, as far as they have said it; kept in the chat state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """Empty `account_no` and `amount_fen` of None are what is still to be asked.

    `own` is true when the account is the one bound to the person.
    """

    account_no: str = ""
    masked_name: str = ""
    amount_fen: int | None = None
    own: bool = False

    def as_data(self) -> dict[str, str]:
        """The values a chat state stores."""
        return {
            "account_no": self.account_no,
            "masked_name": self.masked_name,
            "amount_fen": "" if self.amount_fen is None else str(self.amount_fen),
            "own": "1" if self.own else "",
        }

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> Wish:
        """The wish that `as_data` stored; missing values are still to be asked."""
        amount = data.get("amount_fen", "")
        return cls(
            account_no=data.get("account_no", ""),
            masked_name=data.get("masked_name", ""),
            amount_fen=int(amount) if amount else None,
            own=bool(data.get("own")),
        )
