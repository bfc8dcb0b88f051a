"""The WeChat Pay v3 client: prepay, query, close, refund, JSAPI parameters, notifications. No database.

Every call has three outcomes: a value is *done*; `PayRefused` and `Unavailable` are *certainly not
done*; `Unknown` is *perhaps done*. Nothing is repeated here but a query whose kept-alive
connection was gone; the outbox repeats, with the same number. Bodies, headers and openids are
never logged.

Source: pay.weixin.qq.com/doc/v3/merchant/4012791856 ff. (JSAPI支付), 4013053420 (verification).
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from models.clock import CAMPUS_ZONE, Clock
from models.errors import Forged, Malformed, Unavailable, Unknown
from payments.wechatpay import crypto, messages
from payments.wechatpay.config import PayConfig
from payments.wechatpay.errors import (
    AlreadyPaid,
    OrderClosed,
    PayRefused,
    RefundNotFound,
    TradeNotFound,
    refusal,
)
from payments.wechatpay.keys import KeyRing
from payments.wechatpay.messages import Notification, RefundTrade, Trade

__all__ = [
    "AlreadyPaid",
    "Notification",
    "OrderClosed",
    "PayConfig",
    "PayRefused",
    "RefundNotFound",
    "RefundTrade",
    "Trade",
    "TradeNotFound",
    "WechatPay",
]

NOTIFY_MAX_BYTES = 64 * 1024
ANSWER_MAX_BYTES = 256 * 1024
FILE_PIECE_BYTES = 256 * 1024
POOL_SIZE = 32
DESCRIPTION_MAX = 127
REASON_MAX = 80
REFUNDS = "/v3/refund/domestic/refunds"


class _Dropped(Unknown):
    """The connection ended before the answer was complete."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def request_id(self) -> str:
        return self.headers.get("Request-ID", "")[:128]


class WechatPay:
    """One merchant's client; safe to share between threads.

    Raises: ValueError (crypto.BadKey among them) - the configuration cannot work.
    """

    def __init__(self, config: PayConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._key = crypto.load_private_key(config.merchant_key_pem)
        self._ring = KeyRing(config.public_keys, config.platform_certs)
        self._api_v3_keys = (config.api_v3_key, *config.old_api_v3_keys)
        self._http = _new_session()

    @property
    def app_id(self) -> str:
        """The official account whose openids pay."""
        return self._config.app_id

    @property
    def mch_id(self) -> str:
        """The merchant."""
        return self._config.mch_id

    def disconnect(self) -> None:
        """Close pooled connections (at the end, in tests)."""
        self._http.close()

    def prepay(
        self,
        *,
        out_trade_no: str,
        description: str,
        amount_fen: int,
        openid: str,
        expires_at: datetime,
        attach: str = "",
    ) -> str:
        """Place the order, or place it again unchanged: a `prepay_id` that lives two hours.

        Raises: AlreadyPaid, OrderClosed, other PayRefused; Unavailable; Unknown - repeat with the
            same arguments, WeChat compares them.
        """
        body: dict[str, Any] = {
            "appid": self._config.app_id,
            "mchid": self._config.mch_id,
            "description": description[:DESCRIPTION_MAX],
            "out_trade_no": messages.checked_number(out_trade_no),
            "time_expire": expires_at.astimezone(CAMPUS_ZONE).isoformat(timespec="seconds"),
            "notify_url": self._config.notify_url,
            "amount": {"total": amount_fen, "currency": "CNY"},
            "payer": {"openid": openid},
        }
        if attach:
            body["attach"] = attach
        prepay_id = self._call("POST", "/v3/pay/transactions/jsapi", body, done=200).get("prepay_id")
        if not isinstance(prepay_id, str) or not prepay_id:
            raise Unknown("the answer to prepay holds no prepay_id")
        return prepay_id

    def query(self, out_trade_no: str) -> Trade:
        """The order as WeChat knows it now.

        Raises: TradeNotFound - never placed; other PayRefused; Unavailable; Unknown.
        """
        answer = self._look(f"{_order_path(out_trade_no)}?mchid={self._config.mch_id}")
        try:
            trade = messages.trade_from(answer)
        except Malformed as error:
            raise Unknown(f"the answer to query is no trade: {error}") from None
        if trade.out_trade_no != out_trade_no:
            raise Unknown("the answer to query is about another order")
        return trade

    def close(self, out_trade_no: str) -> None:
        """Make the order unpayable; again is fine.

        Raises: AlreadyPaid - query it; other PayRefused; Unavailable; Unknown - query, then again.
        """
        body = {"mchid": self._config.mch_id}
        self._call("POST", f"{_order_path(out_trade_no)}/close", body, done=204)

    def refund(
        self, *, out_trade_no: str, out_refund_no: str, amount_fen: int, total_fen: int, reason: str
    ) -> RefundTrade:
        """Ask for money to go back; again with the same number and amounts is the same refund.

        The answer means that WeChat took the task, rarely that the money has arrived.
        Raises: PayRefused, Unavailable - a rate limit on this call says nothing: `query_refund` first;
            Unknown - `query_refund` first, then again under the same number.
        Source: pay.weixin.qq.com/doc/v3/merchant/4012791862.
        """
        body: dict[str, Any] = {
            "out_trade_no": messages.checked_number(out_trade_no),
            "out_refund_no": messages.checked_refund_number(out_refund_no),
            "reason": reason[:REASON_MAX],
            "amount": {"refund": amount_fen, "total": total_fen, "currency": "CNY"},
        }
        if self._config.refund_notify_url:
            body["notify_url"] = self._config.refund_notify_url
        return _refund_of(self._call("POST", REFUNDS, body, done=200), out_refund_no)

    def query_refund(self, out_refund_no: str) -> RefundTrade:
        """The refund as WeChat knows it now, ours or one that was made elsewhere.

        Raises: RefundNotFound - never accepted; other PayRefused; Unavailable; Unknown.
        """
        try:
            answer = self._look(f"{REFUNDS}/{messages.refund_path_part(out_refund_no)}")
        except PayRefused as refused:
            # By WeChat's word only: the 404 of some proxy on the way says nothing about the refund.
            if refused.code != "RESOURCENOTEXISTS":
                raise
            raise RefundNotFound(refused.code, refused.message, refused.request_id) from None
        return _refund_of(answer, out_refund_no)

    def jsapi_params(self, prepay_id: str) -> dict[str, str]:
        """The arguments of `getBrandWCPayRequest` in the page; all of them are strings."""
        timestamp, nonce = self._timestamp(), secrets.token_hex(16)
        package = f"prepay_id={prepay_id}"
        message = crypto.jsapi_message(self._config.app_id, timestamp, nonce, package)
        return {
            "appId": self._config.app_id,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": crypto.sign(self._key, message),
        }

    def verify_notify(self, headers: Mapping[str, str], raw_body: bytes) -> Notification:
        """Believe a notification and open it; asks nobody.

        Raises: Forged - signature, age, key or cipher wrong, or a probe; Malformed - too long, or
            signed but no notification we know.
        """
        if len(raw_body) > NOTIFY_MAX_BYTES:
            raise Malformed("notification too long")
        serial = self._ring.check(headers, raw_body, self._clock())
        return messages.open_notification(raw_body, serial, self._api_v3_keys)

    def reopen_notification(self, raw_body: bytes) -> Notification:
        """Open a notification that was believed when it came and kept since. Raises: Forged, Malformed."""
        return messages.open_notification(raw_body, "", self._api_v3_keys)

    def trade_from(self, resource: Mapping[str, Any]) -> Trade:
        """The known fields of a decrypted transaction. Raises: Malformed."""
        return messages.trade_from(resource)

    def refund_from(self, resource: Mapping[str, Any]) -> RefundTrade:
        """The known fields of a decrypted refund. Raises: Malformed."""
        return messages.refund_from(resource)

    def look(self, target: str) -> dict[str, Any]:
        """The signed answer to a question that changes nothing; `target` is path and query.

        Raises: PayRefused; Unavailable; Unknown.
        """
        return self._look(target)

    def download(self, target: str) -> Iterator[bytes]:
        """The bytes of a file, piece by piece: its answer is not signed, so a hash must vouch for it.

        Raises: PayRefused; Unavailable; Unknown - also on the way, or when all of it takes too long.
        """
        timeouts = (self._config.connect_timeout_s, self._config.read_timeout_s)
        url = self._config.api_base + target
        deadline_s = time.monotonic() + self._config.download_timeout_s
        try:
            with self._http.get(
                url,
                headers=self._headers("GET", target, b""),
                timeout=timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != 200:  # noqa: PLR2004 - HTTP
                    raise _no_file(response)
                while piece := response.raw.read1(FILE_PIECE_BYTES, decode_content=False):
                    # The time-out of `requests` is per packet, this one is for all of it.
                    if time.monotonic() > deadline_s:
                        raise Unknown("file too slow")
                    yield piece
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _network_error(error) from None

    def _timestamp(self) -> str:
        return str(int(self._clock().timestamp()))

    def _look(self, target: str) -> dict[str, Any]:
        try:
            return self._call("GET", target, None, done=200)
        except _Dropped:
            # Looking twice does no harm, and a connection kept alive may end between two calls.
            return self._call("GET", target, None, done=200)

    def _call(self, method: str, target: str, body: dict[str, Any] | None, *, done: int) -> dict[str, Any]:
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        answer = self._exchange(method, target, raw)
        if 400 <= answer.status < 500:  # noqa: PLR2004 - the client errors of HTTP
            raise refusal(answer.status, answer.body, answer.request_id)
        if answer.status != done:
            raise Unknown(f"HTTP {answer.status} (Request-ID {answer.request_id or 'none'})")
        try:
            self._ring.check(answer.headers, answer.body, self._clock())
            return messages.parse_object(answer.body) if answer.body else {}
        except (Forged, Malformed) as error:
            raise Unknown(f"answer not believed: {error}") from None

    def _exchange(self, method: str, target: str, raw: bytes) -> _Answer:
        timeouts = (self._config.connect_timeout_s, self._config.read_timeout_s)
        try:
            response = self._http.request(
                method,
                self._config.api_base + target,
                data=raw or None,
                headers=self._headers(method, target, raw),
                timeout=timeouts,
                allow_redirects=False,
                stream=True,
            )
            with response:
                read = b"".join(_pieces(response, time.monotonic() + self._config.read_timeout_s))
                return _Answer(response.status_code, response.headers, read)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _network_error(error) from None

    def _headers(self, method: str, target: str, raw: bytes) -> dict[str, str]:
        timestamp, nonce = self._timestamp(), secrets.token_hex(16)
        signature = crypto.sign(self._key, crypto.request_message(method, target, timestamp, nonce, raw))
        headers = {
            "Authorization": crypto.authorization(
                mch_id=self._config.mch_id,
                serial=self._config.merchant_serial,
                timestamp=timestamp,
                nonce=nonce,
                signature=signature,
            )
        }
        if raw:
            headers["Content-Type"] = "application/json"
        if self._ring.preferred:
            headers["Wechatpay-Serial"] = self._ring.preferred
        return headers


def _new_session() -> requests.Session:
    session = requests.Session()
    # No proxy, no .netrc, no cookie: what is sent is what was signed and configured.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update(
        {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "campusnet/1"}
    )
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _order_path(out_trade_no: str) -> str:
    return f"/v3/pay/transactions/out-trade-no/{messages.checked_number(out_trade_no)}"


def _refund_of(answer: Mapping[str, Any], out_refund_no: str) -> RefundTrade:
    try:
        found = messages.refund_from(answer)
    except Malformed as error:
        raise Unknown(f"the answer is no refund: {error}") from None
    if found.out_refund_no != out_refund_no:
        raise Unknown("the answer is about another refund")
    return found


def _no_file(response: requests.Response) -> Exception:
    request_id = response.headers.get("Request-ID", "")[:128]
    if not 400 <= response.status_code < 500:  # noqa: PLR2004 - the client errors of HTTP
        return Unknown(f"HTTP {response.status_code} (Request-ID {request_id or 'none'})")
    return refusal(response.status_code, response.raw.read(ANSWER_MAX_BYTES, decode_content=True), request_id)


def _pieces(response: requests.Response, deadline_s: float) -> Iterator[bytes]:
    """The body as it arrives; the time-out of `requests` is per packet, this one is for all of it."""
    size = 0
    while piece := response.raw.read1(16 * 1024, decode_content=True):
        size += len(piece)
        if size > ANSWER_MAX_BYTES:
            raise Unknown("answer too long")
        if time.monotonic() > deadline_s:
            raise Unknown("answer too slow")
        yield piece


def _network_error(error: Exception) -> Unavailable | Unknown:
    """Certainly nothing was sent: Unavailable. Otherwise nobody can tell: Unknown."""
    causes = list(_causes(error))
    nothing_sent = (requests.ConnectTimeout, NewConnectionError, ssl.SSLCertVerificationError)
    if any(isinstance(cause, nothing_sent) for cause in causes):
        return Unavailable("WeChat Pay cannot be reached")
    late = (requests.Timeout, PoolTimeoutError, TimeoutError)
    if any(isinstance(cause, late) for cause in causes):
        return Unknown("no answer in time")
    return _Dropped(f"connection lost: {type(error).__name__}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it wraps: requests hides urllib3's reasons in `args` and `reason`.

    Never by `__context__`: that leads to whatever the caller was handling already.
    """
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException):
            yield one
            waiting.extend((getattr(one, "reason", None), *one.args))
