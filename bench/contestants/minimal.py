"""The smallest view that does the same work on Redis and the database: one file, fast, and trusting.

It claims the push and reads the conversation in one round trip, reads the balance with one
statement, answers with the same words and stores the reply in one round trip. It has no deadline,
no guard around its code, no table of handlers, no checks of fields, and nobody could extend it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import sqlite3
import struct
import threading
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import redis
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from flask import Flask, Response, request

from bench.scene import APP_ID, BALANCE, ENCODING_AES_KEY, TOKEN, Scene

PATH = "/wechat"
ZONE = ZoneInfo("Asia/Shanghai")
XML = "application/xml; charset=utf-8"
ENCRYPTED = re.compile(rb"<Encrypt><!\[CDATA\[(.+?)\]\]></Encrypt>")
FIELDS = re.compile(
    rb"<ToUserName><!\[CDATA\[(.+?)\]\]></ToUserName>\s*<FromUserName><!\[CDATA\[(.+?)\]\]></FromUserName>"
    rb".*?<Content><!\[CDATA\[(.*?)\]\]></Content>.*?<MsgId>(\d+)</MsgId>",
    re.DOTALL,
)
CLAIM = """
if redis.call('SET', KEYS[1], 'P', 'NX', 'EX', 60) then return {1, redis.call('GET', KEYS[2]) or ''} end
return {0, redis.call('GET', KEYS[1]) or ''}
"""
QUERY = """
SELECT b.account_no, a.name, a.balance_fen, l.kind, l.total_bytes, l.used_bytes, l.ends_at, p.name
FROM person JOIN binding b ON b.person_id = person.id AND b.unbound_at IS NULL
JOIN account a ON a.account_no = b.account_no
LEFT JOIN traffic_lot l ON l.account_no = a.account_no AND l.ends_at > ?2 AND l.starts_at <= ?2
LEFT JOIN package p ON p.code = l.package_code
WHERE person.openid = ?1 ORDER BY l.kind = 'grant' DESC, l.ends_at, l.starts_at
"""


def tap(word: str) -> str:
    return f'<a href="weixin://bizmsgmenu?msgmenucontent={word}&msgmenuid=1">{word}</a>'


TAPS = "　".join((tap("充值"), tap("流量"), tap("套餐")))


def gigabytes(count: int) -> str:
    tenths = count // 100_000_000
    return f"{tenths // 10}.{tenths % 10}"


def words(rows: list[tuple[str, str, int, str, int, int, str, str | None]], now: datetime) -> str:
    account, name, fen = rows[0][:3]
    left_bytes = sum(row[4] - row[5] for row in rows)
    package = "无"
    for _, _, _, kind, total_bytes, used_bytes, ends_at, package_name in rows:
        if kind != "grant":
            ends = datetime.fromisoformat(ends_at).replace(tzinfo=UTC).astimezone(ZONE)
            quota = f"剩 {gigabytes(total_bytes - used_bytes)} / {gigabytes(total_bytes)} GB"
            package = f"{package_name}：{quota}，有效至{ends.month}月{ends.day}日"
            break
    speed = "全速" if left_bytes > 0 else "限速中（高速流量已用完，不断网）"
    return (
        f"账号：{account}（*{name[1:]}）\n余额：{fen // 100}.{fen % 100:02d} 元\n当前套餐：{package}\n"
        f"高速流量剩余：{gigabytes(left_bytes)} GB\n网速：{speed}\n"
        f"更新于 {now.astimezone(ZONE):%H:%M}\n\n{TAPS}"
    )


def create_app() -> Flask:
    """Everything in one closure, as a script would have it."""
    scene = Scene.from_environment()
    app = Flask(__name__)
    store = redis.Redis.from_url(scene.redis_url)
    claim_sha = store.script_load(CLAIM)
    key = base64.b64decode(ENCODING_AES_KEY + "=")
    cipher = Cipher(AES(key), CBC(key[:16]))
    app_id = APP_ID.encode()
    local = threading.local()

    def sign(*parts: str) -> str:
        return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - WeChat's algorithm

    def sql(openid: str, at: datetime) -> list[tuple[str, str, int, str, int, int, str, str | None]]:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(scene.database)
        moment = at.strftime("%Y-%m-%d %H:%M:%S.%f")
        return local.connection.execute(QUERY, (openid, moment)).fetchall()  # type: ignore[no-any-return]

    @app.post(PATH)
    def view() -> Response | tuple[str, int]:
        query = request.args
        timestamp, nonce = query["timestamp"], query["nonce"]
        encrypted = ENCRYPTED.search(request.get_data(cache=False)).group(1)  # type: ignore[union-attr]
        if (
            not hmac.compare_digest(sign(TOKEN, timestamp, nonce, encrypted.decode()), query["msg_signature"])
            or abs(time.time() - int(timestamp)) > 300
        ):
            return "forbidden", 403
        decryptor = cipher.decryptor()
        plain = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
        end = 20 + struct.unpack_from(">I", plain, 16)[0]
        if plain[end : -plain[-1]] != app_id:
            return "forbidden", 403
        to, sender, text, number = (
            part.decode()
            for part in FIELDS.search(plain[20:end]).groups()  # type: ignore[union-attr]
        )
        name = f"m:{number}"
        ours, stored = store.evalsha(claim_sha, 2, name, f"c:{sender}")
        if ours:
            now = datetime.now(UTC)
            answer = words(sql(sender, now), now) if text == BALANCE else "请回复“余额”。"
            reply = (
                f"<xml><ToUserName><![CDATA[{sender}]]></ToUserName>"
                f"<FromUserName><![CDATA[{to}]]></FromUserName><CreateTime>{int(now.timestamp())}</CreateTime>"
                f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{answer}]]></Content></xml>"
            ).encode()
            store.set(name, reply, ex=60)
        else:
            reply = stored
        padded = os.urandom(16) + struct.pack(">I", len(reply)) + reply + app_id
        pad = 32 - len(padded) % 32
        encryptor = cipher.encryptor()
        sealed = base64.b64encode(
            encryptor.update(padded + bytes((pad,)) * pad) + encryptor.finalize()
        ).decode()
        at = str(int(time.time()))
        return Response(
            f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt>"
            f"<MsgSignature><![CDATA[{sign(TOKEN, at, nonce, sealed)}]]></MsgSignature>"
            f"<TimeStamp>{at}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>",
            content_type=XML,
        )

    return app
