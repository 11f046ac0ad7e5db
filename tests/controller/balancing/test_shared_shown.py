"""Virtual hosts on the map: each host and path of each shared listener, who answers there, and what is wrong."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import JointPort, PortSpec, VirtualHost
from tests.controller.balancing import test_shared
from tests.controller.balancing.test_shared import SHOP, app, running
from tests.controller.inprocess import Portway

VIRTUAL_TIME = True
portway = test_shared.portway  # a fixture


async def test_each_host_and_path_is_shown_with_the_instances_that_answer(portway: Portway) -> None:
    await running(portway, app("blue"), app("green"), app("api", VirtualHost(hosts=("*",), path="/api")))  # fmt: skip
    found = [r for r in await portway.operations.map("c") if r.load_balancer]
    told = [(r.rule, r.when, r.target_group, r.app, len(r.endpoints)) for r in found]
    assert told == [
        ("1", "host *, path /api*", "c/api:http", "api", 2),
        ("2", "host shop.example.com", "c/blue:http and c/green:http", "", 4),
    ]
    assert {(r.url, r.service_port, r.tls) for r in found} == {("http://127.0.0.1/", 80, False)}
    assert {one.state for one in found[0].endpoints} == {"ready"}
    assert not [r for r in await portway.operations.map("c") if r.load_balancer and r.stack == "d"]


async def test_a_redirect_to_nowhere_is_said(portway: Portway) -> None:
    host = replace(SHOP, redirects=True)
    await portway.operations.put_app("c", app(host=host), count=1)
    await portway.until(lambda: portway.balancer.served.get(test_shared.HTTP))
    (entry,) = [r for r in await portway.operations.map("c") if r.load_balancer]
    assert entry.note == "redirects with 301 to https on port 443; but without a certificate nothing listens there"  # fmt: skip


async def test_a_port_that_is_not_served_says_why(portway: Portway) -> None:
    why = "not served: its label HAPROXY_n_ENABLED says false"
    port = PortSpec(name="http", container_port=80, service_ports=(12000,), unserved=why)
    await portway.operations.put_app("c", replace(app(), ports=(port,)), count=1)
    await portway.settled("c")
    (entry,) = await portway.operations.map("c")
    assert (entry.note, entry.service_port) == (why, 0)
    assert portway.listeners() == []


async def test_what_apps_have_together_is_shown_with_all_who_answer(portway: Portway) -> None:
    joint = JointPort(group="g", service_port=12000)
    for name in ("blue", "green"):
        one = app(name, None)
        await portway.operations.put_app("c", replace(one, ports=(replace(one.ports[0], joint=joint),)))  # fmt: skip
    await portway.settled("c")
    (entry,) = [r for r in await portway.operations.map("c") if r.load_balancer]
    assert (entry.service_port, entry.rule, entry.when) == (12000, "default", "")
    assert entry.target_group == "c/blue:http and c/green:http"
    assert [one.state for one in entry.endpoints] == ["ready", "ready"]
