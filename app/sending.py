"""Sending accounting records as the network does: signed batches over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Any

from billing.embedded.accounting import batches
from billing.embedded.entrance import RECORDS_MAX, SIGNATURE, TIMESTAMP, sign
from models.clock import Clock
from models.errors import Forged, Unavailable

PATH = "/billing/accounting"
TIMEOUT_S = 30.0
REFUSED = (401, 403)


def send_all(
    base_url: str, secret: str, records: Iterable[dict[str, Any]], *, clock: Clock, at_once: int = RECORDS_MAX
) -> Counter[str]:
    """Send records to a campusnet, `at_once` in a batch. Returns: how many had which outcome.

    Raises: Forged - the other side has another secret, or none; Unavailable - send everything again.
    """
    counts: Counter[str] = Counter()
    for batch in batches(records, at_once):
        counts.update(_send(base_url + PATH, secret, batch, clock))
    return counts


def _send(url: str, secret: str, batch: list[dict[str, Any]], clock: Clock) -> list[str]:
    body = json.dumps({"records": batch}).encode()
    timestamp = str(int(clock().timestamp()))
    headers = {
        TIMESTAMP: timestamp,
        SIGNATURE: sign(secret, timestamp, body),
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the configured address of the site
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return [result["outcome"] for result in json.load(answer)["results"]]
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in REFUSED:
            raise Forged(f"{url} refuses the signature") from error
        raise Unavailable(f"{url} answers {error.code}") from error
    except (OSError, ValueError, KeyError) as error:
        raise Unavailable(f"{url}: {type(error).__name__}") from error
