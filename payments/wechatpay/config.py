"""What the merchant console shows, as one checked value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

API_V3_KEY_BYTES = 32


@dataclass(frozen=True)
class PayConfig:
    """One merchant. `public_keys` maps key id to PEM, `platform_certs` are PEM texts; one of both is needed.

    `api_base` has no slash at the end; `old_api_v3_keys` still open notifications after the key
    was changed in the console. Without `refund_notify_url` the console's own address is told of refunds.
    """

    app_id: str
    mch_id: str
    api_v3_key: str = field(repr=False)
    merchant_serial: str
    merchant_key_pem: str = field(repr=False)
    public_keys: Mapping[str, str] = field(repr=False)
    platform_certs: Sequence[str] = field(repr=False)
    api_base: str
    notify_url: str
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    # For a whole file: a day of bills is some megabytes, and a line may drip for ever.
    download_timeout_s: float = 600.0
    refund_notify_url: str = ""
    old_api_v3_keys: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse at the start what could never work later; messages hold no secret."""
        keys = (self.api_v3_key, *self.old_api_v3_keys)
        if any(len(key.encode()) != API_V3_KEY_BYTES for key in keys):
            raise ValueError(f"an APIv3 key has {API_V3_KEY_BYTES} bytes")
        if not (self.mch_id.isascii() and self.mch_id.isdecimal()):
            raise ValueError("mch_id is digits only")
        parts = urlsplit(self.api_base)
        if self.api_base != f"{parts.scheme}://{parts.netloc}" or parts.scheme not in {"http", "https"}:
            raise ValueError("api_base is scheme and host only, like https://api.mch.weixin.qq.com")
