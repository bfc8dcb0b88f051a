"""Bills of WeChat Pay: ask for one, download it piece by piece, believe it by its hash.

The answer that names a bill is signed and carries the SHA-1 of the uncompressed file; the download
itself is not signed. Source: pay.weixin.qq.com/doc/v3/merchant/4012791860 ff. (下载账单).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from models.errors import Forged, Malformed, ServiceError, Unavailable
from payments.wechatpay.client import PayRefused, WechatPay

_SHA1 = re.compile(r"[0-9a-f]{40}")
_PIECE_MAX_BYTES = 1024 * 1024
_GZIP = zlib.MAX_WBITS | 16


class StatementCreating(Unavailable):
    """The bill of that day is still being made: ask again in some minutes."""


class NoStatement(ServiceError):
    """WeChat has no bill for that day: nothing was paid or refunded."""


def trade_bill(pay: WechatPay, on: date, target: Path) -> str:
    """Write the trade bill (all trades) of a campus day into `target`. Returns: its SHA-1.

    Raises: StatementCreating, NoStatement; Forged - the file is not the one that was promised;
        Malformed - not gzip; PayRefused; Unavailable; Unknown. On an error `target` is worthless.
    """
    return _bill(pay, f"/v3/bill/tradebill?bill_date={on:%Y-%m-%d}&bill_type=ALL&tar_type=GZIP", target)


def fundflow_bill(pay: WechatPay, on: date, target: Path) -> str:
    """Write the fund-flow bill (basic account) of a campus day into `target`; else as `trade_bill`."""
    query = f"bill_date={on:%Y-%m-%d}&account_type=BASIC&tar_type=GZIP"
    return _bill(pay, f"/v3/bill/fundflowbill?{query}", target)


def _bill(pay: WechatPay, question: str, target: Path) -> str:
    try:
        promised = pay.look(question)
    except PayRefused as refused:
        if refused.code == "STATEMENTCREATING":
            raise StatementCreating(f"bill not ready (Request-ID {refused.request_id or 'none'})") from None
        if refused.code == "NOSTATEMENTEXIST":
            raise NoStatement("no bill for that day") from None
        raise
    sha1, path = _promise(promised)
    digest = hashlib.sha1(usedforsecurity=False)
    with target.open("wb") as file:
        for piece in _gunzipped(pay.download(path)):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != sha1:
        raise Forged("the bill is not the one whose hash WeChat signed")
    return sha1


def _promise(answer: dict[str, Any]) -> tuple[str, str]:
    """The hash, and path and query of the file: it is fetched from our own base address only."""
    sha1 = str(answer.get("hash_value", "")).lower()
    url = urlsplit(str(answer.get("download_url", "")))
    if answer.get("hash_type") != "SHA1" or not _SHA1.fullmatch(sha1):
        raise Malformed("the bill has no SHA-1")
    if not url.path.startswith("/v3/billdownload/") or not url.query:
        raise Malformed("the bill has no download address")
    return sha1, f"{url.path}?{url.query}"


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The uncompressed bytes, never many of them at once. Raises: Malformed."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            rest = piece
            while rest and not unzip.eof:
                yield unzip.decompress(rest, _PIECE_MAX_BYTES)
                rest = unzip.unconsumed_tail
    except zlib.error:
        raise Malformed("the bill is not gzip") from None
    if not unzip.eof:
        raise Malformed("the bill ends in the middle")
