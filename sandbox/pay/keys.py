"""Which of the platform's keys signs and seals what, and the headers that say so.

Two kinds of keys sign: the public key (its successor) and the platform certificate (its successor). A
roll-out gives the new one a share of the turns, evenly spread, as the real platform does over seven days.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox import credentials as console
from sandbox.chance import Chance
from sandbox.credentials import Credentials, KeyPair
from sandbox.pay import crypto

PUBLIC_KEY = "public_key"
CERTIFICATE = "certificate"
MIXED = "mixed"
MODES = (PUBLIC_KEY, CERTIFICATE, MIXED)
API_V3_KEY = "api_v3_key"
KINDS = (API_V3_KEY, PUBLIC_KEY, CERTIFICATE)
EVERY_SECOND = 50.0

UNSIGNED = "unsigned"
WRONG_KEY = "wrong_key"
UNKNOWN_SERIAL = "unknown_serial"
STALE = "stale_timestamp"
FUTURE = "future_timestamp"
SIGNTEST = "signtest"
SPOILED = frozenset({UNSIGNED, WRONG_KEY, UNKNOWN_SERIAL, STALE, FUTURE, SIGNTEST})
OFF_S = {STALE: -86_400, FUTURE: 3600}
NOBODYS = {PUBLIC_KEY: "PUB_KEY_ID_01" + "9" * 30, CERTIFICATE: "7" * 40}


class Rollout:
    """A share of the turns, evenly spread; where it begins comes from the seed."""

    def __init__(self, percent: float, start: int = 0) -> None:
        if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
            raise ValueError("percent is 0 to 100")
        self.percent = percent
        self._share = Fraction(str(percent)) / 100
        self._turns = itertools.count(start + 1)

    def turn(self) -> bool:
        """Whether this turn belongs to the share."""
        number = next(self._turns)
        return number * self._share // 1 > (number - 1) * self._share // 1


class Succession:
    """One key by name and, while it is being replaced, the next one."""

    def __init__(self, name: str) -> None:
        self.names = [name]
        self.rollout = Rollout(100.0)

    def turn(self) -> str:
        """Whose turn it is."""
        return self.names[-1 if self.rollout.turn() else 0]


class PlatformKeys:
    """Signs and seals as the platform.

    `mode` is where the roll-out of the public key stands for notifications; in `mixed` the public key has
    `share` of the turns. `seed` is where its turns begin; `keep` is told each change of a key.
    """

    def __init__(
        self,
        credentials: Credentials,
        chance: Chance | None = None,
        *,
        seed: int = 0,
        keep: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.mode = PUBLIC_KEY
        self.share = Rollout(EVERY_SECOND, seed)
        self._seed = seed
        self._keep = keep or (lambda _kept: None)
        self._made: dict[str, tuple[str, KeyPair]] = {}
        self._chance = chance or Chance()
        self.successions = {
            API_V3_KEY: Succession(credentials.api_v3_key),
            PUBLIC_KEY: Succession(credentials.public_key_id),
            CERTIFICATE: Succession(credentials.platform_serial),
        }
        self.certificates = {credentials.platform_serial: credentials.platform_cert_pem}
        self._private = {
            credentials.public_key_id: _private(credentials.platform_public_key_private_pem),
            credentials.platform_serial: _private(credentials.platform_cert_key_pem),
        }
        certificate = x509.load_pem_x509_certificate(credentials.merchant_cert_pem.encode())
        self.merchant = cast("RSAPublicKey", certificate.public_key())

    def mix(self, percent: float) -> None:
        """From now on notifications are signed with both kinds; the public key has `percent`."""
        self.share = Rollout(percent, self._seed)
        self.mode = MIXED

    def knows(self, serial: str) -> bool:
        """Whether a request may ask for answers signed with this key."""
        return serial in self._private

    def for_answer(self, asked: str | None) -> str:
        """The key the request names; without a name the platform certificate, as ever."""
        return asked or self.successions[CERTIFICATE].turn()

    def for_notification(self) -> str:
        """The key of the next notification."""
        kind = self.mode
        if kind == MIXED:
            kind = PUBLIC_KEY if self.share.turn() else CERTIFICATE
        return self.successions[kind].turn()

    def for_sealing(self) -> str:
        """The APIv3 key of the next sealed object."""
        return self.successions[API_V3_KEY].turn()

    def replace(self, kind: str, percent: float) -> dict[str, object]:
        """Give the successor of a key `percent` of the turns; the first time it is made.

        Returns: what the console shows of it (the key, or its id or serial and its PEM).
        """
        line = self.successions[kind]
        line.rollout = Rollout(percent)
        shown = {"name": line.names[-1]} if len(line.names) > 1 else self._new(kind)
        self._keep(self.as_kept())
        return {**shown, "percent": percent}

    def retire(self, kind: str) -> None:
        """The old key is gone: nothing is signed with it and no request may name it."""
        line = self.successions[kind]
        self._drop(line.names[:-1])
        line.names = line.names[-1:]
        self._keep(self.as_kept())

    def as_kept(self) -> dict[str, Any]:
        """JSON-ready: the names of each kind, the share of the newest, and every key that was made here."""
        lines = self.successions.items()
        return {
            "names": {kind: line.names for kind, line in lines},
            "percent": {kind: line.rollout.percent for kind, line in lines},
            "made": [[kind, asdict(pair)] for kind, pair in self._made.values()],
        }

    def bring_back(self, kept: dict[str, Any]) -> None:
        """Be what `as_kept` told."""
        for kind, pair in kept["made"]:
            self._take(kind, KeyPair(**pair))
        for kind, line in self.successions.items():
            self._drop([name for name in line.names if name not in kept["names"][kind]])
            line.names = list(kept["names"][kind])
            line.rollout = Rollout(kept["percent"][kind])

    def headers(self, serial: str, body: bytes, now_s: float, *, spoil: str = "") -> dict[str, str]:
        """The five signature headers over `body`; `spoil` names what is wrong with them on purpose."""
        if spoil == UNSIGNED:
            return {}
        timestamp = str(int(now_s) + OFF_S.get(spoil, 0))
        nonce = self._chance.stream("pay.signature nonce").hex(32)
        key = self._other(serial) if spoil == WRONG_KEY else self._private[serial]
        signature = crypto.sign(key, crypto.answer_message(timestamp, nonce, body))
        if spoil == SIGNTEST:
            signature = f"WECHATPAY/SIGNTEST/{signature}"
        if spoil == UNKNOWN_SERIAL:
            serial = NOBODYS[CERTIFICATE if serial in self.certificates else PUBLIC_KEY]
        return {
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": signature,
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature-Type": crypto.SCHEME,
        }

    def _new(self, kind: str) -> dict[str, object]:
        """Make the successor of a key. Returns: what the console shows of it."""
        if kind == API_V3_KEY:
            key = console.new_api_v3_key()
            self.successions[kind].names.append(key)
            return {"name": key}
        public = kind == PUBLIC_KEY
        made = console.new_public_key() if public else console.new_certificate("campusnet sandbox platform")
        self._take(kind, made)
        self.successions[kind].names.append(made.name)
        return {"name": made.name, "pem": made.pem}

    def _take(self, kind: str, made: KeyPair) -> None:
        self._made[made.name] = (kind, made)
        self._private[made.name] = _private(made.private_pem)
        if kind == CERTIFICATE:
            self.certificates[made.name] = made.pem

    def _drop(self, names: list[str]) -> None:
        for name in names:
            self._made.pop(name, None)
            self._private.pop(name, None)
            self.certificates.pop(name, None)

    def _other(self, serial: str) -> RSAPrivateKey:
        return next(key for name, key in self._private.items() if name != serial)


def signed_text(headers: dict[str, str], body: bytes) -> str:
    """The string behind these headers, for the log."""
    if not headers:
        return "(没有签名)"
    message = crypto.answer_message(headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], body)
    return message.decode("utf-8", "replace")


def _private(pem: str) -> RSAPrivateKey:
    # Our own keys, made by `sandbox.credentials`: checking their primes again takes 80 ms each.
    key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    return cast("RSAPrivateKey", key)
