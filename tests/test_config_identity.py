"""Which unified identity a configuration asks for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.config_sections import IdentitySection

ISSUER = "https://ids.example.edu.cn/oidc/"


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
def test_openid_connect_without_a_client_stops_the_start(missing: str) -> None:
    section = {"kind": "oidc", "base_url": ISSUER, "client_id": "campusnet", "client_secret": "s"}
    with pytest.raises(ValidationError, match="client_id and client_secret"):
        IdentitySection.model_validate(section | {missing: ""})


def test_the_issuer_is_kept_without_its_slash_and_the_secret_does_not_show() -> None:
    section = IdentitySection.model_validate(
        {"kind": "oidc", "base_url": ISSUER, "client_id": "campusnet", "client_secret": "hidden-one"}
    )
    assert section.base_url == ISSUER.rstrip("/")
    assert "hidden-one" not in repr(section)
