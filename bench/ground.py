"""The ground all contestants stand on: one Redis, one database with people and traffic, one configuration."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import redis
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import select

from app.redis_server import RedisServer
from bench.scene import APP_ID, ENCODING_AES_KEY, ORIGINAL_ID, PEOPLE, TOKEN, Scene, account_no, openid
from billing import registry
from models import schema
from models.clock import month_start, next_month_start, utc_now
from models.db.engine import Database
from models.ledger import Account
from models.money import BYTES_PER_GB
from models.package import GrantPolicy, LotKind, TrafficLot
from models.person import Binding, Person

BALANCE_FEN = 1250
KEY_BITS = 2048
# Nobody listens there: a message about the balance needs no call to the platform.
NOWHERE = "http://127.0.0.1:9"
PACKAGE_CODE = "P10"


@contextmanager
def ground(folder: Path) -> Iterator[Scene]:
    """Everything prepared; Redis ends with the block, the files stay in `folder`."""
    server = RedisServer(folder / "redis")
    try:
        scene = Scene(folder, server.url)
        with redis.Redis.from_url(server.url) as store:
            # Writing a log for each SET would slow down whoever sets most.
            store.config_set("appendonly", "no")
        _write_config(scene)
        _fill(scene)
        yield scene
    finally:
        server.stop()


def _fill(scene: Scene) -> None:
    database = Database(f"sqlite:///{scene.database}")
    schema.upgrade(database)
    now = utc_now()
    registry.seed_demo(database, (), now=now)
    with database.transaction() as session:
        policy = session.scalars(select(GrantPolicy.id)).first()
        session.add_all(_account(number, now) for number in range(PEOPLE))
        session.add_all(
            Person(id=number + 1, openid=openid(number), created_at=now) for number in range(PEOPLE)
        )
        session.flush()  # what follows refers to both
        for number in range(PEOPLE):
            account = account_no(number)
            session.add(Binding(person_id=number + 1, account_no=account, bound_at=now))
            session.add(_granted(account, policy, now))
            session.add(_bought(account, now))
    database.dispose()


def _account(number: int, now: datetime) -> Account:
    return Account(
        account_no=account_no(number),
        name="王小明",
        kind="undergraduate",
        balance_fen=BALANCE_FEN,
        created_at=now,
    )


def _granted(account: str, policy: int | None, now: datetime) -> TrafficLot:
    return TrafficLot(
        account_no=account,
        kind=LotKind.GRANT,
        grant_policy_id=policy,
        total_bytes=30 * BYTES_PER_GB,
        used_bytes=12 * BYTES_PER_GB,
        starts_at=month_start(now),
        ends_at=next_month_start(now),
    )


def _bought(account: str, now: datetime) -> TrafficLot:
    return TrafficLot(
        account_no=account,
        kind=LotKind.PACKAGE,
        package_code=PACKAGE_CODE,
        total_bytes=20 * BYTES_PER_GB,
        used_bytes=7 * BYTES_PER_GB,
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=29),
    )


def _write_config(scene: Scene) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (scene.folder / "merchant_key.pem").write_bytes(private)
    (scene.folder / "public_key.pem").write_bytes(public)
    scene.config.write_text(
        f"""mode = "demo"
[site]
base_url = "{NOWHERE}"
trusted_proxies = 1
secret_key = "{secrets.token_hex(32)}"
[wechat]
app_id = "{APP_ID}"
app_secret = "{secrets.token_hex(16)}"
token = "{TOKEN}"
encoding_aes_key = "{ENCODING_AES_KEY}"
original_id = "{ORIGINAL_ID}"
api_base = "{NOWHERE}"
oauth_base = "{NOWHERE}"
[pay]
mch_id = "1900000001"
api_v3_key = "{secrets.token_hex(16)}"
merchant_serial = "{secrets.token_hex(20).upper()}"
merchant_key_file = "merchant_key.pem"
public_key_id = "PUB_KEY_ID_0119000000012026010100000000000001"
public_key_file = "public_key.pem"
api_base = "{NOWHERE}"
[database]
url = "sqlite:///{scene.database}"
[redis]
url = "{scene.redis_url}"
[identity]
base_url = "{NOWHERE}/cas"
[worker]
mode = "external"
""",
        encoding="utf-8",
    )
