"""The platform's API: tokens shared, answers sorted into yes, no and nobody knows."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from bot.client import ClientConfig, WechatClient
from bot.customer import Delivery, send_text
from bot.errors import (
    AlreadySubmitted,
    ApiRefused,
    ConfigurationWrong,
    QuotaExhausted,
    RetriedTooFast,
    TokenRejected,
    TooFast,
    UserUnreachable,
    WindowClosed,
    WindowUsedUp,
)
from models.errors import Unavailable, Unknown
from tests.bot.bot_fake_api import FakeApi
from tests.bot.bot_servers import RedisServer, make_client

CUSTOM = "/cgi-bin/message/custom/send"
MENU = "/cgi-bin/menu/get"
FINE = {"errcode": 0, "errmsg": "ok"}
STALE = {"errcode": 40001, "errmsg": "invalid credential, access_token is invalid or not latest"}


def test_a_text_goes_out_as_wechat_wants_it(api: FakeApi, client: WechatClient) -> None:
    api.on(CUSTOM, FINE)
    assert send_text(client, "oA", "到账 <a href='x'>网</a>" + "网" * 900) is Delivery.SENT
    ((_, query, body),) = api.calls_of(CUSTOM)
    assert query == {"access_token": "token-1"}
    assert (body["touser"], body["msgtype"]) == ("oA", "text")
    assert len(body["text"]["content"].encode()) <= 2048


def test_the_token_is_asked_for_with_stable_token_and_never_forced(
    api: FakeApi, client: WechatClient
) -> None:
    api.on(MENU, {"menu": {}})
    client.get("menu/get")
    client.get("menu/get")
    ((_, query, body),) = api.calls_of("/cgi-bin/stable_token")
    assert query == {}
    assert body == {
        "grant_type": "client_credential",
        "appid": "wx0123456789abcdef",
        "secret": "app-secret",
        "force_refresh": False,
    }


def test_sixteen_threads_and_two_processes_fetch_one_token(
    api: FakeApi, redis: Redis, shared_server: RedisServer
) -> None:
    api.on(MENU, {"menu": {}})
    redis.flushall()
    # A Redis that is merely slow counts as away after 0.3 s, and then each process asks for itself:
    # on a busy machine that is right, and not what this test is about.
    patient = Redis.from_url(shared_server.url, socket_timeout=20)
    client, other = make_client(api.base, patient), make_client(api.base, patient)
    start = threading.Barrier(16)

    def ask(number: int) -> dict[str, Any]:
        start.wait(10)
        return (client if number % 2 else other).get("menu/get")

    with ThreadPoolExecutor(16) as threads:
        assert len(list(threads.map(ask, range(16)))) == 16
    patient.close()
    assert api.tokens_given == 1


def test_a_token_stored_while_the_lock_is_being_taken_is_used(
    api: FakeApi, redis: Redis, client: WechatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "campusnet:token:wx0123456789abcdef"
    really_ask = client.tokens._gate.ask

    def ask(*command: str | int) -> Any:
        if "NX" in command:
            # The holder before us stores its value and lets go in just this moment.
            redis.set(key, "token-of-the-other")
        return really_ask(*command)

    monkeypatch.setattr(client.tokens._gate, "ask", ask)
    assert client.tokens.get() == "token-of-the-other"
    assert api.tokens_given == 0
    assert redis.exists(f"{key}:lock") == 0


def test_a_token_that_was_renewed_elsewhere_is_fetched_once_by_all(
    api: FakeApi, redis: Redis, client: WechatClient
) -> None:
    api.on(MENU, lambda query, _: {"menu": {}} if query["access_token"] == api.token else STALE)
    client.get("menu/get")
    api.token = "token-2"
    other = make_client(api.base, redis)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: (client if n % 2 else other).get("menu/get"), range(16)))
    assert api.tokens_given == 2


def test_a_stale_token_is_renewed_exactly_once(api: FakeApi, client: WechatClient) -> None:
    api.on(MENU, STALE)
    with pytest.raises(TokenRejected):
        client.get("menu/get")
    assert len(api.calls_of(MENU)) == 2
    assert api.tokens_given == 2


def test_a_newer_token_is_not_dropped_for_an_older_one(
    api: FakeApi, redis: Redis, client: WechatClient
) -> None:
    assert client.tokens.get() == "token-1"
    redis.set("campusnet:token:wx0123456789abcdef", "token-9")
    client.tokens.drop("token-1")
    assert client.tokens.get() == "token-9"
    client.tokens.drop("token-9")
    assert client.tokens.get() == api.token


def test_the_stored_token_expires_five_minutes_early(redis: Redis, client: WechatClient) -> None:
    client.tokens.get()
    assert 6800 < redis.ttl("campusnet:token:wx0123456789abcdef") <= 6900
    assert redis.exists("campusnet:token:wx0123456789abcdef:lock") == 0


def test_without_redis_a_process_keeps_its_own_token(api: FakeApi, no_redis: Redis) -> None:
    alone = make_client(api.base, no_redis)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: alone.tokens.get(), range(8))) == {"token-1"}
    assert api.tokens_given == 1
    alone.tokens.drop("token-1")
    alone.tokens.get()
    assert api.tokens_given == 2


def test_an_abandoned_lock_stops_nobody_for_ever(
    redis: Redis, client: WechatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.tokens.LOCK_S", 0.2)
    redis.set("campusnet:token:wx0123456789abcdef:lock", "somebody-who-died")
    assert client.tokens.get() == "token-1"
    assert redis.get("campusnet:token:wx0123456789abcdef:lock") == b"somebody-who-died"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (45009, QuotaExhausted),
        (45028, QuotaExhausted),
        (45015, WindowClosed),
        (45047, WindowUsedUp),
        (45011, TooFast),
        (43004, UserUnreachable),
        (40164, ConfigurationWrong),
        (41005, ConfigurationWrong),
        (45065, AlreadySubmitted),
        (45066, RetriedTooFast),
        (47001, ApiRefused),
        (-1, Unknown),
    ],
)
def test_error_numbers_become_classes(
    api: FakeApi, client: WechatClient, code: int, error: type[Exception]
) -> None:
    api.on(MENU, {"errcode": code, "errmsg": "no rid: 1-2-3", "msg_id": 3147494552})
    with pytest.raises(error) as caught:
        client.get("menu/get")
    assert type(caught.value) is error
    if isinstance(caught.value, AlreadySubmitted):
        assert caught.value.msg_id == "3147494552"
    assert len(api.calls_of(MENU)) == 1


@pytest.mark.parametrize("answer", [b"<html>maintenance", b"[1]", b"", 500, 502, None])
def test_an_answer_that_says_nothing_is_unknown(api: FakeApi, client: WechatClient, answer: Any) -> None:
    api.on(MENU, lambda _query, _body: answer)
    with pytest.raises(Unknown):
        client.get("menu/get")


def test_control_characters_in_an_answer_are_read(api: FakeApi, client: WechatClient) -> None:
    api.on(MENU, b'{"menu": "a\x01b"}')
    assert client.get("menu/get") == {"menu": "a\x01b"}


def test_http_refusals_and_redirects_are_not_followed(api: FakeApi, client: WechatClient) -> None:
    api.on(MENU, 404)
    with pytest.raises(ApiRefused):
        client.get("menu/get")
    api.on(MENU, 302)
    with pytest.raises(Unknown):
        client.get("menu/get")


def test_a_slow_platform_is_unknown_and_an_absent_one_unavailable(api: FakeApi, redis: Redis) -> None:
    gate = threading.Event()
    api.on(MENU, lambda _query, _body: {"menu": gate.wait(10)})
    with pytest.raises(Unknown):
        make_client(api.base, redis, read_timeout_s=0.2).get("menu/get")
    gate.set()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unavailable):
        make_client(f"http://127.0.0.1:{port}", redis).get("menu/get")


def test_a_slow_token_is_given_up(api: FakeApi, redis: Redis) -> None:
    gate = threading.Event()
    api.on("/cgi-bin/stable_token", lambda _query, _body: {"access_token": gate.wait(10)})
    with pytest.raises(Unknown):
        make_client(api.base, redis, read_timeout_s=0.2).tokens.get()
    gate.set()


def test_outcomes_of_customer_messages(api: FakeApi, client: WechatClient) -> None:
    api.on(CUSTOM, {"errcode": 45015, "errmsg": "response out of time limit"})
    assert send_text(client, "oA", "x") is Delivery.UNREACHABLE
    api.on(CUSTOM, {"errcode": 45047, "errmsg": "out of count"})
    assert send_text(client, "oA", "x") is Delivery.EXHAUSTED
    api.on(CUSTOM, {"errcode": 48001, "errmsg": "api unauthorized"})
    with pytest.raises(ConfigurationWrong):
        send_text(client, "oA", "x")


def test_secrets_are_not_shown() -> None:
    assert "app-secret" not in repr(ClientConfig(app_id="wx", app_secret="app-secret"))
