"""Changing the merchant's keys without a moment in which money is not believed: docs/runbook.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config import load
from app.wiring import pay_config
from models.errors import Forged, Unknown
from payments.wechatpay.client import WechatPay
from sandbox.credentials import Credentials
from tests.payments.wechatpay.signed_server import (
    API_V3_KEY,
    APP_ID,
    MCH_ID,
    NOW,
    PAID,
    PUBLIC_KEY_ID,
    SignedServer,
    keys,
    private_pem,
    public_pem,
    query,
    signature_headers,
    signed,
)
from tests.payments.wechatpay.test_wechatpay_notify import envelope, raw
from tests.rig import make_config, toml

NEW_V3_KEY = "n" * 32
NEW_KEY_ID = "PUB_KEY_ID_0119000072912026110100000000000002"
OLD_ONES = {"old_api_v3_key": API_V3_KEY, "old_public_key_id": PUBLIC_KEY_ID}
Client = Callable[..., WechatPay]


@pytest.fixture
def server() -> Iterator[SignedServer]:
    started = SignedServer()
    yield started
    started.stop()


@pytest.fixture
def client(tmp_path: Path, credentials: Credentials, server: SignedServer) -> Iterator[Client]:
    """Build a client from a configuration file with the new keys, and the old ones as given."""
    ours = replace(
        credentials,
        app_id=APP_ID,
        mch_id=MCH_ID,
        api_v3_key=NEW_V3_KEY,
        merchant_key_pem=private_pem(keys().merchant),
        public_key_id=NEW_KEY_ID,
        public_key_pem=public_pem(keys().certified),
    )
    old_file = tmp_path / "old_public_key.pem"
    old_file.write_text(public_pem(keys().platform), encoding="utf-8")
    made: list[WechatPay] = []

    def build(**old: Any) -> WechatPay:
        pay = {"platform_cert_files": (), "api_base": server.url, **old}
        if "old_public_key_id" in old:
            pay.setdefault("old_public_key_file", old_file)
        config = make_config(
            tmp_path,
            ours,
            site="https://net.example.edu.cn",
            platform=server.url,
            database_url="sqlite://",
            redis_url="",
            pay=pay,
        )
        made.append(WechatPay(pay_config(load(toml(config, tmp_path))), lambda: NOW))
        return made[-1]

    yield build
    for one in made:
        one.disconnect()


def notice(v3_key: str, key_id: str) -> tuple[dict[str, str], bytes]:
    body = raw(envelope(key=v3_key))
    signer = keys().platform if key_id == PUBLIC_KEY_ID else keys().certified
    return signature_headers(body, serial=key_id, key=signer), body


@contextmanager
def believed(*, wanted: bool, refusal: type[Exception]) -> Iterator[None]:
    if wanted:
        yield
    else:
        with pytest.raises(refusal):
            yield


@pytest.mark.parametrize("old", [OLD_ONES, {}], ids=["during", "after"])
@pytest.mark.parametrize("v3_key", [API_V3_KEY, NEW_V3_KEY], ids=["sealed-old", "sealed-new"])
def test_a_notice_sealed_with_the_old_key_is_opened_until_the_key_is_taken_out(
    client: Client, v3_key: str, old: dict[str, str]
) -> None:
    pay = client(**old)
    with believed(wanted=bool(old) or v3_key == NEW_V3_KEY, refusal=Forged):
        assert pay.verify_notify(*notice(v3_key, NEW_KEY_ID)).resource_plain == PAID


@pytest.mark.parametrize("old", [OLD_ONES, {}], ids=["during", "after"])
@pytest.mark.parametrize("key_id", [PUBLIC_KEY_ID, NEW_KEY_ID], ids=["signed-old", "signed-new"])
def test_what_the_old_public_key_signed_is_believed_until_the_key_is_taken_out(
    client: Client, server: SignedServer, key_id: str, old: dict[str, str]
) -> None:
    pay = client(**old)
    wanted = bool(old) or key_id == NEW_KEY_ID
    with believed(wanted=wanted, refusal=Forged):
        assert pay.verify_notify(*notice(NEW_V3_KEY, key_id)).serial == key_id
    signer = keys().platform if key_id == PUBLIC_KEY_ID else keys().certified
    server.answers.append(signed(200, PAID, serial=key_id, key=signer))
    with believed(wanted=wanted, refusal=Unknown):
        assert query(pay) == pay.trade_from(PAID)
    assert server.seen[-1].headers["Wechatpay-Serial"] == NEW_KEY_ID


@pytest.mark.parametrize(
    "wrong",
    [
        {"old_api_v3_key": "short"},
        {"old_public_key_id": NEW_KEY_ID},
        {"old_public_key_id": PUBLIC_KEY_ID, "old_public_key_file": None},
    ],
)
def test_half_a_rotation_does_not_start(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        client(**wrong)
