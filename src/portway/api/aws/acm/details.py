"""What ACM tells of a certificate, read out of its text. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_CURVES = {"secp256r1": "EC_prime256v1", "secp384r1": "EC_secp384r1", "secp521r1": "EC_secp521r1"}


def details_of(text: str) -> dict[str, Any]:
    """Serial, subject, issuer, times and algorithms of the first certificate in a text."""
    certificate = x509.load_pem_x509_certificates(text.encode())[0]
    serial = f"{certificate.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    pairs = (serial[index : index + 2] for index in range(0, len(serial), 2))
    return {
        "Serial": ":".join(pairs),
        "Subject": certificate.subject.rfc4514_string(),
        "Issuer": certificate.issuer.rfc4514_string(),
        "NotBefore": _ms(certificate.not_valid_before_utc),
        "NotAfter": _ms(certificate.not_valid_after_utc),
        "KeyAlgorithm": _key_algorithm(certificate.public_key()),
        "SignatureAlgorithm": _signature_algorithm(certificate),
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _key_algorithm(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA_{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, f"EC_{key.curve.name}")
    return type(key).__name__.removesuffix("PublicKey")


def _signature_algorithm(certificate: x509.Certificate) -> str:
    hashed = certificate.signature_hash_algorithm
    name = certificate.signature_algorithm_oid._name.upper()  # pyright: ignore[reportPrivateUsage]
    if hashed is None:
        return name
    kind = "ECDSA" if "ECDSA" in name else "RSA"
    return f"{hashed.name.upper()}WITH{kind}"
