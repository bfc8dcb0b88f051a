"""A platform that was killed and started again knows every payment, and which keys are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.engine import Engine, Site
from sandbox.pay import PayPlatform
from sandbox.pay.errors import PayError
from sandbox.pay.keep import Keep
from sandbox.pay.keys import API_V3_KEY, CERTIFICATE, PUBLIC_KEY
from sandbox.pay.orders import CLOSED, PrepayRequest
from sandbox.pay.refunds import RefundRequest
from sandbox.pay.refunds_api import go_on
from tests.sandbox.pay_rig import OPENID, credentials

Start = Callable[[], PayPlatform]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Begin (again) with what the file holds; nothing is handed over but the file."""
    started: list[PayPlatform] = []

    def begin() -> PayPlatform:
        engine = Engine(credentials(), Site("http://127.0.0.1:1", ""))
        platform = PayPlatform(engine, lambda _openid: True, keep=Keep(tmp_path / "pay.jsonl"))
        platform.recover()
        started.append(platform)
        return platform

    yield begin
    for platform in started:
        platform.close()


def placed(number: str) -> PrepayRequest:
    parameters: dict[str, object] = {"out_trade_no": number, "amount": {"total": 500}}
    return PrepayRequest(
        number, "wx1", "1900", "校园网充值", "http://127.0.0.1:1/n", "", 500, OPENID, None, parameters
    )


def test_orders_and_refunds_are_as_they_were(start: Start) -> None:
    first = start()
    prepay_id = first.book.place(placed("R1000001"))
    first.book.place(placed("R1000002"))
    first.book.close("R1000002")
    first.book.close("R1000003")
    first.pay("R1000001")
    request = RefundRequest("F1", "R1000001", 200, 500, "充错账号", "")
    refund, _ = first.refunds.accept(first.book.get("R1000001"), request)

    second = start()
    assert second.book.all() == first.book.all()
    assert second.book.get("R1000002").state == CLOSED
    assert second.refunds.all() == [refund]
    assert second.refunds.get("F1").order is second.book.get("R1000001")
    with pytest.raises(PayError, match="已支付"):
        second.book.place(placed("R1000001"))
    with pytest.raises(PayError):
        second.book.place(placed("R1000003"))
    assert prepay_id in second.book.get("R1000001").prepay_ids


def test_an_unchanged_request_is_recognised_after_a_restart(start: Start) -> None:
    start().book.place(placed("R1000001"))
    assert start().book.place(placed("R1000001")).startswith("wx")


def test_a_line_that_a_kill_cut_short_is_not_read_and_not_written_after(start: Start, tmp_path: Path) -> None:
    start().book.place(placed("R1000001"))
    kept = tmp_path / "pay.jsonl"
    whole = kept.read_bytes()
    kept.write_bytes(whole + whole[: len(whole) // 2])
    second = start()
    second.pay("R1000001")
    assert start().book.get("R1000001").transaction_id == second.book.get("R1000001").transaction_id != ""


def test_a_refund_under_way_goes_on(start: Start) -> None:
    first = start()
    first.book.place(placed("R1000001"))
    first.pay("R1000001")
    request = RefundRequest("F1", "R1000001", 200, 500, "充错账号", "")
    first.refunds.accept(first.book.get("R1000001"), request)

    second = start()
    go_on(second)
    assert second.engine.scheduler.pending() == 1


def test_a_reset_forgets_what_was_kept(start: Start) -> None:
    first = start()
    first.book.place(placed("R1000001"))
    first.reset()
    assert start().book.all() == []


@pytest.mark.parametrize("kind", [PUBLIC_KEY, CERTIFICATE, API_V3_KEY])
def test_a_changed_key_signs_and_seals_after_a_restart(start: Start, kind: str) -> None:
    first = start()
    new = first.keys.replace(kind, 20)["name"]
    before = first.keys.successions[kind].names[0]

    second = start()
    assert second.keys.successions[kind].names == [before, new]
    assert second.keys.successions[kind].rollout.percent == 20
    assert second.keys.certificates == first.keys.certificates
    second.keys.replace(kind, 100)
    second.keys.retire(kind)

    third = start()
    third.keys.mode = CERTIFICATE if kind == CERTIFICATE else PUBLIC_KEY
    signer, sealer = third.keys.for_notification(), third.keys.for_sealing()
    assert (sealer if kind == API_V3_KEY else signer) == new
    assert third.keys.headers(signer, b"{}", 0)["Wechatpay-Serial"] == signer
    assert not third.keys.knows(before)


def test_a_reset_brings_the_first_keys_back_for_good(start: Start) -> None:
    first = start()
    old = first.keys.successions[PUBLIC_KEY].names
    first.keys.replace(PUBLIC_KEY, 100)
    first.reset()
    assert first.keys.successions[PUBLIC_KEY].names == start().keys.successions[PUBLIC_KEY].names == old[:1]


def test_what_is_kept_is_for_its_owner_only(start: Start, tmp_path: Path) -> None:
    start().keys.replace(PUBLIC_KEY, 100)
    assert (tmp_path / "pay.jsonl").stat().st_mode & 0o077 == 0
