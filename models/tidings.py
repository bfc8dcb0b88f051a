"""A message of our own accord: a text, and the same in the few words that a template has room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from models.clock import CAMPUS_ZONE
from models.money import yuan


class Form(StrEnum):
    """Which template says it: MONEY that moved, or a NOTICE of anything else."""

    MONEY = "money"
    NOTICE = "notice"


# What may be put into the fields of a template of each form.
WORDS: Mapping[Form, frozenset[str]] = {
    Form.MONEY: frozenset({"account", "amount", "time", "state"}),
    Form.NOTICE: frozenset({"account", "time", "title", "text"}),
}


@dataclass(frozen=True)
class Tidings:
    """`text` for the chat; `words` (all of `WORDS[form]`) and the page at `path` for a template."""

    text: str
    form: Form
    words: Mapping[str, str]
    path: str

    def payload(self, openid: str) -> dict[str, Any]:
        """What the outbox keeps."""
        template = {"form": self.form, "words": dict(self.words), "path": self.path}
        return {"openid": openid, "text": self.text, "template": template}


def of_money(text: str, *, account_no: str, amount_fen: int, state: str, at: datetime, path: str) -> Tidings:
    """Money that moved. `state` has at most five characters, as a template's phrase."""
    words = {"amount": f"{yuan(amount_fen)}元", "state": state}
    return Tidings(text, Form.MONEY, {**words, **_common(account_no, at)}, path)


def of_notice(text: str, *, account_no: str, title: str, short: str, at: datetime, path: str) -> Tidings:
    """Anything else. `title` and `short` should fit into 20 characters each."""
    words = {"title": title, "text": short}
    return Tidings(text, Form.NOTICE, {**words, **_common(account_no, at)}, path)


def _common(account_no: str, at: datetime) -> dict[str, str]:
    # The end is enough for the owner; a template shows on a locked phone.
    return {"account": f"***{account_no[-4:]}", "time": f"{at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M}"}
