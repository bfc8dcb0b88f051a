from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.crypto import MessageCipher, jsapi_signature, message_signature, same, url_signature
from bot.push import check_fields
from bot.xmlread import read_xml
from models.errors import Forged, Malformed

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "wechat.json").read_text("utf-8"))
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@pytest.mark.parametrize("vector", VECTORS["url_signatures"], ids=lambda v: v["name"])
def test_published_url_signatures_are_ours(vector: dict[str, Any]) -> None:
    ours = url_signature(vector["token"], vector["timestamp"], vector["nonce"])
    assert same(ours, vector["signature"]) is vector["valid"]


@pytest.mark.parametrize("vector", VECTORS["jsapi_signatures"])
def test_published_page_signatures_are_ours(vector: dict[str, str]) -> None:
    arguments = (vector["jsapi_ticket"], vector["noncestr"], vector["timestamp"])
    assert jsapi_signature(*arguments, vector["url"]) == vector["signature"]
    assert jsapi_signature(*arguments, vector["url"] + "#part") == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS["crypto"], ids=lambda v: v["name"])
def test_published_ciphertexts_are_ours(vector: dict[str, Any]) -> None:
    cipher = MessageCipher(vector["encoding_aes_key"], vector["appid"])
    encrypted = vector["encrypt"]
    if "msg_signature" in vector:
        parts = (vector["token"], vector["timestamp"], vector["nonce"], encrypted)
        fits = same(message_signature(*parts), vector["msg_signature"])
        assert fits is (vector.get("expect_error") != "signature")
    if vector.get("expect_error") == "appid":
        with pytest.raises(Forged, match="appid"):
            cipher.decrypt(encrypted)
    elif "plaintext" in vector:
        assert cipher.decrypt(encrypted).decode() == vector["plaintext"]
        if "random16" in vector:
            assert cipher.encrypt(vector["plaintext"].encode(), vector["random16"].encode()) == encrypted


@pytest.mark.parametrize("vector", VECTORS["push_xml"], ids=lambda v: v["kind"])
def test_published_pushes_are_understood(vector: dict[str, Any]) -> None:
    fields = check_fields(read_xml(vector["xml"].encode()))
    for name in ("FromUserName", "CreateTime"):
        assert fields[name] == vector["fields"][name].strip()
    for name in set(fields) & set(vector["fields"]) - {"MsgType"}:
        assert fields[name].strip() == vector["fields"][name].strip()


@given(st.binary(max_size=3000), st.binary(min_size=16, max_size=16))
def test_what_is_encrypted_comes_back(message: bytes, random16: bytes) -> None:
    cipher = MessageCipher(KEY, "wx1")
    assert cipher.decrypt(cipher.encrypt(message, random16)) == message


@given(st.text(max_size=200))
def test_no_text_that_is_no_ciphertext_is_decrypted(text: str) -> None:
    with pytest.raises((Malformed, Forged)):
        MessageCipher(KEY, "wx1").decrypt(text)


def _encrypt_raw(plain: bytes) -> str:
    """A ciphertext of exactly this plaintext, padding included."""
    import base64

    encryptor = MessageCipher(KEY, "wx1")._cipher.encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (b"r" * 16 + b"\0\0\0\1" + b"m" + b"wx1" + b"\0" * 8, "padding"),
        (b"r" * 16 + b"\0\0\0\1" + b"m" + b"wx1" + b"\x21" * 8, "padding"),
        (b"r" * 16 + b"\0\0\0\1" + b"m" + b"wx1" + b"\x07" + b"\x08" * 7, "padding"),
        (b"r" * 16 + b"\xff\xff\xff\xff" + b"m" + b"wx1" + b"\x08" * 8, "length"),
        (b"\x20" * 32, "short"),
    ],
    ids=["pad 0", "pad 33", "pad uneven", "length beyond", "nothing but padding"],
)
def test_broken_plaintexts_are_refused(plain: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        MessageCipher(KEY, "wx1").decrypt(_encrypt_raw(plain))


@pytest.mark.parametrize("key", ["", "short", "!" * 43, KEY[:-1]])
def test_a_wrong_key_stops_the_start(key: str) -> None:
    with pytest.raises(ValueError, match="EncodingAESKey"):
        MessageCipher(key, "wx1")
