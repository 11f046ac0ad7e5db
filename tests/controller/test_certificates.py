"""Certificates: what is read, what is refused and with which sentence, and that real TLS accepts the result."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from portway.controller.certificates import (
    PEM_SIZE_MAX_BYTES,
    certificate_name,
    make_self_signed,
    read_certificate,
)
from portway.core.errors import RequestError
from portway.core.stack import Certificate

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TARGET = "httpd/web:8443"
DAY = timedelta(days=1)

ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
MIDDLE_KEY = ec.generate_private_key(ec.SECP256R1())
KEY = ec.generate_private_key(ec.SECP256R1())


def issue(
    name: str,
    key,
    *,
    issuer: str = "Root",
    issuer_key=ROOT_KEY,
    names: tuple[x509.GeneralName, ...] = (),
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + 90 * DAY,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begins,
        not_valid_after=ends,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)


def pem_of(*certificates: x509.Certificate) -> str:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates).decode()


def key_pem_of(key, *, passphrase: bytes = b"", form=PrivateFormat.PKCS8) -> str:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


ROOT = issue("Root", ROOT_KEY)
MIDDLE = issue("Middle", MIDDLE_KEY)
LEAF = issue("a.test", KEY, issuer="Middle", issuer_key=MIDDLE_KEY)


def read(certificate_pem: str | bytes, key_pem: str | bytes) -> Certificate:
    return read_certificate(TARGET, certificate_pem, key_pem, now_ms=NOW_MS)


def refusal(certificate_pem: str | bytes, key_pem: str | bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(certificate_pem, key_pem)
    assert caught.value.hint, "every refusal says what to do"
    assert "PRIVATE KEY-----\n" not in str(caught.value)
    return caught.value


def blocks_of(certificate: Certificate) -> list[str]:
    return re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----\n", certificate.pem, re.DOTALL)


def test_a_certificate_with_its_chain_and_key_becomes_one_pem_chain_first() -> None:
    certificate = read(pem_of(LEAF, MIDDLE), key_pem_of(KEY))
    assert certificate.pem == pem_of(LEAF, MIDDLE) + key_pem_of(KEY)
    assert certificate.target == TARGET
    assert certificate.domains == ("a.test",)
    assert certificate.expires_at_ms == NOW_MS + 90 * 86_400_000
    assert certificate.fingerprint == LEAF.fingerprint(hashes.SHA256()).hex()
    assert not certificate.self_signed


@pytest.mark.parametrize(
    "order", [(MIDDLE, LEAF, ROOT), (ROOT, MIDDLE, LEAF), (LEAF, ROOT, MIDDLE)]
)
def test_a_chain_in_the_wrong_order_is_put_right(order: tuple[x509.Certificate, ...]) -> None:
    assert blocks_of(read(pem_of(*order), key_pem_of(KEY)))[:3] == [
        pem_of(LEAF),
        pem_of(MIDDLE),
        pem_of(ROOT),
    ]


def test_a_certificate_given_twice_is_kept_once() -> None:
    assert len(blocks_of(read(pem_of(LEAF, MIDDLE, LEAF), key_pem_of(KEY)))) == 3


def test_certificate_and_key_may_be_in_one_file() -> None:
    bundle = key_pem_of(KEY) + pem_of(LEAF)
    assert read(bundle, "").pem == read(pem_of(LEAF), key_pem_of(KEY)).pem
    assert read(bundle, key_pem_of(KEY)).pem == read(bundle, "").pem
    assert read("", bundle).pem == read(bundle, "").pem


def test_comments_blank_lines_and_windows_line_ends_are_left_out() -> None:
    text = "Bag Attributes\n  friendlyName: x\n\n" + pem_of(LEAF).replace("\n", "\r\n") + "\n\n"
    certificate = read("\ufeff" + text, key_pem_of(KEY) + "\n\n\n")
    assert certificate.pem == pem_of(LEAF) + key_pem_of(KEY)
    assert "\n\n" not in certificate.pem


def test_bytes_are_read_like_text() -> None:
    assert read(pem_of(LEAF).encode(), key_pem_of(KEY).encode()) == read(
        pem_of(LEAF), key_pem_of(KEY)
    )


def test_a_key_in_the_older_form_is_taken() -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    older = parameters + key_pem_of(KEY, form=PrivateFormat.TraditionalOpenSSL)
    assert "BEGIN EC PRIVATE KEY" in older
    assert read(pem_of(LEAF), older).pem == read(pem_of(LEAF), key_pem_of(KEY)).pem


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()]
)
def test_rsa_and_edwards_keys_are_taken(key) -> None:
    leaf = issue("a.test", key)
    assert read(pem_of(leaf), key_pem_of(key)).domains == ("a.test",)


def test_alternative_names_are_the_domains_and_the_common_name_then_is_not() -> None:
    names = (
        x509.DNSName("B.test"),
        x509.DNSName("*.b.test"),
        x509.DNSName("b.test"),
        x509.IPAddress(ip_address("10.0.0.1")),
        x509.RFC822Name("ada@b.test"),
    )
    leaf = issue("a.test", KEY, names=names)
    assert read(pem_of(leaf), key_pem_of(KEY)).domains == ("b.test", "*.b.test", "10.0.0.1")


@pytest.mark.parametrize("name", ["", "My Server", "a.test\nbind *:80", "-a.test", "a..test"])
def test_a_certificate_without_a_usable_name_is_refused(name: str) -> None:
    leaf = issue(name, KEY)
    assert "names no domain" in refusal(pem_of(leaf), key_pem_of(KEY)).message


def test_a_key_of_another_certificate_is_refused_naming_the_certificate() -> None:
    error = refusal(pem_of(LEAF), key_pem_of(ROOT_KEY))
    assert error.message == "The private key does not belong to the certificate of a.test."


def test_swapped_files_are_refused_saying_which_is_which() -> None:
    error = refusal(key_pem_of(KEY), pem_of(LEAF))
    assert (
        "swapped: the first file holds the private key, the second the certificate" in error.message
    )


def test_two_different_keys_are_refused() -> None:
    error = refusal(pem_of(LEAF), key_pem_of(KEY) + key_pem_of(ROOT_KEY))
    assert "2 different private keys" in error.message


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_with_a_passphrase_is_refused_with_the_command_that_removes_it(form) -> None:
    error = refusal(pem_of(LEAF), key_pem_of(KEY, passphrase=b"hush", form=form))
    assert "passphrase" in error.message
    assert "openssl pkey -in" in error.hint


def test_an_expired_certificate_is_refused_with_its_day() -> None:
    leaf = issue("a.test", KEY, begins=NOW - 90 * DAY, ends=NOW - 3 * DAY)
    error = refusal(pem_of(leaf), key_pem_of(KEY))
    assert error.message == (
        "The certificate of a.test expired on 2026-11-18 12:00 UTC (3 days ago)."
    )


def test_a_certificate_is_expired_at_the_very_moment_it_ends_and_not_a_second_before() -> None:
    at_end = issue("a.test", KEY, ends=NOW)
    assert "less than a day ago" in refusal(pem_of(at_end), key_pem_of(KEY)).message
    assert read(pem_of(issue("a.test", KEY, ends=NOW + timedelta(seconds=1))), key_pem_of(KEY))


def test_a_certificate_of_the_future_is_refused_with_its_day_and_our_clock() -> None:
    leaf = issue("a.test", KEY, begins=NOW + DAY)
    error = refusal(pem_of(leaf), key_pem_of(KEY))
    assert "not valid before 2026-11-22 12:00 UTC" in error.message
    assert "2026-11-21 12:00 UTC" in error.hint


def test_a_weak_rsa_key_is_refused_because_the_balancer_would_not_load_it() -> None:
    key = rsa.generate_private_key(65537, 1024)
    error = refusal(pem_of(issue("a.test", key)), key_pem_of(key))
    assert "RSA with 1024 bits, at least 2048" in error.message


def test_a_weak_curve_is_refused_because_the_balancer_would_not_load_it() -> None:
    key = ec.generate_private_key(ec.SECP192R1())
    assert (
        "secp192r1 has 192 bits" in refusal(pem_of(issue("a.test", key)), key_pem_of(key)).message
    )


def test_a_dsa_key_is_refused() -> None:
    key = dsa.generate_private_key(2048)
    assert "do not accept" in refusal(pem_of(LEAF), key_pem_of(key)).message


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        ("", "", "no certificate"),
        ("", "KEY", "no certificate"),
        ("LEAF", "", "no private key"),
        ("LEAF", "LEAF", "no private key"),
        ("KEY", "KEY", "no certificate"),
        ("hello", "KEY", "The certificate is not in PEM form"),
        ("LEAF", "hello", "The key is not in PEM form"),
        ("CUT", "KEY", "The certificate is cut off"),
        ("BENT", "KEY", "damaged or unknown certificate"),
        ("LEAF", "BENT KEY", "private key is damaged"),
        ("REQUEST", "KEY", "certificate request, not a certificate"),
        ("LEAF", "SSH", "SSH key"),
        ("LEAF", "PUBLIC", "only: public key"),
    ],
)
def test_texts_that_are_not_certificate_and_key_are_refused(
    certificate: str, key: str, says: str
) -> None:
    texts = {
        "LEAF": pem_of(LEAF),
        "KEY": key_pem_of(KEY),
        "CUT": pem_of(LEAF)[:300],
        "BENT": pem_of(LEAF).replace("M", "A"),
        "BENT KEY": key_pem_of(KEY).replace("M", "A"),
        "REQUEST": "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n",
        "SSH": key_pem_of(KEY, form=PrivateFormat.OpenSSH),
        "PUBLIC": "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    }
    assert says in refusal(texts.get(certificate, certificate), texts.get(key, key)).message


def test_binary_certificates_are_refused_with_the_command_that_converts_them() -> None:
    error = refusal(LEAF.public_bytes(Encoding.DER), key_pem_of(KEY))
    assert "not in PEM form" in error.message
    assert "openssl x509 -inform der" in error.hint


def test_a_text_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    error = refusal("x" * (PEM_SIZE_MAX_BYTES + 1), key_pem_of(KEY))
    assert (error.http_status, "too large" in error.message) == (413, True)


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_is_answered_with_anything_but_a_sentence(first: str, second: str) -> None:
    refusal(first, second)
    refusal(pem_of(LEAF) + first, key_pem_of(ROOT_KEY) + second)


@given(st.integers(0, len(pem_of(LEAF)) - 1), st.characters() | st.sampled_from("AMo0+/="))
@example(105, "0")
@example(46, "S")
def test_a_certificate_with_one_character_changed_is_read_or_refused_with_a_sentence(
    position: int, character: str
) -> None:
    text = pem_of(LEAF)
    bent = text[:position] + character + text[position + 1 :]
    try:
        read(bent, key_pem_of(KEY))
    except RequestError as error:
        assert error.hint  # noqa: PT017  (both outcomes are fine)


def test_a_self_signed_certificate_is_one_that_can_be_read_back() -> None:
    made = make_self_signed(TARGET, ("a.test",), now_ms=NOW_MS)
    (leaf, key) = blocks_of(made)
    assert read(leaf, key) == made
    assert made.self_signed
    assert made.domains == ("a.test", "localhost", "127.0.0.1", "::1")
    assert made.expires_at_ms == NOW_MS + 825 * 86_400_000


def test_self_signed_domains_are_written_the_way_dns_has_them() -> None:
    made = make_self_signed(TARGET, ("Bücher.Example.", "*.a.test", "10.1.2.3"), now_ms=NOW_MS)
    assert made.domains[:3] == ("xn--bcher-kva.example", "*.a.test", "10.1.2.3")


@pytest.mark.parametrize(
    "domain", ["", "a b", "a_.test/x", "*.*.test", "a..b", "x" * 300, "ü" * 80]
)
def test_a_domain_no_certificate_can_be_made_for_is_refused(domain: str) -> None:
    with pytest.raises(RequestError, match="is not a domain or an address"):
        make_self_signed(TARGET, (domain,), now_ms=NOW_MS)


def test_a_domain_longer_than_a_common_name_may_be_is_served_all_the_same() -> None:
    domain = ".".join(["a" * 60, "b" * 60, "test"])
    assert make_self_signed(TARGET, (domain,), now_ms=NOW_MS).domains[0] == domain


def test_every_self_signed_certificate_has_a_key_of_its_own() -> None:
    one, other = (make_self_signed(TARGET, (), now_ms=NOW_MS) for _ in range(2))
    assert one.fingerprint != other.fingerprint
    assert one.name == other.name


def test_a_renewed_certificate_has_the_name_of_the_one_before() -> None:
    renewed = issue("a.test", KEY, ends=NOW + 400 * DAY)
    assert read(pem_of(LEAF), key_pem_of(KEY)).name == read(pem_of(renewed), key_pem_of(KEY)).name


def test_names_differ_by_target_and_by_domains_but_not_by_their_order() -> None:
    names = {
        certificate_name(target, domains)
        for target in ("httpd/web:8443", "httpd/web:443", "httpd-web/8443:")
        for domains in (("a", "b"), ("b", "a"), ("ab",))
    }
    assert len(names) == 6
    assert all(re.fullmatch(r"[a-z0-9-]{1,80}", name) for name in names)


def test_a_tls_client_that_trusts_the_self_signed_certificate_accepts_it(tmp_path: Path) -> None:
    made = make_self_signed(
        TARGET,
        ("a.test",),
        now_ms=int(datetime.now(UTC).timestamp() * 1000),  # noqa: TID251
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(made.pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(bundle)
    client_context = ssl.create_default_context(cadata=blocks_of(made)[0])
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in made.domains:
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context.wrap_bio(to_server, to_client, server_side=True)
        client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
        shake_hands(client, server)
        assert client.version() == "TLSv1.3"


def shake_hands(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return
    raise AssertionError("the handshake does not end")


@pytest.mark.haproxy
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed here")
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP224R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_haproxy_loads_the_weakest_keys_that_are_taken(key, tmp_path: Path) -> None:
    certificate = read(pem_of(issue("a.test", key), ROOT), key_pem_of(key))
    load_pem_private_key(certificate.pem.encode(), None)
    (tmp_path / "bundle.pem").write_text(certificate.pem)
    (tmp_path / "h.cfg").write_text(
        f"defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
        f"frontend f\n bind {tmp_path}/sock ssl crt {tmp_path}/bundle.pem\n"
    )
    checked = subprocess.run(
        ["haproxy", "-c", "-f", tmp_path / "h.cfg"], capture_output=True, text=True, timeout=20
    )
    assert checked.returncode == 0, checked.stderr
