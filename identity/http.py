"""Questions to an identity server: limits of time and size, no redirects, two ways to fail."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from urllib3.exceptions import HTTPError

from models.errors import Malformed, Unavailable

ANSWER_LIMIT_BYTES = 64 * 1024


def ask(
    url: str,
    *,
    timeout_s: float,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    login: tuple[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of the answer; a `form` is posted, with `login` as HTTP Basic.

    Raises: Unavailable - no answer in time; Malformed - longer than any honest answer.
    """
    # HTTPError: what breaks while the raw body is read is not translated by requests.
    try:
        with requests.request(
            "GET" if form is None else "POST",
            url,
            params=query,
            data=form,
            auth=login,
            timeout=(min(3.0, timeout_s), timeout_s),
            # A redirect here could only lead the ticket to a stranger.
            allow_redirects=False,
            stream=True,
        ) as answer:
            body: bytes = answer.raw.read(ANSWER_LIMIT_BYTES + 1, decode_content=True)
    except (requests.RequestException, HTTPError) as error:
        raise Unavailable("identity server does not answer") from error
    if len(body) > ANSWER_LIMIT_BYTES:
        raise Malformed("identity answer is too long")
    return answer.status_code, body
