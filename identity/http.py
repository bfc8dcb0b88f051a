"""Questions to an identity server: limits of time and size, no redirects, two ways to fail."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from models.errors import Malformed, Unavailable

ANSWER_LIMIT_BYTES = 64 * 1024


class _Bearer(AuthBase):
    """An access token as RFC 6750 §2.1 says; as `auth`, so that no password of a netrc file replaces it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def ask(
    url: str,
    *,
    timeout_s: float,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    login: tuple[str, str] | None = None,
    bearer: str | None = None,
) -> tuple[int, bytes]:
    """Status and body of the answer; a `form` is posted, with `login` as HTTP Basic.

    Args:
        bearer: an access token, sent instead of `login`.

    Raises: Unavailable - no answer in time; Malformed - longer than any honest answer.
    """
    # HTTPError: what breaks while the raw body is read is not translated by requests.
    try:
        with requests.request(
            "GET" if form is None else "POST",
            url,
            params=query,
            data=form,
            auth=login if bearer is None else _Bearer(bearer),
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
