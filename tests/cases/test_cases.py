"""Inputs that once failed go on passing; those of later work are listed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from billing.registry import DemoAccount, seed_demo
from payments.binding import bind_account, bound_account
from tests.cases.chat_site import chat_site
from tests.handlers.handler_chat import ME, NOON, open_chat, prepare

HERE = Path(__file__).parent
PASSING = (
    "file-1-bank-same-number-other-student",
    "file-2-bank-direction-column",
    "file-3-amount-decimal-comma",
    "file-4-import-numbers-spoiled-by-excel",
    "file-5-name-with-a-new-character",
    "file-6-excel-short-date",
    "file-7-bank-list-with-half-a-character",
    "identity-2-client-secret-post-only",
    "identity-4-claim-as-a-list",
    "identity-6-jwks-with-an-sm2-key",
    "identity-7-cas-answers",
    "network-1-stop-without-traffic",
    "network-2-user-name-with-a-realm",
    "network-3-session-older-than-400-days",
    "network-4-broken-session-time",
    "network-5-start-that-carries-old-totals",
    "network-8-authenticated-again-as-somebody-else",
    "network-9-no-gigawords-on-a-fast-line",
    "network-10-names-nobody-needs-for-counting",
    "pay-1-bill-with-a-line-break-in-a-name",
    "pay-2-bill-totals-with-blanks-and-an-empty-day",
    "pay-5-bill-with-revoked-rows-of-another-till",
)
# Run against a site in this process (`chat_site.py`).
CHAT = (
    "chat-1-bytes-that-xml-forbids",
    "chat-2-late-unsubscribe",
    "chat-4-msgid-shared-or-missing",
    "chat-6-json-push",
)
# Needs a running demo; `test_an_account_is_found_in_any_case` says the same of the handlers in this process.
IN_PROCESS = ("identity-8-account-in-another-case",)
NOT_YET = (
    "chat-3-punctuation-of-the-keyboard",
    "chat-7-invisible-characters",
    "chat-8-confirm-with-a-full-stop",
)


@pytest.mark.parametrize("case", PASSING)
def test_the_case_passes(case: str) -> None:
    run_case(case, {})


@pytest.mark.parametrize("case", CHAT)
def test_the_case_of_a_push_passes(case: str, tmp_path: Path) -> None:
    with chat_site(tmp_path) as environment:
        run_case(case, environment)


def run_case(case: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / case / "run.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )
    last = (done.stdout.strip().splitlines() or [""])[-1]
    assert (done.returncode, last.partition(":")[0]) == (0, "PASS"), done.stdout + done.stderr


def test_every_case_is_in_one_list() -> None:
    assert sorted((*PASSING, *CHAT, *IN_PROCESS, *NOT_YET)) == sorted(
        run.parent.name for run in HERE.glob("*/run.py")
    )


@pytest.mark.parametrize(
    "typed", ["T20080015", "t20080015", "Ｔ２００８００１５", " T20080015 ", "t20080015@cmcc"]
)
def test_an_account_is_found_in_any_case(tmp_path: Path, typed: str) -> None:
    chat = open_chat(prepare(tmp_path / "chat.db"))
    database = chat.services.database
    seed_demo(database, [DemoAccount("T20080015", "周建国")], now=NOON)
    chat.say("给他人充值")
    chat.say(typed)
    assert "请核对户名" in (said := chat.say(typed))
    assert "T20080015" in said
    bind_account(chat.services, openid=ME, account_no=typed)
    assert bound_account(chat.services, ME) == "T20080015"
    database.dispose()
