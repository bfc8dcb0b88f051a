"""What the `/sim/pay` views share: reading a JSON body, answering with a reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, jsonify, request

from sandbox.pay.errors import PayError
from sandbox.pay.orders import Unpayable

P = ParamSpec("P")


def body_of() -> dict[str, object]:
    """The JSON object of this request; empty for anything else."""
    value = request.get_json(force=True, silent=True)
    return value if isinstance(value, dict) else {}


def plain(view: Callable[P, dict[str, object]]) -> Callable[P, Response]:
    """JSON, with 404 or 409 and the reason when it cannot be done."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return jsonify(view(*args, **kwargs))
        except PayError as error:
            response, response.status_code = jsonify(error=error.message), error.status
        except Unpayable as error:
            response, response.status_code = jsonify(error=str(error)), 409
        return response

    return wrapped
