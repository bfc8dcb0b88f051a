"""The bill endpoints of /v3: apply for one (signed answer), fetch the file (unsigned answer)."""

from __future__ import annotations

from datetime import date

from sandbox.faults import Fault
from sandbox.pay.auth import Call
from sandbox.pay.errors import FieldError
from sandbox.pay.platform import PayPlatform

Json = dict[str, object]
TYPES = frozenset({"ALL"})
ACCOUNTS = frozenset({"BASIC"})


def trade_bill(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json]:
    """Serve `GET /v3/bill/tradebill`."""
    _one_of(call, "bill_type", TYPES)
    with platform.engine.lock:
        name = fault.name if fault else ""
        found = platform.bills.apply_trade(_date(call), name, zipped=_zipped(call))
    return 200, _offer(call, found)


def fundflow_bill(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json]:
    """Serve `GET /v3/bill/fundflowbill`."""
    _one_of(call, "account_type", ACCOUNTS)
    with platform.engine.lock:
        name = fault.name if fault else ""
        found = platform.bills.apply_fundflow(_date(call), name, zipped=_zipped(call))
    return 200, _offer(call, found)


def download(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, bytes]:  # noqa: ARG001 - one signature for the table
    """Serve `GET /v3/billdownload/file?token=`."""
    with platform.engine.lock:
        return 200, platform.bills.fetch(call.query.get("token", ""))


def _offer(call: Call, found: tuple[str, str]) -> Json:
    digest, token = found
    url = f"http://{call.headers.get('Host')}/v3/billdownload/file?token={token}"
    return {"hash_type": "SHA1", "hash_value": digest, "download_url": url}


def _date(call: Call) -> date:
    value = call.query.get("bill_date", "")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise FieldError("bill_date", value, "YYYY-MM-DD", location="query") from None


def _zipped(call: Call) -> bool:
    return _one_of(call, "tar_type", frozenset({"GZIP"}), default="") == "GZIP"


def _one_of(call: Call, name: str, allowed: frozenset[str], *, default: str | None = None) -> str:
    value = call.query.get(name, default if default is not None else min(allowed))
    if value not in allowed and value != default:
        raise FieldError(name, value, f"one of {', '.join(sorted(allowed))}", location="query")
    return value
