"""Classic load balancers."""

from __future__ import annotations

from portway.controller.health.probes import ProbeTarget
from portway.core.balancing.targets import FAILED
from tests.api.aws.vectors.cases import Case, Ground, scenario
from tests.api.aws.vectors.ecs_steps import begin, create, network, service, steady, tasks


async def httpd(ground: Ground, instance_port: int = 3245) -> None:
    """The load balancer of the story."""
    _, subnets = await network(ground)
    listener = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": instance_port}
    await ground.aws.ask("elb", "CreateLoadBalancer", LoadBalancerName="httpd", Listeners=[listener], Subnets=subnets)  # fmt: skip


async def registered(ground: Ground) -> None:
    """The first machine as its instance."""
    given = {"LoadBalancerName": "httpd", "Instances": [{"InstanceId": ground.node_id}]}
    await ground.aws.ask("elb", "RegisterInstancesWithLoadBalancer", **given)


async def states(ground: Ground) -> list[str]:
    """Of its instances."""
    found = await ground.aws.ask("elb", "DescribeInstanceHealth", LoadBalancerName="httpd")
    return [one["State"] for one in found["InstanceStates"]]


@scenario("ecs-046")
async def no_rollout(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await begin(ground, host_port=3245)
    answer = await case.asked(ground)
    assert all("rolloutState" not in one for one in answer["service"]["deployments"])


@scenario("ecs-070")
async def created(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await begin(ground, host_port=3245)
    balanced = [{"loadBalancerName": "httpd", "containerName": "web", "containerPort": 80}]
    await create(ground, desiredCount=case.input["desired"], loadBalancers=balanced)
    await steady(ground)
    events = [*reversed((await service(ground))["events"])]
    found = case.told_in_order([event["message"] for event in events])
    [task] = await tasks(ground)
    assert task["taskArn"].rpartition("/")[2] in found.groups()
    assert events[0]["createdAt"] == events[1]["createdAt"]


@scenario("ecs-131", "ecs-132", "ecs-133")
async def refused(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await case.asked(ground)


@scenario("ecs-134")
async def just_registered(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await registered(ground)
    await case.asked(ground)


@scenario("ecs-136")
async def in_service(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await registered(ground)

    async def is_well() -> bool:
        return await states(ground) == ["InService"]

    await ground.until(is_well)
    await case.asked(ground)


class _Refuses:
    """What TargetChecker says of a port that nobody listens on; its own test asks one."""

    def __init__(self) -> None:
        self.asked = 0

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        self.asked += 1
        return False, FAILED


@scenario("ecs-135")
async def closed_port(case: Case, ground: Ground) -> None:
    refuses = _Refuses()
    ground.portway.controller.balancing.prober._checker = refuses  # noqa: SLF001
    await httpd(ground)
    await registered(ground)

    async def has_failed() -> bool:
        shown = await ground.aws.ask("elb", "DescribeInstanceHealth", LoadBalancerName="httpd")
        return [one["ReasonCode"] for one in shown["InstanceStates"]] == ["Instance"]

    await ground.until(has_failed)
    await case.asked(ground)
    assert refuses.asked >= 2


@scenario("ecs-137")
async def unknown(case: Case, ground: Ground) -> None:
    await httpd(ground)
    await case.asked(ground)
