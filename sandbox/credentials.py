"""What the platform's consoles would show a new customer: ids, secrets, keys, certificates."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Credentials:
    """One official account, one merchant, one identity provider. `*_pem` are PEM texts.

    The first block goes into the site's configuration; the `platform_*_key_pem` at the end
    are the platform's own private keys and stay here.
    """

    app_id: str
    app_secret: str
    token: str
    encoding_aes_key: str
    original_id: str
    mch_id: str
    api_v3_key: str
    merchant_serial: str
    merchant_key_pem: str
    merchant_cert_pem: str
    public_key_id: str
    public_key_pem: str
    platform_serial: str
    platform_cert_pem: str
    platform_public_key_private_pem: str
    platform_cert_key_pem: str

    def save(self, path: Path) -> None:
        """Write as JSON, readable by the owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Credentials:
        """Read what `save` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class KeyPair:
    """One key of the platform: `name` is its id or serial, `pem` what merchants are given."""

    name: str
    pem: str
    private_pem: str


def new_api_v3_key() -> str:
    """32 letters and digits."""
    return _word(32)


def new_public_key() -> KeyPair:
    """A WeChat Pay public key with its PUB_KEY_ID_."""
    key = _rsa()
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    name = "PUB_KEY_ID_01" + "".join(secrets.choice("0123456789") for _ in range(30))
    return KeyPair(name, pem.decode(), _private_pem(key))


def new_certificate(subject: str) -> KeyPair:
    """A certificate that signs itself, with its serial."""
    key = _rsa()
    certificate = _certificate(key, subject)
    return KeyPair(_serial(certificate), _cert_pem(certificate), _private_pem(key))


def issue() -> Credentials:
    """Make a fresh set; takes about half a second for the three RSA keys."""
    merchant = new_certificate("campusnet sandbox merchant")
    public_key = new_public_key()
    platform = new_certificate("campusnet sandbox platform")
    return Credentials(
        app_id="wx" + secrets.token_hex(8),
        app_secret=secrets.token_hex(16),
        token=_word(24),
        encoding_aes_key=_aes_key(),
        original_id="gh_" + secrets.token_hex(6),
        mch_id="19" + "".join(secrets.choice("0123456789") for _ in range(8)),
        api_v3_key=new_api_v3_key(),
        merchant_serial=merchant.name,
        merchant_key_pem=merchant.private_pem,
        merchant_cert_pem=merchant.pem,
        public_key_id=public_key.name,
        public_key_pem=public_key.pem,
        platform_serial=platform.name,
        platform_cert_pem=platform.pem,
        platform_public_key_private_pem=public_key.private_pem,
        platform_cert_key_pem=platform.private_pem,
    )


def _aes_key() -> str:
    """43 characters that decode, with one `=`, to 32 bytes with no bits left over."""
    return _word(42) + secrets.choice("AEIMQUYcgkosw048")


def _word(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _certificate(key: rsa.RSAPrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )


def _cert_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:040X}"
