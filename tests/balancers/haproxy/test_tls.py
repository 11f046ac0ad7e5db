"""TLS at the listener and towards the instance, with certificates changed while it serves."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    LOOPBACK,
    EchoInstance,
    client_tls,
    connect,
    free_service_port,
    header_of,
    make_certificate,
    make_endpoint,
    make_route,
    needs_haproxy,
    served_domain,
)

pytestmark = needs_haproxy


async def test_a_certificate_makes_an_auto_listener_speak_https(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(port_number, make_endpoint(a), certificates=("one",))
    await balancer.apply("shop/web", [route])
    connection = await connect(port_number, tls=client_tls())
    assert (await connection.request()).status == 200
    await connection.close()
    assert header_of(a.heads[0], "x-forwarded-proto") == "https"
    raw = await connect(port_number, tls=client_tls())
    await raw.send(b"\x00x")
    assert await raw.receive() == b"a:\x00x"
    await raw.close()


@pytest.mark.parametrize("protocol", [ListenerProtocol.AUTO, ListenerProtocol.HTTPS])
async def test_http2_over_tls_works(
    balancer: HAProxyBalancer, start_instance: StartInstance, protocol: ListenerProtocol
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(
        port_number,
        make_endpoint(a),
        listener=ListenerSpec(protocol=protocol),
        certificates=("one",),
    )
    await balancer.apply("shop/web", [route])
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sk", "--http2", "-d", "x" * 5000, "-o", os.devnull),
        *("-w", "%{http_version} %{http_code}", f"https://{LOOPBACK}:{port_number}/"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output == b"2 200"


async def test_http1_is_agreed_on_with_a_client_that_offers_only_that(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(port_number, make_endpoint(a), certificates=("one",))
    await balancer.apply("shop/web", [route])
    connection = await connect(port_number, tls=client_tls("http/1.1"))
    tls = connection.writer.get_extra_info("ssl_object")
    assert tls.selected_alpn_protocol() == "http/1.1"
    assert (await connection.request()).instance == "a"
    await connection.close()


@pytest.mark.parametrize("protocol", [ListenerProtocol.TCP, ListenerProtocol.TLS])
async def test_tls_is_terminated_to_a_stream(
    balancer: HAProxyBalancer, start_instance: StartInstance, protocol: ListenerProtocol
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    spec = ListenerSpec(protocol=protocol)
    route = make_route(port_number, make_endpoint(a), listener=spec, certificates=("one",))
    await balancer.apply("shop/web", [route])
    connection = await connect(port_number, tls=client_tls())
    answer = await connection.request()
    assert answer.instance == "a"
    assert header_of(a.heads[0], "x-forwarded-for") == ""
    await connection.close()


async def test_https_without_a_certificate_is_served_with_one_of_ours(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    spec = ListenerSpec(protocol=ListenerProtocol.HTTPS)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    assert await served_domain(port_number) == "portway self-signed"
    reloads = (await balancer.info()).reloads
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(port_number, make_endpoint(a), listener=spec, certificates=("one",))
    await balancer.apply("shop/web", [route])
    assert await served_domain(port_number) == "one.test"
    assert (await balancer.info()).reloads == reloads


async def test_two_certificates_are_told_apart_by_name(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    one, two = make_certificate("one", "one.test"), make_certificate("two", "two.test")
    await balancer.certificates([one, two])
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(a), certificates=("one", "two"))]
    )
    assert await served_domain(port_number, "one.test") == "one.test"
    assert await served_domain(port_number, "two.test") == "two.test"
    assert await served_domain(port_number, "other.test") == "one.test"


async def test_certificates_come_change_and_go_without_a_reload(
    balancer: HAProxyBalancer, start_instance: StartInstance, tmp_path: Path
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    one, two = make_certificate("one", "one.test"), make_certificate("two", "two.test")

    async def use(*names: str) -> None:
        route = make_route(port_number, make_endpoint(a), certificates=names)
        await balancer.apply("shop/web", [route])

    await balancer.certificates([one])
    await use("one")
    reloads = (await balancer.info()).reloads
    await balancer.certificates([one, two])
    await use("one", "two")
    assert await served_domain(port_number, "two.test") == "two.test"
    await balancer.certificates([one, make_certificate("two", "new.test", "two.test")])
    assert await served_domain(port_number, "two.test") == "new.test"
    await balancer.certificates([make_certificate("one", "first.test"), two])
    assert await served_domain(port_number) == "first.test"
    await use("two")
    await balancer.certificates([two])
    assert await served_domain(port_number, "one.test") == "two.test"
    assert (await balancer.info()).reloads == reloads
    await balancer.shutdown()
    await balancer.open()
    assert await served_domain(port_number) == "two.test"


async def test_a_certificate_changed_behind_a_controller_that_died_is_put_right(
    balancer: HAProxyBalancer, start_instance: StartInstance, tmp_path: Path
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(port_number, make_endpoint(a), certificates=("one",))
    await balancer.apply("shop/web", [route])
    await balancer.close()
    second = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    await second.open()
    await second.certificates([make_certificate("one", "renewed.test")])
    assert await served_domain(port_number) == "renewed.test"
    await second.close()


async def test_swapping_certificates_under_load_loses_nothing(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(port_number, make_endpoint(a), certificates=("one",))
    await balancer.apply("shop/web", [route])
    reloads = (await balancer.info()).reloads
    statuses: list[int] = []
    swapping = True

    async def client() -> None:
        while swapping:
            connection = await connect(port_number, tls=client_tls())
            statuses.append((await connection.request("/", "Connection: close")).status)
            await connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(client())
        for n in range(10):
            await balancer.certificates([make_certificate("one", f"n{n}.test")])
            assert await served_domain(port_number) == f"n{n}.test"
        swapping = False
    assert set(statuses) == {200}
    assert (await balancer.info()).reloads == reloads


async def test_it_speaks_tls_to_an_instance_that_wants_it(
    balancer: HAProxyBalancer, tmp_path: Path
) -> None:
    pem = tmp_path / "instance.pem"
    pem.write_text(make_certificate("i", "i.test").pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    instance = await EchoInstance("a", tls=context).start()
    try:
        port_number = free_service_port()
        spec = ListenerSpec(secure=True)
        await balancer.apply("shop/web", [make_route(port_number, listener=spec)])
        route = make_route(port_number, make_endpoint(instance), listener=spec)
        await balancer.apply("shop/web", [route])
        connection = await connect(port_number)
        assert (await connection.request()).instance == "a"
        await connection.close()
    finally:
        await instance.stop()
