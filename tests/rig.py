"""The whole house on loopback for a test: sandbox, web side, worker; built by the production wiring."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from app import wiring
from app.config import Config
from app.factory import create_app
from app.phone import Phone, until
from app.server import web_settings
from billing.embedded import seed
from models import schema
from models.clock import Clock, utc_now
from models.db.engine import Database
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.listening import listen
from tests.places import quick_folder

DEMO_BALANCE_FEN = 1234


def write_keys(folder: Path, credentials: Credentials) -> None:
    for name in ("merchant_key_pem", "public_key_pem", "platform_cert_pem"):
        (folder / f"{name}.pem").write_text(getattr(credentials, name), encoding="utf-8")


def make_config(
    folder: Path,
    credentials: Credentials,
    *,
    site: str,
    platform: str,
    database_url: str,
    redis_url: str,
    **changes: dict[str, Any],
) -> Config:
    """A demo configuration against the simulated `platform`; `changes` are whole or partial sections."""
    write_keys(folder, credentials)
    sections: dict[str, dict[str, Any]] = {
        "site": {"base_url": site, "secret_key": "test" * 16, "trusted_proxies": 1},
        "wechat": {
            "app_id": credentials.app_id,
            "app_secret": credentials.app_secret,
            "token": credentials.token,
            "encoding_aes_key": credentials.encoding_aes_key,
            "original_id": credentials.original_id,
            "api_base": platform,
            "oauth_base": platform,
        },
        "pay": {
            "mch_id": credentials.mch_id,
            "api_v3_key": credentials.api_v3_key,
            "merchant_serial": credentials.merchant_serial,
            "merchant_key_file": folder / "merchant_key_pem.pem",
            "public_key_id": credentials.public_key_id,
            "public_key_file": folder / "public_key_pem.pem",
            "platform_cert_files": (folder / "platform_cert_pem.pem",),
            "api_base": platform,
        },
        "database": {"url": database_url},
        "redis": {"url": redis_url},
        "identity": {"base_url": f"{platform}/cas"},
        "worker": {"mode": "external"},
    }
    for name, values in changes.items():
        sections.setdefault(name, {}).update(values)
    if sections["identity"].get("kind") == "oidc":
        sections["identity"] |= {
            "base_url": f"{platform}/oidc",
            "client_id": credentials.app_id,
            "client_secret": credentials.app_secret,
        }
    return Config(mode="demo", **sections)  # type: ignore[arg-type]


def toml(config: Config, folder: Path) -> Path:
    """The configuration as a file for other processes."""
    path = folder / "config.toml"
    lines = ['mode = "demo"']
    for section, values in config.model_dump(mode="python", exclude={"mode"}, by_alias=True).items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            if isinstance(value, dict) or value is None:
                continue
            plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            lines.append(f"{key} = {_toml_value(plain)}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return f"'{value}'"


def prepare(database_url: str, students: list[Any]) -> None:
    """Tables, catalogue, an account for every student with 12.34 yuan on it."""
    accounts = tuple((s.account_no, s.name) for s in students)
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        shutil.copy(_prepared_file(accounts), url.database)
    else:
        _fill(database_url, accounts)


@cache
def _prepared_file(accounts: tuple[tuple[str, str], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cn-rig-", dir=quick_folder()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "prepared.db"
    _fill(f"sqlite:///{path}", accounts)
    return path


def _fill(database_url: str, accounts: tuple[tuple[str, str], ...]) -> None:
    database = Database(database_url)
    schema.upgrade(database)
    now = utc_now()
    with database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session)
        rows = [seed.DemoAccount(no, name, balance_fen=DEMO_BALANCE_FEN) for no, name in accounts]
        seed.seed_demo_accounts(session, rows, now)
    # Closing the last connection brings everything into the one file.
    database.dispose()


class Rig:
    """Everything started; `house` is the production wiring, `phone(...)` a student's phone."""

    def __init__(
        self,
        folder: Path,
        credentials: Credentials,
        *,
        database_url: str,
        redis_url: str,
        workers: int = 1,
        clock: Clock = utc_now,
        **changes: dict[str, Any],
    ) -> None:
        # Listens before anything is configured, on a port that nobody else can take meanwhile.
        self._server = listen(self._answer)
        self.port = self._server.port
        self.origin = f"http://127.0.0.1:{self.port}"
        self.sandbox = Sandbox(credentials, Site(self.origin, f"{self.origin}/wechat"))
        self.sandbox.start()
        prepare(database_url, [s.identity for s in self.sandbox.students])
        self.config = make_config(
            folder,
            credentials,
            site=self.origin,
            platform=self.sandbox.url,
            database_url=database_url,
            redis_url=redis_url,
            **changes,
        )
        self.house = wiring.build(self.config, clock=clock)
        self._app = create_app(self.house.web, web_settings(self.config))
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)]
        self._stopped = threading.Event()
        self._threads += [
            threading.Thread(target=self.house.worker().run, args=(self._stopped,), daemon=True)
            for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._app(environ, start_response)

    def phone(self, student: str = "xiaoming") -> Phone:
        return Phone(self.sandbox.url, student)

    def close(self) -> None:
        self._stopped.set()
        for _ in self._threads:
            self.house.web.wake()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(timeout=10)
        self.house.close()
        self.sandbox.stop()


def eventually(probe: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
    return until(probe, timeout_s=timeout_s, what=what)
