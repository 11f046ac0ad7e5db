"""`why` through load balancers: the way to an App's target groups, its targets, and a URL that nobody listens for."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.why.balanced import check_words
from portway.core.balancing.model import TargetCheck
from portway.core.facts import Verdict
from portway.core.rules import Respond
from tests.controller.balancing import test_balancing
from tests.controller.balancing.test_balancing import (
    registered,
    running,
)
from tests.controller.inprocess import Portway
from tests.core.balancing.values import BALANCER, GROUP, LISTENER

VIRTUAL_TIME = True
portway = test_balancing.portway  # a fixture


async def texts(portway: Portway, subject: str) -> dict[str, str]:
    """The hops of a walk by name, `fault` the sentence of the first broken one."""
    found = await portway.operations.why(subject)
    said = {hop.name: hop.text for hop in found.hops}
    return said | ({"fault": found.sentence} if found.verdict is Verdict.BROKEN else {})


async def test_the_way_to_an_app_is_told_and_how_its_instance_stands(portway: Portway) -> None:
    await running(portway)
    for subject in ("web", "web.1", "c/web"):
        said = await texts(portway, subject)
        assert said["rule"] == "the default action of http://127.64.0.1/ leads to target group tg"
        assert said["target"].endswith("of tg is healthy")
        assert "fault" not in said


async def test_a_group_without_a_way_and_a_group_that_is_gone_are_faults(portway: Portway) -> None:
    await running(portway)
    await registered(portway, replace(LISTENER, action=Respond(status=404)))
    assert "leads to target group tg; add one" in (await texts(portway, "web"))["fault"]
    await portway.controller.balancing.registry.delete(GROUP)
    assert "the target group tg is gone" in (await texts(portway, "web"))["fault"]


def test_what_a_group_asks_of_its_targets_is_told() -> None:
    check = TargetCheck(path="/ok", number_text="8080", matcher="200-299", timeout_s=2)
    said = check_words(replace(GROUP, check=check))
    assert said == "it is asked HTTP /ok on 8080 and has to answer 200-299 within 2 s"
    assert check_words(replace(GROUP, check=TargetCheck(protocol="TCP"))) == "it has to accept connections"  # fmt: skip


async def test_a_port_without_a_listener_is_told_with_those_there_are(portway: Portway) -> None:
    await running(portway)
    await registered(portway, BALANCER)
    said = await texts(portway, "http://127.64.0.1:81/")
    assert said["fault"].startswith("load balancer web has no listener on 81, only on 80")
