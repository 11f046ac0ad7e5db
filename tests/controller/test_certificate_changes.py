"""Certificates of listeners, changed while they serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from portway.core.errors import BalancerError, RequestError, StoreError
from tests.controller.inprocess import EPOCH_MS, Portway, compose

VIRTUAL_TIME = True

TLS = compose(web="image: web; ports: ['443:8080', '8443:8443']")


def pem(*domains: str) -> tuple[str, str]:
    """A certificate and its key, valid at the time of these tests."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0])])
    now = datetime.fromtimestamp(EPOCH_MS / 1000, UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, domains)), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), secret.decode()


async def put(portway: Portway, target: str, *domains: str, replace: bool = False):  # noqa: ANN201
    certificate, key = pem(*domains) if domains else ("", "")
    return await portway.operations.put_certificate(
        "shop", target, certificate_pem=certificate, key_pem=key, replace=replace
    )


def held(portway: Portway) -> list[tuple[str, ...]]:
    return sorted(c.domains for c in portway.balancer.held_certificates)


async def refused(awaitable, status: int) -> str:  # noqa: ANN001
    with pytest.raises(RequestError) as caught:
        await awaitable
    assert caught.value.http_status == status
    return str(caught.value)


async def test_a_certificate_is_saved_and_served_at_once(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    view = await put(portway, "web:443", "a.example")
    assert (view.target, view.domains, view.self_signed) == ("web:443", ("a.example",), True)
    assert held(portway) == [("a.example",)]
    assert list(portway.store.disk.certificates) == [view.name]
    await portway.idle(1)
    routes = {k.service_port: r.certificates for k, r in portway.balancer.served.items()}
    assert routes == {443: (view.name,), 8443: ()}
    assert portway.serving(443) == ["shop/web.1.1"]


async def test_without_a_certificate_a_self_signed_one_is_made(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    view = await put(portway, "web:443")
    assert view.self_signed
    assert "localhost" in view.domains


async def test_a_listener_may_have_several_certificates_for_other_names(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    await put(portway, "web:443", "a.example")
    await put(portway, "web:443", "b.example")
    assert held(portway) == [("a.example",), ("b.example",)]
    said = await refused(put(portway, "web:443", "b.example", "c.example"), 409)
    assert "web:443 has a certificate for b.example already" in said
    assert "portway ssl update" in said


async def test_an_update_replaces_the_certificate_of_the_same_names(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    await put(portway, "web:443", "a.example")
    first = await put(portway, "web:443", "b.example")
    second = await put(portway, "web:443", "b.example", replace=True)
    assert second.fingerprint != first.fingerprint
    assert held(portway) == [("a.example",), ("b.example",)]


async def test_an_update_of_the_only_certificate_may_change_its_names(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    await put(portway, "web:443", "a.example")
    await put(portway, "web:443", "b.example", replace=True)
    assert held(portway) == [("b.example",)]


async def test_an_update_that_replaces_nothing_is_refused(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    assert "no certificate to update" in await refused(
        put(portway, "web:443", "a.example", replace=True), 404
    )
    await put(portway, "web:443", "a.example")
    await put(portway, "web:443", "b.example")
    said = await refused(put(portway, "web:443", "c.example", replace=True), 422)
    assert "none of the 2 certificates" in said


async def test_a_deleted_certificate_is_served_no_more(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    view = await put(portway, "web:443", "a.example")
    await put(portway, "web:443", "b.example")
    said = await refused(portway.operations.delete_certificate("shop", "web:443"), 422)
    assert "has 2 certificates" in said
    await portway.operations.delete_certificate("shop", "web:443", name="b.example")
    assert held(portway) == [("a.example",)]
    await portway.operations.delete_certificate("shop", "web:443", name=view.name)
    assert held(portway) == []
    await refused(portway.operations.delete_certificate("shop", "web:443"), 404)
    await refused(portway.operations.delete_certificate("shop", "web:443", name="x"), 404)


async def test_certificates_are_listed_for_their_own_stack(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    await portway.deploy("shop.two", compose(web="image: web; ports: ['444:80']"))
    await put(portway, "web:443", "a.example")
    assert len(await portway.operations.certificates("shop")) == 1
    assert await portway.operations.certificates("shop.two") == ()


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("web", 422, "names no listener"),
        ("web:", 422, "names no listener"),
        (":443", 422, "names no listener"),
        ("web:https", 422, "names no listener"),
        ("wep:443", 404, 'Did you mean "web"?'),
        ("web:444", 404, 'Did you mean "443"?'),
        ("web:8080", 404, "its container port 8080 is behind listener 443"),
    ],
)
async def test_a_target_that_is_no_listener_is_answered_with_the_one_meant(
    portway: Portway, target: str, status: int, said: str
) -> None:
    await portway.deploy("shop", TLS)
    assert said in await refused(put(portway, target), status)
    assert portway.world.certificates == {}


async def test_a_certificate_that_could_not_be_saved_is_not_served(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    portway.store.fail_saves(StoreError("the disk is full"), times=1)
    with pytest.raises(StoreError):
        await put(portway, "web:443", "a.example")
    assert held(portway) == []
    assert portway.world.certificates == {}


async def test_a_balancer_that_takes_no_certificates_now_is_given_them_later(
    portway: Portway,
) -> None:
    await portway.deploy("shop", TLS)
    await put(portway, "web:443", "a.example")
    await portway.idle(1)
    portway.balancer.held_certificates = ()
    portway.balancer.fail_next_apply = "the socket is gone"
    after = await portway.successor()
    assert after.world.problems["certificates"] == "the socket is gone"
    await after.idle(10)
    assert held(after) == [("a.example",)]
    assert "certificates" not in after.world.problems
    await after.crash()
    await portway.open()


async def test_a_change_the_balancer_refuses_is_kept_and_made_up_for(portway: Portway) -> None:
    await portway.deploy("shop", TLS)
    await portway.idle(1)
    portway.balancer.fail_next_apply = "the socket is gone"
    with pytest.raises(BalancerError):
        await put(portway, "web:443", "a.example")
    await portway.idle(10)
    assert held(portway) == [("a.example",)]
