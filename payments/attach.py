"""The `attach` of a prepay request: what an order is for, signed, so that it can be rebuilt without us.

WeChat returns the text unchanged in queries, callbacks and the trade bill. It holds the version, the
account, the purpose and a truncated HMAC over these, the number and the amount; at most 128 bytes ASCII.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

VERSION = "c1"
RECHARGE, PACKAGE = "r", "p"
MAC_BYTES = 16
ATTACH_MAX = 128
# Fields without the HMAC: version, account, purpose; a package has its code and price as well.
_RECHARGE_FIELDS, _PACKAGE_FIELDS = 3, 5


@dataclass(frozen=True)
class Attach:
    """What an order is for: an account, and the package that is bought at `price_fen` once it is paid."""

    account_no: str
    package_code: str | None = None
    price_fen: int | None = None


@dataclass(frozen=True)
class AttachKeys:
    """Keys of the HMAC: the first one signs, all of them verify. Without keys nothing is signed."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    def sign(self, attach: Attach, *, out_trade_no: str, amount_fen: int) -> str | None:
        """Return the text to send with prepay; None without a key, or where it would be too long."""
        if not self.keys:
            return None
        content = _content(attach)
        text = f"{content}:{_mac(self.keys[0], content, out_trade_no, amount_fen)}"
        return text if len(text) <= ATTACH_MAX else None

    def verify(self, text: str | None, *, out_trade_no: str, amount_fen: int) -> Attach | None:
        """Return what the text says; None unless we signed it for this number and this amount."""
        if not text or not text.isascii() or len(text) > ATTACH_MAX:
            return None
        content, _, mac = text.rpartition(":")
        if not any(
            hmac.compare_digest(mac, _mac(key, content, out_trade_no, amount_fen)) for key in self.keys
        ):
            return None
        return _parsed(content)


def _content(attach: Attach) -> str:
    fields = [VERSION, quote(attach.account_no, safe="")]
    if attach.package_code is None:
        fields.append(RECHARGE)
    else:
        fields += [PACKAGE, quote(attach.package_code, safe=""), str(attach.price_fen)]
    return ":".join(fields)


def _parsed(content: str) -> Attach | None:
    """Return the fields of a verified text; None for a version or purpose that this code does not know."""
    version, account_no, purpose, *rest = [*content.split(":"), "", "", ""]
    count = content.count(":") + 1
    if version != VERSION:
        return None
    if purpose == RECHARGE and count == _RECHARGE_FIELDS:
        return Attach(unquote(account_no))
    if purpose == PACKAGE and count == _PACKAGE_FIELDS:
        return Attach(unquote(account_no), unquote(rest[0]), int(rest[1]))
    return None


def _mac(key: bytes, content: str, out_trade_no: str, amount_fen: int) -> str:
    message = f"{content}\n{out_trade_no}\n{amount_fen}".encode()
    digest = hmac.digest(key, message, "sha256")[:MAC_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
