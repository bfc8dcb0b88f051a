"""Everything one running sandbox consists of; every part receives it as its first argument."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from sandbox.chance import Chance
from sandbox.clock import Scheduler, VirtualClock
from sandbox.credentials import Credentials
from sandbox.faults import Faults
from sandbox.wire import Outbound, WireLog


@dataclass(frozen=True)
class Site:
    """Where the site under test lives. `origin` like http://127.0.0.1:8000; `push_url` receives messages."""

    origin: str
    push_url: str
    message_mode: str = "safe"


class Engine:
    """Clock, log, chance, faults, credentials; the parts (oa, pay, cas) hang their own state on it.

    `lock` guards all state of all parts: the sandbox favours being right over being fast.
    Never hold it while calling the site. With `shared_clock` the site runs on the same virtual
    clock (tests in one process); without it signatures carry the real time, because a site in
    another process would refuse a message from the future.
    """

    def __init__(
        self, credentials: Credentials, site: Site, *, seed: int = 0, shared_clock: bool = True
    ) -> None:
        self.shared_clock = shared_clock
        self.credentials = credentials
        self.site = site
        self.clock = VirtualClock()
        self.scheduler = Scheduler(self.clock)
        self.wire = WireLog(self.clock)
        self.outbound = Outbound(self.wire, self.clock)
        self.chance = Chance(seed)
        self.faults = Faults(self.chance, lambda: self.clock.now())  # noqa: PLW0108 - a test may put in another clock
        self.lock = threading.RLock()

    def stamp(self) -> float:
        """Seconds since 1970 as the site's clock shows them: for everything that is signed."""
        return self.clock.timestamp() if self.shared_clock else time.time()
