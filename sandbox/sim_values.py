"""Reading the bodies of /sim/ requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import request

WAIT_LIMIT_S = 30.0


class BadRequest(Exception):
    """The caller asked for something impossible; `status` is the answer's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def read_body() -> dict[str, Any]:
    """The JSON object of the request; an empty body is an empty object."""
    if not request.get_data():
        return {}
    value = request.get_json(force=True, silent=True)
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """The string `name`; BadRequest when it is missing and there is no default."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a string")
    return value


def number(body: dict[str, Any], name: str, default: float | None = None) -> float:
    """The number `name`; BadRequest when it is missing and there is no default."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name} must be a number")
    return value


def whole(body: dict[str, Any], name: str, default: int | None) -> int | None:
    """The whole number `name`, or null where it is null or missing with that default."""
    value = body.get(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise BadRequest(f"{name} must be a whole number or null")
    return value


def numbers(body: dict[str, Any], name: str) -> dict[str, float]:
    """The object `name`, whose values are numbers; empty when it is missing."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    return {key: number(value, key) for key in value}


def moment(body: dict[str, Any], name: str) -> datetime | None:
    """The time `name`, in ISO 8601; None when it is missing or null."""
    value = body.get(name)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{name} must be a time such as 2026-09-01T08:00:00+08:00") from error


def waiting() -> tuple[int, float]:
    """`after` and `wait` of a long poll, bounded."""
    try:
        after_id = int(request.args.get("after", "0"))
        wait_s = float(request.args.get("wait", "0"))
    except ValueError as error:
        raise BadRequest("after and wait must be numbers") from error
    return after_id, min(max(wait_s, 0.0), WAIT_LIMIT_S)
