"""Keys that change in mid-run, by shares; what is believed when our side knows both, or one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidTag

from models.errors import Forged, Unknown
from sandbox.pay import crypto
from sandbox.pay.keys import Rollout
from tests.sandbox.our_client import our_client, place
from tests.sandbox.pay_rig import PayRig

NUMBER = "R202609010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def pay(rig: PayRig) -> None:
    rig.prepay(NUMBER)
    rig.sim(f"orders/{NUMBER}/pay")
    rig.site.wait_for(1)


def serials(rig: PayRig, times: int) -> list[str]:
    """Which key signs each of some notices."""
    rig.site.received.clear()
    assert rig.sim(f"orders/{NUMBER}/notify", {"times": times})["statuses"] == [204] * times
    return [headers["Wechatpay-Serial"] for headers, _ in rig.site.received]


@pytest.mark.parametrize("percent", [0, 0.1, 1, 5, 20, 50, 100])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_share_is_kept_exactly_and_evenly(percent: float, seed: int) -> None:
    rollout = Rollout(percent, seed)
    turns = [rollout.turn() for _ in range(2000)]
    assert sum(turns) == 20 * percent
    assert abs(sum(turns[:1000]) - 10 * percent) <= 1


def test_notices_are_signed_with_both_kinds_by_share(rig: PayRig) -> None:
    pay(rig)
    rig.sim("mode", {"mode": "mixed", "percent": 20})
    signed = serials(rig, 10)
    assert signed.count(rig.credentials.public_key_id) == 2
    assert signed.count(rig.credentials.platform_serial) == 8
    assert "error" in rig.sim("mode", {"mode": "mixed", "percent": 120})


def test_a_new_public_key_takes_its_share_and_then_everything(rig: PayRig) -> None:
    pay(rig)
    old = rig.credentials.public_key_id
    made = rig.sim("keys/public_key", {"percent": 25})
    new, pem = str(made["name"]), str(made["pem"])
    during = our_client(rig, public_keys={new: pem, old: rig.credentials.public_key_pem})
    before = our_client(rig)
    assert serials(rig, 8).count(new) == 2
    for headers, body in rig.site.received:
        assert during.verify_notify(headers, body).serial == headers["Wechatpay-Serial"]
        if headers["Wechatpay-Serial"] == new:
            with pytest.raises(Forged):
                before.verify_notify(headers, body)
    # Answers go by the key that the request names.
    assert during.query(NUMBER) == before.query(NUMBER)
    assert rig.sim("keys/public_key", {"percent": 100}) == {"name": new, "percent": 100.0}
    assert serials(rig, 3) == [new] * 3
    rig.sim("keys/public_key", {"retire": True})
    refused = rig.query(NUMBER)
    assert (refused.status_code, refused.json()["code"]) == (400, "PARAM_ERROR")
    assert during.query(NUMBER).trade_state == "SUCCESS"
    during.disconnect()
    before.disconnect()


def test_a_new_api_v3_key_seals_by_share(rig: PayRig) -> None:
    pay(rig)
    old = rig.credentials.api_v3_key
    new = str(rig.sim("keys/api_v3_key", {"percent": 50})["name"])
    rig.site.received.clear()
    rig.sim(f"orders/{NUMBER}/notify", {"times": 4})
    during = our_client(rig, api_v3_key=new, old_api_v3_keys=(old,))
    after = our_client(rig, api_v3_key=new)
    opened = 0
    for headers, body in rig.site.received:
        assert during.verify_notify(headers, body).resource_plain["out_trade_no"] == NUMBER
        try:
            after.verify_notify(headers, body)
            opened += 1
        except Forged:
            assert rig.open_notification(body)["out_trade_no"] == NUMBER
    assert opened == 2
    rig.sim("keys/api_v3_key", {"retire": True})
    rig.sim(f"orders/{NUMBER}/notify")
    with pytest.raises(InvalidTag):
        rig.open_notification(rig.site.received[-1][1])
    listed = rig.http.get(f"{rig.url}/sim/pay/keys", timeout=5).json()
    assert new not in json.dumps(listed), "the list names no secret"
    during.disconnect()
    after.disconnect()


def test_two_certificates_are_listed_and_both_open(rig: PayRig) -> None:
    rig.sim("mode", {"mode": "certificate"})
    pay(rig)
    made = rig.sim("keys/certificate", {"percent": 50})
    shown = rig.call("GET", "/v3/certificates").json()["data"]
    assert [one["serial_no"] for one in shown] == [rig.credentials.platform_serial, made["name"]]
    sealed = shown[1]["encrypt_certificate"]
    pem = crypto.unseal(
        rig.credentials.api_v3_key,
        sealed["ciphertext"],
        nonce=sealed["nonce"],
        associated_data=sealed["associated_data"],
    )
    assert f"{x509.load_pem_x509_certificate(pem).serial_number:040X}" == made["name"]
    assert set(serials(rig, 4)) == {rig.credentials.platform_serial, made["name"]}
    both = our_client(rig, platform_certs=[rig.credentials.platform_cert_pem, pem.decode()])
    for headers, body in rig.site.received:
        assert both.verify_notify(headers, body).serial == headers["Wechatpay-Serial"]
    both.disconnect()


def test_our_client_without_the_new_key_does_not_believe_answers_signed_with_it(rig: PayRig) -> None:
    """A client that names no key is answered with the certificate, by then the new one."""
    by_certificate = our_client(rig, public_keys={})
    assert place(by_certificate, NUMBER)
    rig.sim("keys/certificate")
    with pytest.raises(Unknown, match="not configured"):
        place(by_certificate, NUMBER)
    by_certificate.disconnect()


def test_a_reset_brings_the_old_keys_back(rig: PayRig) -> None:
    pay(rig)
    rig.sim("keys/api_v3_key")
    rig.platform.reset()
    rig.site.received.clear()
    pay(rig)
    assert rig.open_notification(rig.site.received[0][1])["out_trade_no"] == NUMBER
    assert "error" in rig.sim("keys/session_key")
