"""What the scenarios of ECS and of load balancers do before and after they ask."""

from __future__ import annotations

from typing import Any

from tests.api.aws.vectors.cases import Ground

FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


async def register(ground: Ground, *, host_port: int = 0, **container: Any) -> str:
    """A revision of the task definition web."""
    mapping = {"containerPort": 80, **({"hostPort": host_port} if host_port else {})}
    given = {"name": "web", "image": "web", "memory": 64, "portMappings": [mapping], **container}
    made = await ground.aws.ask("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[given])  # fmt: skip
    return made["taskDefinition"]["taskDefinitionArn"]


async def begin(ground: Ground, **given: Any) -> str:
    """Cluster c with a task definition."""
    await ground.aws.ask("ecs", "CreateCluster", clusterName="c")
    return await register(ground, **given)


async def create(ground: Ground, **given: Any) -> dict[str, Any]:
    """The service web."""
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **given}
    return (await ground.ecs("CreateService", **asked))["service"]


async def service(ground: Ground) -> dict[str, Any]:
    """It, as it is described."""
    [found] = (await ground.ecs("DescribeServices", services=["web"]))["services"]
    return found


async def messages(ground: Ground) -> list[str]:
    """Its events, oldest first."""
    return [event["message"] for event in reversed((await service(ground))["events"])]


async def steady(ground: Ground) -> dict[str, Any]:
    """The service once it rests and has said so."""
    await ground.portway.settled("c")

    async def rests() -> Any:
        found = await service(ground)
        events = found["events"]
        is_told = bool(events) and events[0]["message"].endswith("has reached a steady state.")
        return found if is_told and len(found["deployments"]) == 1 else None

    return await ground.until(rests)


async def told(ground: Ground, part: str) -> str:
    """The first event with these words, once there is one."""

    async def found() -> str:
        return next((m for m in await messages(ground) if part in m), "")

    return await ground.until(found)


async def tasks(ground: Ground, status: str = "RUNNING") -> list[dict[str, Any]]:
    """The tasks that should be so."""
    arns = (await ground.ecs("ListTasks", desiredStatus=status))["taskArns"]
    return (await ground.ecs("DescribeTasks", tasks=arns))["tasks"] if arns else []


async def stopped(ground: Ground, *, count: int = 1) -> list[dict[str, Any]]:
    """Tasks that have stopped, once there are so many."""

    async def found() -> Any:
        gone = [t for t in await tasks(ground, "STOPPED") if t["lastStatus"] == "STOPPED"]
        return gone if len(gone) >= count else None

    return await ground.until(found)


async def task_running(ground: Ground, **given: Any) -> dict[str, Any]:
    """A task of RunTask that runs."""
    [made] = (await ground.ecs("RunTask", **{"taskDefinition": "web", **given}))["tasks"]

    async def runs() -> Any:
        [found] = (await ground.ecs("DescribeTasks", tasks=[made["taskArn"]]))["tasks"]
        return found if found["lastStatus"] == "RUNNING" else None

    return await ground.until(runs)


async def network(ground: Ground) -> tuple[str, list[str]]:
    """The VPC and its subnets."""
    found = (await ground.aws.ask("ec2", "DescribeSubnets"))["Subnets"]
    return found[0]["VpcId"], [subnet["SubnetId"] for subnet in found]


async def group(ground: Ground, **given: Any) -> str:
    """A target group that no listener leads to."""
    vpc_id, _ = await network(ground)
    asked = {"Name": "tg", "Protocol": "HTTP", "Port": 80, "VpcId": vpc_id, **given}
    return (await ground.elb("CreateTargetGroup", **asked))["TargetGroups"][0]["TargetGroupArn"]


async def balancer(ground: Ground, **given: Any) -> str:
    """A load balancer without listeners."""
    _, subnets = await network(ground)
    asked = {"Name": "web", "Subnets": subnets, **given}
    return (await ground.elb("CreateLoadBalancer", **asked))["LoadBalancers"][0]["LoadBalancerArn"]


async def used_group(ground: Ground, **given: Any) -> str:
    """A target group behind a listener."""
    arn, of = await group(ground, **given), await balancer(ground)
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    await ground.elb("CreateListener", LoadBalancerArn=of, Protocol="HTTP", Port=80, DefaultActions=forward)  # fmt: skip
    return arn


def balanced(arn: str) -> list[dict[str, Any]]:
    """loadBalancers of a service in front of a target group."""
    return [{"targetGroupArn": arn, "containerName": "web", "containerPort": 80}]


async def healths(ground: Ground, arn: str) -> list[dict[str, Any]]:
    """What DescribeTargetHealth says of a group."""
    return (await ground.elb("DescribeTargetHealth", TargetGroupArn=arn))["TargetHealthDescriptions"]  # fmt: skip


async def until_states(ground: Ground, arn: str, *states: str) -> list[dict[str, Any]]:
    """Likewise, once its targets are in these states."""

    async def are() -> Any:
        found = await healths(ground, arn)
        return found if [one["TargetHealth"]["State"] for one in found] == [*states] else None

    return await ground.until(are)
