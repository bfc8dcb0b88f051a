"""Signatures of id tokens, by the keys that the provider publishes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from identity.oidc_provider import ALGORITHMS, SigningKey, json_object
from models.errors import Malformed

# The header parameters that we use; others, e.g. a certificate chain, may hold anything.
_HEADER = ("alg", "kid", "crit", "b64")
_HEADER_BYTES_MAX = 16 * 1024


class _Registry(JWSRegistry):
    """What of a header is checked; `crit` still refuses what has to be understood and is not."""

    max_header_length = _HEADER_BYTES_MAX

    def __init__(self) -> None:
        super().__init__(algorithms=ALGORITHMS, strict_check_header=False)
        self.header_registry = {name: self.header_registry[name] for name in _HEADER}


class ClaimsRegistry(JWTClaimsRegistry):
    """The claims that we use. `jti` names a token for others; `sub` is read where it is needed."""

    def validate_jti(self, value: object) -> None:
        """Accept anything."""

    def validate_sub(self, value: object) -> None:
        """Accept anything."""


_REGISTRY = _Registry()


def verified_claims(id_token: str, keys: Sequence[SigningKey]) -> dict[str, Any]:
    """Return the claims of a token that one of these keys has signed.

    Raises: InvalidKeyIdError - signed with a key that is not among them; JoseError, ValueError - forged.
    """
    candidates = _candidates(_key_id(id_token), keys)
    if not candidates:
        raise InvalidKeyIdError("no key with this id")
    refusal: JoseError | ValueError = BadSignatureError()
    for key in candidates:
        try:
            return jwt.decode(id_token, key, algorithms=ALGORITHMS, registry=_REGISTRY).claims
        except (JoseError, ValueError) as error:
            refusal = error
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    raise refusal


def _key_id(id_token: str) -> str:
    """Return the key that the header names; empty where it names none. Raises: ValueError."""
    try:
        header = json_object(urlsafe_b64decode(id_token.partition(".")[0].encode()))
    except Malformed as error:
        raise ValueError("header is no object") from error
    named = header.get("kid")
    return named if isinstance(named, str) else ""


def _candidates(key_id: str, keys: Sequence[SigningKey]) -> list[SigningKey]:
    """Return the keys of this id. Without one, on either side, only trying tells."""
    if not key_id:
        return list(keys)
    return [key for key in keys if key.kid == key_id] or [key for key in keys if not key.kid]
