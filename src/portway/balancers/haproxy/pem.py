"""Certificates as PEM text: the check before HAProxy gets one, and the self-signed one of ours."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import NameOID

_VALID_DAYS = 3650


def pem_problem(pem: str) -> str:
    """Why `pem` is not a certificate with its key, as a sentence; "" when it is."""
    content = pem.encode()
    try:
        certificate = x509.load_pem_x509_certificates(content)[0]
        key = serialization.load_pem_private_key(_private_part(content), None)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm):
        return "It is not a PEM certificate followed by its unencrypted private key."
    if _public_bytes(certificate.public_key()) != _public_bytes(key.public_key()):
        return "The certificate and the key do not belong together."
    return ""


def make_fallback_pem() -> str:
    """A self-signed certificate and its key for listeners that speak TLS but were given none."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portway self-signed")])
    now = datetime.fromtimestamp(time.time(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (certificate.public_bytes(serialization.Encoding.PEM) + key_pem).decode()


def _private_part(pem: bytes) -> bytes:
    found = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*-----", pem, re.S)
    return found.group() if found else b""


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
