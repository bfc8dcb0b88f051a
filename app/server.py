"""The production server: gunicorn with threads, the worker inside when the configuration says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from gunicorn.app.base import BaseApplication

from app import wiring
from app.config import Config
from app.config_sections import LOOPBACK_HOSTS
from app.factory import WebSettings, create_app

GRACE_S = 10

log = structlog.get_logger()


class Server(BaseApplication):  # type: ignore[misc]
    """Each process builds its own connections after the fork; nothing is shared but the socket.

    Args:
        read: gives the configuration; asked again at SIGHUP. Raises: OSError, ValueError.
    """

    def __init__(self, read: Callable[[], Config], *, bind: str, processes: int, threads: int) -> None:
        self._read = read
        self._config = read()
        self._options = {
            "bind": bind,
            "workers": processes,
            "threads": threads,
            "worker_class": "gthread",
            "graceful_timeout": GRACE_S,
            "timeout": 30,
            "keepalive": 75,
            # The control socket of gunicorn 27 lives in the home folder and is shared by accident.
            "control_socket_disable": True,
            "post_worker_init": self._start_worker,
            "worker_exit": self._stop_worker,
            "loglevel": "warning",
        }
        self._stopped = threading.Event()
        self._house: wiring.House | None = None
        super().__init__()

    def load_config(self) -> None:
        """Hand our options to gunicorn."""
        for key, value in self._options.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def reload(self) -> None:
        """Take the configuration of now; one that cannot be used is refused, and the service goes on."""
        try:
            config = self._read()
            wiring.build(config).close()
        except (OSError, ValueError):
            log.exception("reload_refused")
        else:
            self._config = config
        super().reload()

    def load(self) -> Any:
        """Build the application; called in each process."""
        self._house = wiring.build(self._config)
        return create_app(self._house.web, web_settings(self._config))

    def _start_worker(self, _process: Any) -> None:
        if self._config.worker.mode != "embedded" or self._house is None:
            return
        worker = self._house.worker()
        threading.Thread(target=worker.run, args=(self._stopped,), name="worker", daemon=True).start()

    def _stop_worker(self, _server: Any, _process: Any) -> None:
        self._stopped.set()


def web_settings(config: Config) -> WebSettings:
    """What Flask must know of the configuration."""
    return WebSettings(
        secret_key=config.site.secret_key.get_secret_value(),
        secure_cookies=urlsplit(config.site.base_url).scheme == "https",
        trusted_proxies=config.site.trusted_proxies,
        old_secret_keys=tuple(key.get_secret_value() for key in config.site.old_secret_keys),
        trusted_hosts=(
            urlsplit(config.site.base_url).hostname or "",
            *config.site.extra_hosts,
            *(LOOPBACK_HOSTS if config.mode == "demo" else ()),
        ),
    )
