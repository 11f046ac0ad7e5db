"""Certificates: PEM texts -> a Certificate that the balancer can serve, or a sentence saying why not.

Works on values alone; the time is an argument. What it lets through, HAProxy loads: its OpenSSL
(security level 2 on Debian and Ubuntu) refuses the weak keys and signatures that are refused here.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portway.core.errors import RequestError
from portway.core.stack import Certificate

PEM_SIZE_MAX_BYTES = 64 * 1024
_RSA_BITS_MIN = 2048
_EC_BITS_MIN = 224
_COMMON_NAME_MAX = 64  # ub-common-name of RFC 5280
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")
_CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")

_NO_EXTENSION = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
    TypeError,
)

_PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)


def read_certificate(
    target: str, certificate_pem: str | bytes, key_pem: str | bytes, *, now_ms: int
) -> Certificate:
    """The certificate and key as one value for the listener `target`; RequestError saying what is wrong with them.

    The chain may come in any order and the key may lie in either text.
    """
    first = _read_text(certificate_pem, "certificate")
    second = _read_text(key_pem, "key")
    _refuse_swapped(first, second)
    key = _only_key([*first.keys, *second.keys])
    chain = _order_chain([*first.certificates, *second.certificates], key)
    leaf = chain[0]
    _check_times(leaf, datetime.fromtimestamp(now_ms / 1000, UTC))
    _check_strength(leaf, key)
    domains = _domains(leaf)
    return _certificate(target, chain, key, domains)


def make_self_signed(
    target: str, domains: Iterable[str], *, now_ms: int, days: int = 825
) -> Certificate:
    """A new certificate for `domains`, localhost and the loopback addresses, signed by its own key.

    825 days is the most that Apple's systems accept.
    """
    names = _with_loopback(domains)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(now_ms / 1000, UTC).replace(microsecond=0)
    common = next((name for name in names if len(name) <= _COMMON_NAME_MAX), "portway")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # the clocks of clients differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNS_ONLY, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
        )
    )
    return _certificate(target, [builder.sign(key, hashes.SHA256())], key, names)


def certificate_name(target: str, domains: Sequence[str]) -> str:
    """The name of the certificate that serves `domains` at `target`: the same for its renewals, safe as a file name."""
    slug = re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-")[:60]
    digest = hashlib.sha256("\0".join([target, *sorted(set(domains))]).encode()).hexdigest()
    return f"{slug}-{digest[:12]}"


_SIGNS_ONLY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class _Text:
    """What was found in one of the two texts; `what` is "certificate" or "key"."""

    what: str
    certificates: tuple[x509.Certificate, ...]
    keys: tuple[_PrivateKey, ...]


def _read_text(text: str | bytes, what: str) -> _Text:
    data = text.encode(errors="replace") if isinstance(text, str) else text
    if len(data) > PEM_SIZE_MAX_BYTES:
        raise RequestError(
            f"The {what} is too large: {len(data)} bytes, at most {PEM_SIZE_MAX_BYTES} are read.",
            hint="Give only the certificate, its chain and its key.",
            http_status=413,
        )
    blocks = list(_BLOCK.finditer(data.decode(errors="replace")))
    if not blocks and data.strip():
        raise _not_pem(data, what)
    certificates = tuple(
        _read_block(block, what) for block in blocks if block[1] in _CERTIFICATE_LABELS
    )
    keys = tuple(_read_key(block, what) for block in blocks if block[1].endswith("PRIVATE KEY"))
    if blocks and not certificates and not keys:
        raise _wrong_kind(blocks[0][1], what)
    return _Text(what, certificates, keys)


def _not_pem(data: bytes, what: str) -> RequestError:
    if b"-----BEGIN " in data:
        return RequestError(
            f"The {what} is cut off: it has a BEGIN line without its END line.",
            hint="Give the whole file.",
        )
    binary = data[:1] == b"\x30"  # a DER sequence: .der, .cer, .p12
    kind = "x509" if what == "certificate" else "pkey"
    hint = (
        f"Convert it: openssl {kind} -inform der -in FILE -out FILE.pem (for .p12 or .pfx: openssl pkcs12)."
        if binary
        else f"Give the text file that begins with -----BEGIN {'CERTIFICATE' if kind == 'x509' else 'PRIVATE KEY'}-----."
    )
    return RequestError(f"The {what} is not in PEM form.", hint=hint)


def _wrong_kind(label: str, what: str) -> RequestError:
    if label.endswith("CERTIFICATE REQUEST"):
        return RequestError(
            f"The {what} is a certificate request, not a certificate.",
            hint="Send the request to a certificate authority and give the certificate that comes back.",
        )
    return RequestError(
        f"The {what} holds no certificate and no private key, only: {label.lower()}.",
        hint="Give the certificate and the private key that belongs to it, both as PEM.",
    )


def _read_block(block: re.Match[str], what: str) -> x509.Certificate:
    pem = block[0].replace(f" {block[1]}-----", " CERTIFICATE-----")
    try:
        with warnings.catch_warnings():
            # What is merely odd (a serial number of 0, a long country) is served by everybody.
            warnings.simplefilter("ignore")
            certificate = x509.load_pem_x509_certificate(pem.encode())
            # Parts are parsed when first looked at: look now, where a failure has a sentence.
            certificate.public_key()
            _ = certificate.subject, certificate.issuer
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RequestError(
            f"The {what} holds a damaged or unknown certificate.",
            hint="See whether it can be read: openssl x509 -noout -text -in FILE.",
        ) from error
    return certificate


def _read_key(block: re.Match[str], what: str) -> _PrivateKey:
    if block[1] == "OPENSSH PRIVATE KEY":
        raise RequestError(
            f"The {what} holds an SSH key, which no certificate is made for.",
            hint="Give the key that the certificate was requested with.",
        )
    if block[1].startswith("ENCRYPTED") or "ENCRYPTED" in block[0].split("\n\n")[0]:
        raise RequestError(
            "The private key is protected by a passphrase, and nobody is there to type it.",
            hint="Give it without one: openssl pkey -in KEY -out KEY.plain.",
        )
    try:
        key = load_pem_private_key(block[0].encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # From None: the reason could show parts of the key.
        del error
        raise RequestError(
            "The private key is damaged or of an unknown kind.",
            hint="See whether it can be read: openssl pkey -noout -in FILE.",
        ) from None
    if not isinstance(key, _PrivateKey):
        raise RequestError(
            "The private key is of a kind that web clients do not accept.",
            hint="Use an RSA (2048 bits or more) or an elliptic curve key.",
        )
    return key


def _refuse_swapped(first: _Text, second: _Text) -> None:
    if first.keys and not first.certificates and second.certificates and not second.keys:
        raise RequestError(
            "The certificate and the key are swapped: the first file holds the private key, the second the certificate.",
            hint="Give the certificate first, then the key.",
        )
    if not first.certificates and not second.certificates:
        raise RequestError(
            "There is no certificate in what was given.",
            hint="Give the certificate (with its chain) first, then its private key.",
        )
    if not first.keys and not second.keys:
        raise RequestError(
            "There is no private key in what was given.",
            hint="Give the private key that the certificate was made for as the second file.",
        )


def _only_key(keys: Sequence[_PrivateKey]) -> _PrivateKey:
    different = {_public_bytes(key.public_key()): key for key in keys}
    if len(different) > 1:
        raise RequestError(
            f"There are {len(different)} different private keys in what was given.",
            hint="Give only the one that belongs to the certificate.",
        )
    return keys[0]


def _order_chain(
    certificates: Sequence[x509.Certificate], key: _PrivateKey
) -> list[x509.Certificate]:
    """The certificate of the key first, then each one's issuer, then what is left in the order it came."""
    left = list(dict.fromkeys(certificates))
    leaf = next(
        (c for c in left if _public_bytes(c.public_key()) == _public_bytes(key.public_key())), None
    )
    if leaf is None:
        raise RequestError(
            f"The private key does not belong to the certificate of {_describe(left[0])}.",
            hint="Give the key that the certificate was requested with. Both of these must print the same:"
            " openssl x509 -noout -pubkey -in CERTIFICATE; openssl pkey -pubout -in KEY.",
        )
    chain: list[x509.Certificate] = []
    following: x509.Certificate | None = leaf
    while following is not None:
        left.remove(following)
        chain.append(following)
        issued = following
        following = next((c for c in left if _is_issued_by(issued, c)), None)
    return chain + left


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_times(leaf: x509.Certificate, now: datetime) -> None:
    if leaf.not_valid_after_utc <= now:
        days = (now - leaf.not_valid_after_utc).days
        raise RequestError(
            f"The certificate of {_describe(leaf)} expired on {_day(leaf.not_valid_after_utc)} ({_ago(days)}).",
            hint="Renew it and give the new one.",
        )
    if leaf.not_valid_before_utc > now:
        raise RequestError(
            f"The certificate of {_describe(leaf)} is not valid before {_day(leaf.not_valid_before_utc)}.",
            hint=f"Wait until then, or see whether this machine's clock is right (it says {_day(now)}).",
        )


def _check_strength(leaf: x509.Certificate, key: _PrivateKey) -> None:
    hint = "Make a new key and have the certificate issued again for it."
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS_MIN:
        raise RequestError(
            f"The private key is too weak: RSA with {key.key_size} bits, at least {_RSA_BITS_MIN} are needed.",
            hint=hint,
        )
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size < _EC_BITS_MIN:
        raise RequestError(
            f"The private key is too weak: the curve {key.curve.name} has {key.key_size} bits, at least {_EC_BITS_MIN} are needed.",
            hint=hint,
        )
    if isinstance(_hash_of(leaf), hashes.SHA1 | hashes.MD5) and not _is_self_signed(leaf):
        raise RequestError(
            f"The certificate of {_describe(leaf)} is signed with a broken method (SHA-1 or MD5).",
            hint="Have it issued again; every authority signs with SHA-256 today.",
        )


def _hash_of(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _domains(leaf: x509.Certificate) -> tuple[str, ...]:
    """The names in the certificate that a client can ask for: the alternative names, else the common name."""
    names = _alternative_names(leaf) or _common_names(leaf)
    domains = tuple(dict.fromkeys(name for name in map(str.lower, names) if _is_domain(name)))
    if not domains:
        raise RequestError(
            "The certificate names no domain and no address, so no client would accept it.",
            hint="Have it issued with a subjectAltName, for instance DNS:example.com.",
        )
    return domains


def _alternative_names(leaf: x509.Certificate) -> list[str]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except _NO_EXTENSION:
        return []
    addresses = [str(address) for address in extension.value.get_values_for_type(x509.IPAddress)]
    return [*extension.value.get_values_for_type(x509.DNSName), *addresses]


def _common_names(leaf: x509.Certificate) -> list[str]:
    try:
        attributes = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError):
        return []
    return [str(attribute.value) for attribute in attributes]


def _is_domain(name: str) -> bool:
    return _as_address(name) is not None or (
        len(name) <= 253 and _DOMAIN.fullmatch(name) is not None
    )


def _as_address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _with_loopback(domains: Iterable[str]) -> tuple[str, ...]:
    names = [_ascii_domain(domain) for domain in domains]
    return tuple(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1"]))


def _ascii_domain(domain: str) -> str:
    try:
        name = domain.strip().lower().rstrip(".")
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _is_domain(name):
        raise RequestError(
            f'"{domain}" is not a domain or an address that a certificate can be made for.',
            hint="Write it like example.com, *.example.com or 192.168.1.10.",
        )
    return name


def _general_name(name: str) -> x509.GeneralName:
    address = _as_address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _certificate(
    target: str, chain: Sequence[x509.Certificate], key: _PrivateKey, domains: tuple[str, ...]
) -> Certificate:
    """Everything is written anew: comments, blank lines and Windows line ends confuse the balancer's socket."""
    leaf = chain[0]
    key_text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = b"".join([*(certificate.public_bytes(Encoding.PEM) for certificate in chain), key_text])
    return Certificate(
        name=certificate_name(target, domains),
        target=target,
        pem=pem.decode(),
        domains=domains,
        expires_at_ms=int(leaf.not_valid_after_utc.timestamp() * 1000),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        self_signed=_is_self_signed(leaf),
    )


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer and _is_issued_by(certificate, certificate)


def _public_bytes(key: object) -> bytes:
    public_bytes = getattr(key, "public_bytes", None)
    assert public_bytes is not None, key
    return public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _describe(certificate: x509.Certificate) -> str:
    names = [*_alternative_names(certificate), *_common_names(certificate)]
    return next((name for name in names if name.isprintable()), "an unnamed subject")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _ago(days: int) -> str:
    return {0: "less than a day ago", 1: "a day ago"}.get(days, f"{days} days ago")
