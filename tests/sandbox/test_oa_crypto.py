"""The platform's own arithmetic, against values published by others."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox.oa import crypto, replies, xml
from tests.places import vectors

VECTORS: dict[str, Any] = vectors("wechat")
DECRYPTS = [item for item in VECTORS["crypto"] if item["direction"] == "decrypt"]
ENCRYPTS = [item for item in VECTORS["crypto"] if item["direction"] == "encrypt"]


def name_of(vector: dict[str, Any]) -> str:
    return str(vector.get("name", vector.get("kind", "")))


@pytest.mark.parametrize("vector", VECTORS["url_signatures"], ids=name_of)
def test_url_signature_equals_the_published_one(vector: dict[str, Any]) -> None:
    made = crypto.signature(vector["token"], vector["timestamp"], vector["nonce"])
    assert (made == vector["signature"]) is vector["valid"]


@pytest.mark.parametrize("vector", [item for item in VECTORS["sorted_sha1"] if item["joiner"] == ""])
def test_signature_is_sha1_over_the_sorted_parts(vector: dict[str, Any]) -> None:
    assert crypto.signature(*vector["parts"]) == vector["sha1"]


@pytest.mark.parametrize("vector", [item for item in VECTORS["sorted_sha1"] if item["joiner"] != ""])
def test_joined_vectors_agree_with_sha1(vector: dict[str, Any]) -> None:
    parts = sorted(vector["parts"]) if vector["sorted"] else vector["parts"]
    assert hashlib.sha1(vector["joiner"].join(parts).encode()).hexdigest() == vector["sha1"]  # noqa: S324 - theirs


@pytest.mark.parametrize("vector", VECTORS["jsapi_signatures"])
def test_jsapi_signature_equals_the_published_one(vector: dict[str, Any]) -> None:
    made = crypto.jsapi_signature(
        vector["jsapi_ticket"], vector["noncestr"], str(vector["timestamp"]), vector["url"] + "#part"
    )
    assert made == vector["signature"]


@pytest.mark.parametrize("vector", DECRYPTS, ids=name_of)
def test_published_ciphertexts_open_or_are_refused(vector: dict[str, Any]) -> None:
    cipher = crypto.MessageCipher(vector["encoding_aes_key"], vector["appid"])
    signed = crypto.signature(vector["token"], vector["timestamp"], vector["nonce"], vector["encrypt"])
    if vector.get("expect_error") == "signature":
        assert signed != vector["msg_signature"]
    elif vector.get("expect_error") == "appid":
        with pytest.raises(crypto.CipherError):
            cipher.decrypt(vector["encrypt"])
    else:
        assert signed == vector["msg_signature"]
        assert cipher.decrypt(vector["encrypt"]).decode() == vector["plaintext"]


@pytest.mark.parametrize("vector", ENCRYPTS, ids=name_of)
def test_sealing_gives_the_published_bytes(vector: dict[str, Any]) -> None:
    cipher = crypto.MessageCipher(vector["encoding_aes_key"], vector["appid"])
    assert cipher.encrypt(vector["plaintext"].encode(), vector["random16"].encode()) == vector["encrypt"]
    if "msg_signature" in vector:
        made = crypto.signature(vector["token"], vector["timestamp"], vector["nonce"], vector["encrypt"])
        assert made == vector["msg_signature"]


@pytest.mark.parametrize("text", ["", "!!!", "AAAA", "A" * 64])
def test_garbage_is_refused_and_never_crashes(text: str) -> None:
    cipher = crypto.MessageCipher("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx1")
    with pytest.raises(crypto.CipherError):
        cipher.decrypt(text)


FLAT = [item for item in VECTORS["push_xml"] if not any("." in name for name in item["fields"])]


@pytest.mark.parametrize("vector", FLAT, ids=name_of)
def test_pushes_are_written_as_the_platform_writes_them(vector: dict[str, Any]) -> None:
    root = xml.parse(xml.build(vector["fields"]).encode())
    assert {child.tag: child.text or "" for child in root} == vector["fields"]


@pytest.mark.parametrize("vector", VECTORS["passive_reply_xml"], ids=name_of)
def test_published_replies_are_accepted(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    reply = replies.read(vector["xml"].encode(), fields["ToUserName"], fields["FromUserName"])
    assert reply.kind in {fields["MsgType"], "transfer"}


def test_cdata_end_in_a_text_does_not_end_the_field() -> None:
    hostile = "a]]></Content><Evil>1</Evil>"
    root = xml.parse(xml.build({"Content": hostile}).encode())
    assert root.findtext("Content") == hostile
    assert root.find("Evil") is None
