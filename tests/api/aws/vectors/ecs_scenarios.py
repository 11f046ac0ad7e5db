"""Task definitions, tasks and services, each asked over the wire."""

from __future__ import annotations

from portway.core.ports import PortRange
from portway.engines.memory import Fault, FaultKind
from tests.api.aws.vectors.cases import Case, Ground, scenario
from tests.api.aws.vectors.ecs_steps import (
    balanced,
    begin,
    create,
    group,
    messages,
    register,
    service,
    steady,
    stopped,
    task_running,
    tasks,
    used_group,
)
from tests.api.aws.vectors.waiters import verdict, waiter_of

STATIC = 8080


@scenario("ecs-002", "ecs-004", "ecs-005", "ecs-008", "ecs-009", "ecs-012", "ecs-014", "ecs-016")
async def definition(case: Case, ground: Ground) -> None:
    await case.asked(ground)


@scenario("ecs-006")
async def own_network(case: Case, ground: Ground) -> None:
    answer = await case.asked(ground)
    [container] = answer["taskDefinition"]["containerDefinitions"]
    [mapping] = container["portMappings"]
    assert mapping["hostPort"] == mapping["containerPort"] == 80


@scenario("ecs-011")
async def a_range(case: Case, ground: Ground) -> None:
    answer = await case.asked(ground)
    [container] = answer["taskDefinition"]["containerDefinitions"]
    assert [m["containerPortRange"] for m in container["portMappings"]] == ["8000-8010"]


@scenario("ecs-018", "ecs-036", "ecs-038", "ecs-041", "ecs-042", "ecs-045", "ecs-056", "ecs-057", "ecs-058", "ecs-086", "ecs-090")  # fmt: skip
async def with_definition(case: Case, ground: Ground) -> None:
    await begin(ground)
    answer = await case.asked(ground)
    if case.id == "ecs-038":
        assert len(answer["tasks"]) == 2
    if case.operation == "CreateService":
        assert (await ground.ecs("ListServices"))["serviceArns"] == []


@scenario("ecs-032")
async def remaining_ports(case: Case, ground: Ground) -> None:
    ground.portway.leases.host_pool.ephemeral = PortRange(first=32768, last=60999)
    await begin(ground, host_port=3245)
    [instance] = (await ground.ecs("ListContainerInstances"))["containerInstanceArns"]
    before = await ground.ecs("DescribeContainerInstances", containerInstances=[instance])
    await task_running(ground)
    await register(ground)
    dynamic = await task_running(ground)
    assert dynamic["containers"][0]["networkBindings"][0]["hostPort"] == 32768
    [shown] = (await case.asked(ground, id=instance))["containerInstances"]
    [was] = before["containerInstances"]
    assert shown["registeredResources"] == was["registeredResources"]
    remaining = next(r for r in shown["remainingResources"] if r["name"] == "PORTS")
    assert "3245" in remaining["stringSetValue"]
    assert "32768" not in remaining["stringSetValue"]


@scenario("ecs-037")
async def one_static_port(case: Case, ground: Ground) -> None:
    await begin(ground, host_port=STATIC)
    assert len((await case.asked(ground))["tasks"]) == 1


@scenario("ecs-039")
async def no_machine(case: Case, ground: Ground) -> None:
    await begin(ground)
    ground.portway.engine.world.nodes.clear()
    await ground.portway.until(lambda: not ground.portway.world.nodes)
    await case.asked(ground)


@scenario("ecs-040")
async def machine_away(case: Case, ground: Ground) -> None:
    await begin(ground)
    ground.portway.engine.lose_node("local")
    await ground.portway.until(lambda: not ground.portway.world.nodes[0].available)
    await case.asked(ground)


@scenario("ecs-043")
async def stop(case: Case, ground: Ground) -> None:
    await begin(ground, host_port=STATIC)
    asked_to_stop: list[tuple[str, float]] = []
    really = ground.portway.engine.stop

    async def noted(instance_id: str, *, signal: str, grace_s: float) -> None:
        asked_to_stop.append((signal, grace_s))
        await really(instance_id, signal=signal, grace_s=grace_s)

    ground.portway.engine.stop = noted  # type: ignore[method-assign]
    task = await task_running(ground)
    await case.asked(ground, id=task["taskArn"])
    [gone] = await stopped(ground)
    assert gone["stoppedReason"] == "bye"
    assert asked_to_stop == [("SIGTERM", 30.0)]
    again = await task_running(ground)
    [binding] = again["containers"][0]["networkBindings"]
    assert binding["hostPort"] == STATIC


@scenario("ecs-047")
async def checked_elsewhere(case: Case, ground: Ground) -> None:
    await begin(ground)
    await case.asked(ground, tg_arn=await used_group(ground, HealthCheckPort="8081"))


@scenario("ecs-048")
async def on_no_listener(case: Case, ground: Ground) -> None:
    await begin(ground)
    await case.asked(ground, tg_arn=await group(ground))


@scenario("ecs-050")
async def another_port(case: Case, ground: Ground) -> None:
    await begin(ground)
    await case.asked(ground, tg_arn=await used_group(ground))


@scenario("ecs-052")
async def of_addresses(case: Case, ground: Ground) -> None:
    await begin(ground)
    await case.asked(ground, tg_arn=await used_group(ground, TargetType="ip"))


@scenario("ecs-054")
async def another_count(case: Case, ground: Ground) -> None:
    await begin(ground)
    await create(ground, taskDefinition="web:1")
    await case.asked(ground)
    assert (await service(ground))["desiredCount"] == 2


@scenario("ecs-055")
async def while_it_drains(case: Case, ground: Ground) -> None:
    await begin(ground)
    await create(ground)
    await steady(ground)
    ground.portway.engine.inject(Fault(operation="stop", kind=FaultKind.HANG, times=0))
    await ground.ecs("DeleteService", service="web", force=True)
    assert (await service(ground))["status"] == "DRAINING"
    await case.asked(ground)


@scenario("ecs-060")
async def defaults(case: Case, ground: Ground) -> None:
    await begin(ground)
    answer = await case.asked(ground)
    assert answer["service"]["availabilityZoneRebalancing"] == "ENABLED"


@scenario("ecs-083")
async def forced(case: Case, ground: Ground) -> None:
    await begin(ground)
    await create(ground)
    old = (await steady(ground))["deployments"][0]["id"]
    told = (await case.asked(ground))["service"]["deployments"]
    assert [one["status"] for one in told] == ["PRIMARY", "ACTIVE"]
    assert told[1]["id"] == old != told[0]["id"]
    assert [one["id"] for one in (await steady(ground))["deployments"]] == [told[0]["id"]]


@scenario("ecs-084")
async def scaled_in(case: Case, ground: Ground) -> None:
    await begin(ground)
    await create(ground)
    newest = (await steady(ground))["deployments"][0]["id"]
    await case.asked(ground)
    [gone] = await stopped(ground)
    assert gone["stoppedReason"] == f"Scaling activity initiated by (deployment {newest})"
    assert gone["stopCode"] == "ServiceSchedulerInitiated"
    assert len(await tasks(ground)) == 1


@scenario("ecs-091")
async def waits_for_one_deployment(case: Case, ground: Ground) -> None:
    waiter = waiter_of("ecs", "ServicesStable")
    assert (waiter.delay, waiter.max_attempts) == (15, 40)
    await begin(ground)
    arn = await used_group(ground)
    await create(ground, desiredCount=1, loadBalancers=balanced(arn))
    await steady(ground)
    assert verdict(waiter, await ground.ecs("DescribeServices", **case.input)) == "success"
    ground.portway.balancer.connections = dict.fromkeys(ground.portway.live("c/web"), 1)
    await ground.ecs("UpdateService", service="web", forceNewDeployment=True)

    async def has_two() -> bool:
        found = await service(ground)
        is_there = found["runningCount"] == found["desiredCount"] == 1
        return is_there and len(found["deployments"]) == 2 and found["deployments"][0]["runningCount"] == 1  # fmt: skip

    await ground.until(has_two)
    assert verdict(waiter, await ground.ecs("DescribeServices", **case.input)) == "retry"
    ground.portway.balancer.connections = {}
    await steady(ground)
    assert verdict(waiter, await ground.ecs("DescribeServices", **case.input)) == "success"
    assert len(await messages(ground)) > 1


@scenario("ecs-094")
async def with_a_service(case: Case, ground: Ground) -> None:
    await begin(ground)
    await create(ground)
    await case.asked(ground)
    assert (await ground.aws.ask("ecs", "DescribeClusters", clusters=["c"]))["clusters"][0]["status"] == "ACTIVE"  # fmt: skip
