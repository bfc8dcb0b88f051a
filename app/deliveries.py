"""Outbox work that needs both the payment side and the bot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bot.errors import QuotaExhausted, TooFast
from bot.notices import Filled, Notices
from models.clock import next_midnight
from models.errors import Unavailable
from models.tidings import Form
from payments import alerts, outbox
from payments.outcome import Done, Later, Outcome
from payments.services import Services

MINUTE = timedelta(minutes=1)
NOTICE_COMMAND_S = 10


def deliver_message(notices: Notices, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `message`: a customer message, or a template message when that is not allowed.

    A person who cannot be reached is no failure: the page shows the same, and the item keeps why.
    A customer message may go out a few times more than once, a template message does not.
    Raises: Unknown, Unavailable - the worker tries again.
    """
    openid = str(held.payload["openid"])
    try:
        return Done(
            notices.send(openid, str(held.payload["text"]), _filled(services, held), tries=held.attempts)
        )
    except TooFast:
        return Later(services.clock() + MINUTE)
    except QuotaExhausted:
        # WeChat's daily quotas begin anew at midnight.
        return Later(alerts.by_day(next_midnight(services.clock()), openid))


def deliver_alert(notices: Notices, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `alert`: as `message`, unless the person has stopped alerts or left the account.

    Raises: Unknown, Unavailable - the worker tries again.
    """
    openid = str(held.payload["openid"])
    with services.reading() as session:
        wanted = alerts.still_wanted(session, openid, str(held.payload["account_no"]))
    return deliver_message(notices, services, held) if wanted else Done("not wanted any more")


def deliver_owner_notice(command: Sequence[str], _services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `owner_notice`: hand it to the program of the configuration, as JSON on its input.

    Raises: Unavailable - it could not run or did not end with 0; the worker tries again.
    """
    if not command:
        return Done("no command is set")
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own program, no shell
            list(command),
            input=json.dumps(held.payload, ensure_ascii=False).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=NOTICE_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"owner_notice_command: {type(error).__name__}") from error
    if done.returncode:
        raise Unavailable(f"owner_notice_command ended with {done.returncode}")
    return Done()


def _filled(services: Services, held: outbox.Claim) -> Filled | None:
    said: dict[str, Any] | None = held.payload.get("template")
    if said is None:
        # Promised before there were templates.
        return None
    link = services.site.link(said["path"])
    return Filled(Form(said["form"]), said["words"], link, f"{held.kind}:{held.key}")
