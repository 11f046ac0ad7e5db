"""Stories of canary and blue-green, on a whole controller in memory."""

from __future__ import annotations

import pytest

from portway.controller.strategies import check_request
from portway.controller.views import DeploymentView, ReleaseRequest, StrategyRequest
from portway.core.app import StrategyKind
from portway.core.errors import RequestError
from portway.core.routes import EndpointState
from portway.core.state import DeploymentStatus
from portway.core.traffic import Traffic
from tests.controller.inprocess import Portway, compose

VIRTUAL_TIME = True


def web(image: str, *labels: str, count: int = 4) -> str:
    listed = ", ".join(f"'{label}'" for label in labels)
    return compose(
        web=f"image: '{image}'; ports: ['80:8080']; labels: [{listed}]; deploy: {{replicas: {count}}}"
    )


def ready(portway: Portway, service_port: int = 80) -> list[str]:
    return [
        e.instance_id
        for key, route in portway.balancer.served.items()
        if key.service_port == service_port
        for e in route.endpoints
        if e.state is EndpointState.READY
    ]


def releases_serving(portway: Portway) -> list[str]:
    records = {r.id: r.identity.release for r in portway.app("shop/web").live}
    return [records[one] for one in ready(portway)]


async def view(portway: Portway) -> DeploymentView:
    stack = await portway.operations.stack("shop")
    one = stack.apps[0].deployment
    assert one is not None
    return one


async def begin(portway: Portway, asked: StrategyRequest | None, image: str = "web:2") -> str:
    release = await portway.release("shop", web(image))
    await portway.operations.promote("shop", release.id, strategy=asked)
    return release.id


CANARY = StrategyRequest(canary="25%", bake_s=60)
BLUE_GREEN = StrategyRequest(strategy="blue-green", bake_s=60)


async def test_a_canary_is_observed_and_then_takes_over(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, CANARY)
    await portway.idle(30)
    assert sorted(releases_serving(portway)) == sorted([old] * 3 + [new])
    seen = await view(portway)
    assert (seen.strategy, seen.stage, seen.step, seen.steps) == ("canary", "baking", 1, 1)
    assert (seen.step_wanted, seen.desired, seen.old) == (1, 4, 4)
    await portway.settled()
    assert releases_serving(portway) == [new] * 4
    seen = await view(portway)
    assert (seen.status, seen.stage, seen.step) == ("done", "", 0)
    portway.check_nothing_left_over()


async def test_the_label_of_the_manifest_is_what_counts_when_nothing_is_asked(
    portway: Portway,
) -> None:
    labels = ("portway.deploy.strategy=canary", "portway.deploy.bake_s=60")
    await portway.deploy("shop", web("web:1", *labels))
    await portway.promote("shop", web("web:2", *labels))
    await portway.idle(30)
    assert (await view(portway)).strategy == "canary"


async def test_what_is_asked_wins_over_the_label(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1"))
    release = await portway.release("shop", web("web:2", "portway.deploy.strategy=canary"))
    asked = StrategyRequest(strategy="rolling")
    await portway.operations.promote("shop", release.id, strategy=asked)
    assert (await view(portway)).strategy == "rolling"
    await portway.settled()


async def test_a_blue_green_switches_keeps_the_old_set_and_then_lets_it_go(
    portway: Portway,
) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, BLUE_GREEN)
    await portway.until(lambda: set(releases_serving(portway)) == {new}, within_s=50)
    await portway.idle(5)
    assert [r.identity.release for r in portway.app("shop/web").live].count(old) == 4
    (route,) = await portway.operations.map("shop")
    assert sorted(e.state for e in route.endpoints) == ["ready"] * 4 + ["standby"] * 4
    await portway.settled()
    assert [r.identity.release for r in portway.app("shop/web").live] == [new] * 4
    assert "deployment.switched" in portway.kinds("shop")
    portway.check_nothing_left_over()


async def test_an_abort_after_the_switch_brings_the_old_set_back_at_once(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, BLUE_GREEN)
    await portway.until(lambda: set(releases_serving(portway)) == {new}, within_s=50)
    before = {r.id for r in portway.app("shop/web").live if r.identity.release == old}
    await portway.operations.cancel("shop")
    await portway.until(lambda: set(releases_serving(portway)) == {old}, within_s=1)
    await portway.settled()
    assert set(portway.live("shop/web")) == before
    assert (await portway.operations.stack("shop")).release == old


async def test_a_canary_that_dies_takes_its_stack_back(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, CANARY)
    await portway.idle(10)
    (canary,) = [r.id for r in portway.app("shop/web").live if r.identity.release == new]
    portway.engine.kill(canary)
    await portway.settled()
    assert portway.app("shop/web").deployment.status is DeploymentStatus.FAILED
    assert releases_serving(portway) == [old] * 4


async def test_a_step_survives_a_restart_of_the_server(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1"))
    new = await begin(portway, StrategyRequest(canary="25%", hold=True))
    await portway.idle(10)
    after = await portway.successor()
    await after.idle(600)
    assert (await view(after)).stage == "holding"
    await after.operations.resume("shop")
    await after.settled()
    assert releases_serving(after) == [new] * 4
    await after.crash()


async def test_a_restart_may_go_by_steps_too(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1"))
    await portway.operations.restart("shop", strategy=CANARY)
    await portway.idle(10)
    assert (await view(portway)).stage == "baking"
    await portway.settled()


async def test_a_first_deploy_is_rolling_and_says_so(portway: Portway) -> None:
    release = await portway.release("shop", web("web:1"))
    promotion = await portway.operations.promote("shop", release.id, strategy=BLUE_GREEN)
    assert promotion.notes == ("web is deployed rolling, not blue-green: nothing of it runs yet",)
    await portway.settled()


async def test_what_writes_to_a_volume_is_not_run_twice_because_a_command_says_canary(
    portway: Portway,
) -> None:
    database = "image: db:{}; volumes: ['data:/data']"
    tail = "volumes: {data: {}}\n"
    await portway.deploy("shop", compose(db=database.format(1)) + tail)
    release = await portway.release("shop", compose(db=database.format(2)) + tail)
    promotion = await portway.operations.promote("shop", release.id, strategy=BLUE_GREEN)
    note = promotion.notes[0]
    assert "db is deployed rolling, not blue-green" in note
    await portway.settled()


async def test_a_fixed_host_port_makes_a_blue_green_impossible_and_is_refused(
    portway: Portway,
) -> None:
    fixed = "image: dns:{}; ports: ['5353:53/udp']"
    await portway.deploy("shop", compose(dns=fixed.format(1)))
    release = await portway.release("shop", compose(dns=fixed.format(2)))
    with pytest.raises(RequestError, match="host port 5353 is fixed"):
        await portway.operations.promote("shop", release.id, strategy=BLUE_GREEN)
    assert portway.world.stacks["shop"].promoting is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (StrategyRequest(strategy="blue"), "no strategy 'blue'"),
        (StrategyRequest(canary="0%"), "no steps of a canary"),
        (StrategyRequest(canary="50%,10%"), "no steps of a canary"),
        (StrategyRequest(canary="5%", strategy="blue-green"), "has no canary steps"),
        (StrategyRequest(bake_s=-1), "cannot be observed for -1 s"),
        (StrategyRequest(strategy="rolling", hold=True), "no steps to observe or to hold"),
        (StrategyRequest(strategy="rolling", max_failed="5%"), "no steps to observe or to hold"),
        (StrategyRequest(max_failed="500%"), "'500%' is no share of requests"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(asked: StrategyRequest, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_request(asked)
    assert said in caught.value.message
    assert caught.value.hint


def test_every_strategy_has_its_word() -> None:
    for kind in StrategyKind:
        check_request(StrategyRequest(strategy=kind.value))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ("portway.deploy.canary=25%,50%",),
            "canary: 1, then 2 of 4 get traffic first, each step is observed for 30 s",
        ),
        (
            ("portway.deploy.strategy=blue-green", "portway.deploy.hold=true"),
            "blue-green: 4 new beside 4 old, then all listeners switch at once, "
            "and the old ones are kept until `portway resume`",
        ),
    ],
)
async def test_a_plan_says_how_a_deployment_by_steps_will_go(
    portway: Portway, labels: tuple[str, ...], said: str
) -> None:
    await portway.deploy("shop", web("web:1"))
    request = ReleaseRequest(manifest=web("web:2", *labels))
    (change,) = (await portway.operations.plan("shop", request)).changes
    assert said in change.notes


async def test_a_canary_whose_requests_fail_is_taken_back_within_seconds(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, StrategyRequest(canary="25%", bake_s=600, max_failed="10%"))
    await portway.idle(30)
    (canary,) = [r.id for r in portway.app("shop/web").live if r.identity.release == new]
    portway.balancer.traffic_to[canary] = Traffic(requests=100, errors_5xx=10)
    await portway.idle(5)
    assert (await view(portway)).status == "running", "no more than may fail"
    portway.balancer.traffic_to[canary] = Traffic(requests=100, errors_5xx=11)
    await portway.idle(5)
    assert (await view(portway)).reason.startswith("11 of 100 requests (11%) to the new release")
    assert set(releases_serving(portway)) == {old}
