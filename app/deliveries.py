"""Outbox work that needs both the payment side and the bot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.errors import ConfigurationWrong, QuotaExhausted, TemplatesUsedUp, TokenRejected, TooFast
from bot.notices import Filled, Notices
from models.clock import campus_date, next_midnight
from models.errors import Unavailable
from models.review import ReviewKind, ask_person
from models.tidings import Form
from payments import alerts, outbox
from payments.outcome import Done, Later, Outcome, Pause
from payments.services import Services

MINUTE = timedelta(minutes=1)
# How often a message is sent while the account is refused: an operator may have fixed it meanwhile.
REFUSED_AGAIN = timedelta(minutes=1)
# What says the same a day later, and what does not. A night and a used-up daily quota fit in.
LIFETIMES: Mapping[str, timedelta] = {
    "message": timedelta(hours=36),
    alerts.JOB: timedelta(hours=24),
}
# A message that was put off for so long is not sent at night any more.
LATE_AFTER = timedelta(hours=1)
STALE = "stale"
NOTICE_COMMAND_S = 10


def deliver_message(notices: Notices, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `message`: a customer message, or a template message when that is not allowed.

    A recipient who cannot be reached is no failure: the page shows the same, and the item keeps why.
    A customer message may go out a few times more than once, a template message does not. What was put
    off beyond its lifetime is not sent. A refusal of the whole account pauses the lane.
    Raises: Unknown, Unavailable - the worker tries again.
    """
    now, openid = services.clock(), str(held.payload["openid"])
    late = _late(held, now, alerts.by_day(now, openid))
    if late is not None:
        return late
    text, filled = str(held.payload["text"]), _filled(services, held)
    try:
        return Done(notices.send(openid, text, filled, tries=held.attempts))
    except TooFast:
        return Pause("sent too fast", now + MINUTE, until=now + MINUTE, alarm=False)
    except TemplatesUsedUp as used_up:
        # Customer messages to others still go: nothing is paused.
        _ask_about_templates(services, used_up)
        return Later(alerts.by_day(next_midnight(now), openid))
    except QuotaExhausted as used_up:
        # WeChat's daily quotas begin anew at midnight.
        midnight = next_midnight(now)
        return Pause(_reason(used_up), alerts.by_day(midnight, openid), until=midnight)
    except (TokenRejected, ConfigurationWrong) as refused:
        return Pause(_reason(refused), now + REFUSED_AGAIN)


def deliver_alert(notices: Notices, services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `alert`: as `message`, unless the person has stopped alerts or left the account.

    Raises: Unknown, Unavailable - the worker tries again.
    """
    openid = str(held.payload["openid"])
    with services.reading() as session:
        wanted = alerts.still_wanted(session, openid, str(held.payload["account_no"]))
    return deliver_message(notices, services, held) if wanted else Done("not wanted any more")


def _late(held: outbox.Claim, now: datetime, by_day: datetime) -> Outcome | None:
    """What becomes of a message that was put off; None: it is sent."""
    waited = now - (held.created_at or now)
    if waited > LIFETIMES.get(held.kind, LIFETIMES["message"]):
        return Done(STALE)
    if waited > LATE_AFTER and by_day > now:
        return Later(by_day)
    return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__} {error}"


def _ask_about_templates(services: Services, used_up: TemplatesUsedUp) -> None:
    now = services.clock()
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.OUTAGE,
            f"templates:{campus_date(now)}",
            order_id=None,
            amount_fen=None,
            now=now,
            remote="messages",
            reason=_reason(used_up),
        )


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
