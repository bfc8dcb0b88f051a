"""What the site is called, where it lives and what it promises: values every layer may need."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal

# Far above any amount that a counter sees; `[counter] max_fen` sets the bound of a site.
MAX_ENTRY_FEN = 1_000_000


@dataclass(frozen=True)
class Contact:
    """Where people find help; shown under 联系我们 and on every failure page."""

    qq_group: str
    hotline: str
    office: str
    office_hours: str
    # Local hours between which 客服 forwards to a human, on working days.
    service_from_hour: int
    service_until_hour: int


@dataclass(frozen=True)
class Site:
    """`base_url` without a slash at the end; `campus_networks` decide who is on campus."""

    name: str
    base_url: str
    intranet_url: str
    campus_networks: tuple[IPv4Network | IPv6Network, ...]
    contact: Contact

    def link(self, path: str) -> str:
        """An absolute address on this site; `path` starts with a slash."""
        return self.base_url + path

    def on_campus(self, address: str) -> bool:
        """Whether a client address belongs to the campus network; garbage is outside."""
        try:
            client = ip_address(address)
        except ValueError:
            return False
        # A socket for both versions calls an IPv4 client ::ffff:10.70.1.23.
        client = getattr(client, "ipv4_mapped", None) or client
        return any(client in network for network in self.campus_networks if network.version == client.version)


@dataclass(frozen=True)
class CounterRules:
    """Bounds of the counter and of bank lists.

    Args:
        max_fen: the most that one booking or one transfer may be.
        confirm_transfers_days: within so many days a bank list has to confirm a transfer that a clerk
            booked; also how far apart the two may be seen as the same money.
        bank_account: the bank account of lists that do not name one.
    """

    max_fen: int = 1_000_000
    confirm_transfers_days: int = 7
    bank_account: str = ""


DEFAULT_COUNTER_RULES = CounterRules()


@dataclass(frozen=True)
class RechargeRules:
    """Bounds of one recharge, in fen; `order_ttl_s` is how long an order can be paid.

    `second_payment` is what becomes of money that came twice for one order: `credit`, `refund`, or
    `ask` for a person to decide. `foreign_prefixes` begin the numbers of other systems on the same merchant
    number. `max_entry_fen` bounds one adjusting entry.
    """

    presets_fen: tuple[int, ...]
    min_fen: int
    max_fen: int
    step_fen: int
    daily_limit_fen: int
    order_ttl_s: int
    second_payment: Literal["ask", "credit", "refund"] = "ask"
    foreign_prefixes: tuple[str, ...] = ()
    max_entry_fen: int = MAX_ENTRY_FEN
