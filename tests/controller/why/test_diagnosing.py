"""`why` on a whole controller: what a name means, and the sentence for what was done to it."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import ListenerSpec
from portway.core.errors import BalancerError, EngineError, RequestError
from portway.core.facts import Diagnosis, Verdict
from portway.core.routes import Pool, Route, RouteKey
from portway.core.rules import Forward
from portway.engines.memory import Fault, FaultKind, ImageBehaviour
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True


async def why(portway: Portway, subject: str, **fields: Any) -> Diagnosis:
    return await portway.operations.why(subject, **fields)


def verdicts(found: Diagnosis) -> dict[str, Verdict]:
    return {hop.name: hop.verdict for hop in found.hops}


@pytest.mark.parametrize("subject", ["web", "shop/web", "web.1", "web.1.1", "shop/web.1.1", "shop"])
async def test_an_app_an_instance_and_a_stack_are_all_subjects(
    portway: Portway, subject: str
) -> None:
    await portway.deploy("shop", WEB)
    found = await why(portway, subject)
    assert found.verdict is Verdict.OK, found
    assert "is well" in found.sentence
    assert set(verdicts(found).values()) == {Verdict.OK}


async def test_a_name_nobody_knows_is_answered_with_what_may_have_been_meant(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    with pytest.raises(RequestError) as refused:
        await why(portway, "wbe")
    assert refused.value.http_status == 404
    assert 'there is nothing called "wbe". Did you mean "web"?' in str(refused.value)
    with pytest.raises(RequestError) as refused:
        await why(portway, "web", stack="shpo")
    assert 'there is no stack "shpo". Did you mean "shop"?' in str(refused.value)


async def test_a_name_in_two_stacks_must_say_which(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.deploy("blog", compose(web="image: web; ports: ['81:80']"))
    with pytest.raises(RequestError) as refused:
        await why(portway, "web")
    assert '"web" is in 2 stacks: blog, shop.' in str(refused.value)
    assert (await why(portway, "web", stack="blog")).verdict is Verdict.OK


async def test_an_app_scaled_to_0_is_told_so(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.scale("shop", {"web": 0})
    await portway.settled("shop")
    assert (await why(portway, "web")).sentence.startswith("web is scaled to 0")


async def test_an_app_that_goes_with_its_stack_is_told_so(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.delete_stack("shop")
    assert (await why(portway, "web")).sentence.startswith(
        "web is being deleted with the stack shop"
    )


async def test_a_dependency_that_is_not_met_is_named(portway: Portway) -> None:
    portway.engine.behave("db", ImageBehaviour(healthy=False))
    manifest = (
        "services:\n  db: {image: db}\n"
        "  web: {image: web, depends_on: {db: {condition: service_healthy}}}\n"
    )
    await portway.promote("shop", manifest)
    await portway.idle(2)
    found = await why(portway, "web")
    assert found.sentence == (
        "web is not started: it waits for db to be healthy; "
        "`portway why db -a shop` says what keeps db"
    )


async def test_an_instance_that_fails_its_check_is_named_with_the_answer(portway: Portway) -> None:
    await portway.promote("shop", compose(web="image: never-healthy; ports: ['80:8080']"))
    await portway.idle(3)
    found = await why(portway, "web")
    assert found.sentence.startswith("web.1.1 answers its health check with HTTP 503 from /")
    assert verdicts(found)["backend"] is Verdict.HELD


async def test_an_instance_that_drains_is_told_so(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 2
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.idle(5)
    found = await why(portway, "web.1.1")
    assert found.sentence.startswith("web.1.1 is draining: stopped by the user")


async def test_the_last_lines_of_an_instance_are_shown(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.say("shop/web.1.1", "ready to serve")
    found = await why(portway, "web")
    assert [hop.text for hop in found.hops if hop.name == "log"][0].endswith("ready to serve")


async def test_an_engine_that_does_not_answer_is_the_first_broken_hop(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    error = EngineError("Docker does not answer.", hint="Start it.")
    portway.engine.inject(Fault(operation="list", error=error, times=0))
    portway.controller.observer.engine_is_stale = True
    await portway.until(lambda: portway.world.instances is None)
    found = await why(portway, "web")
    assert found.sentence == (
        "portway's engine is in trouble, so nothing can be changed: Docker does not answer; start it"
    )


async def test_a_balancer_that_does_not_answer_is_asked_at_once(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await portway.deploy("shop", WEB)

    async def silent() -> None:
        raise BalancerError("HAProxy does not answer.", hint="It is started again.")

    monkeypatch.setattr(portway.balancer, "observe", silent)
    found = await why(portway, "web")
    assert found.sentence.startswith("portway's balancer is in trouble")
    assert verdicts(found)["listener"] is Verdict.UNKNOWN


async def test_an_address_of_a_listener_is_known_as_one(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    for subject in ("127.0.0.1:80", ":80", "80", "web:80"):
        found = await why(portway, subject)
        assert found.verdict is Verdict.OK
        assert found.sentence == "127.0.0.1:80 accepts connections (the listener of shop/web)"


async def test_an_internal_listener_asked_at_another_address_is_told_where_it_is(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "portway.controller.why.diagnosing.is_of_this_machine", lambda _address: True
    )
    await portway.deploy("shop", compose(web="image: web; ports: ['8080']"))
    [number] = portway.listeners()
    found = await why(portway, f"http://192.0.2.2:{number}/")
    assert found.sentence.startswith(
        f"nobody listens on 192.0.2.2:{number}: the listener of shop/web is on 127.0.0.1:{number} "
        "only, because its port is internal; "
    )


async def test_a_url_of_another_machine_is_not_asked(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may ask why must not be able to make the server fetch what it can reach and they cannot."""

    async def asked(*_: object, **__: object) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr("portway.controller.why.diagnosing.ask", asked)
    for subject in ("http://169.254.169.254/latest/meta-data/", "203.0.113.7:80"):
        found = await why(portway, subject)
        assert "is not an address of this machine" in found.sentence


async def test_a_hanging_engine_does_not_keep_why_from_answering(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="logs", kind=FaultKind.HANG, times=0))
    assert (await why(portway, "web")).verdict is Verdict.OK


async def test_no_secret_is_in_an_answer(portway: Portway) -> None:
    manifest = compose(web="image: web; ports: ['80:8080']; environment: {KEY: canary-7}")
    await portway.deploy("shop", manifest)
    assert "canary-7" not in repr(await why(portway, "web"))


async def test_a_url_of_a_load_balancer_is_told_the_rule_it_meets(portway: Portway) -> None:
    owner = "lb:arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/shop/1"
    route = Route(
        key=RouteKey(address="127.0.0.1", service_port=8080),
        owner=owner,
        port_name="http-8080",
        listener=ListenerSpec(),
        default=Forward(pools=(("web", 1),)),
        pools=(Pool(name="web"),),
    )
    await portway.balancer.apply(owner, [route])
    portway.controller.world.applied[owner] = (route,)
    found = await why(portway, "http://127.0.0.1:8080/x")
    assert found.verdict is Verdict.BROKEN
    assert "no target of web takes requests" in found.sentence
    assert [hop.text for hop in found.hops if hop.name == "rule"] == [
        "its default action forwards it to web"
    ]
