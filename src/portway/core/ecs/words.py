"""The sentences of service events, of deployments and of stopped tasks, letter by letter as ECS writes them."""

from __future__ import annotations

from collections.abc import Sequence

NO_INSTANCE = "because no container instance met all of its requirements."
_GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_TARGET_GROUP = ":targetgroup/"

ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
STOPPED_BY_USER = "Task stopped by user"
FAILED_CONTAINER_CHECKS = "Task failed container health checks"
BREAKER = "ECS deployment circuit breaker: "
BREAKER_FAILED = f"{BREAKER}tasks failed to start."
SUPERSEDED = "A newer deployment of the service took its place."
SERVICE_DELETED = "The service was deleted."
STOPPED_DEPLOYMENT = "Stopped by StopServiceDeployment."

_LACKS = {
    "CPU": "has insufficient CPU units available.",
    "MEMORY": "has insufficient memory available.",
    "GPU": "has insufficient GPU resource available.",
    "PORTS": "is already using a port required by your task.",
    "ATTRIBUTE": "is missing an attribute required by your task.",
    "CONSTRAINT": "is missing an attribute required by your task.",
    "AGENT": 'encountered error "AGENT".',
}


def steady(service: str) -> str:
    """Event 1."""
    return f"(service {service}) has reached a steady state."


def not_placed(service: str, *, code: str = "", container_instance: str = "") -> str:
    """Events 2 to 3. `code`: what the closest container instance lacks; "" when there is nothing to say of one."""
    said = f"(service {service}) was unable to place a task {NO_INSTANCE}"
    lacks = _LACKS.get(code)
    if lacks is None or not container_instance:
        return said
    closest = f" The closest matching (container-instance {container_instance}) {lacks}"
    return said + closest + ("" if code == "AGENT" else _GUIDE)


def unhealthy_target(
    service: str, *, ec2_instance: str, host_port: int, group: str, reason: str
) -> str:
    """Events 4 (classic) and 4b: a target of the node that does not answer as it should."""
    if is_target_group(group):
        where = (
            f"(instance {ec2_instance}) (port {host_port}) is unhealthy in (target-group {group})"
        )
    else:
        where = f"(instance {ec2_instance}) is unhealthy in (elb {elb_name(group)})"
    return f"(service {service}) {where} due to (reason {reason})"


def unhealthy_address(
    service: str, *, task: str, container_port: int, group: str, reason: str
) -> str:
    """Event 4c: a target that is the task's own address."""
    return (
        f"(service {service}) (task {task}) (port {container_port}) is unhealthy in "
        f"(target-group {group}) due to (reason {reason})"
    )


def failed_container_checks(service: str, task: str) -> str:
    """Event 4d."""
    return f"(service {service}) (task {task}) failed container health checks."


def not_starting(service: str) -> str:
    """Event 5."""
    return f"(service {service}) is unable to consistently start tasks successfully."


def throttled(service: str) -> str:
    """Event 6."""
    return f"(service {service}) operations are being throttled. Will try again later."


def bounds_in_the_way(service: str) -> str:
    """Event 7."""
    return (
        f"(service {service}) was unable to stop or start tasks during a deployment because of the service "
        "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
    )


def not_placed_because(service: str, reason: str) -> str:
    """Event 8."""
    return f"(service {service}) was unable to place a task. Reason: {reason}"


def protected(service: str, deployment: str) -> str:
    """Event 9."""
    return (
        f"(service {service}) was unable to reach steady state because task set ({deployment}) was unable to scale in. "
        "Reason: The number of protected tasks are more than the desired count of tasks."
    )


def no_container_instances(service: str) -> str:
    """Event 10."""
    return (
        f"(service {service}) was unable to reach steady state. "
        "Reason: No Container Instances were found in your capacity provider."
    )


def started(service: str, tasks: Sequence[str], *, replaced: int = 0) -> str:
    """Event 11. `replaced`: so many of them take the place of unhealthy ones."""
    said = f"(service {service}) has started {len(tasks)} tasks: {_listed(tasks)}."
    if replaced:
        said += f"  Amazon ECS replaced {replaced} tasks due to an unhealthy status."
    return said


def stopped(service: str, tasks: Sequence[str]) -> str:
    """Event 12."""
    return f"(service {service}) has stopped {len(tasks)} running tasks: {_listed(tasks)}."


def stopped_pending(service: str, count: int) -> str:
    """Event 13."""
    return f"(service {service}) stopped {count} pending tasks."


def registered(service: str, count: int, group: str) -> str:
    """Events 14 and 17; there is no full stop."""
    return f"(service {service}) registered {count} {_targets(group)}"


def deregistered(service: str, count: int, group: str) -> str:
    """Events 15 and 17; there is no full stop."""
    return f"(service {service}) deregistered {count} {_targets(group)}"


def draining(service: str, deployment: str, count: int) -> str:
    """Event 16."""
    return f"(service {service}, taskSet {deployment}) has begun draining connections on {count} tasks."


def deployment_completed(service: str, deployment: str) -> str:
    """Event 18."""
    return f"(service {service}) (deployment {deployment}) deployment completed."


def deployment_failed(service: str, deployment: str) -> str:
    """Event 19."""
    return (
        f"(service {service}) (deployment {deployment}) deployment failed: tasks failed to start."
    )


def rolling_back(service: str, deployment: str) -> str:
    """Event 20."""
    return f"(service {service}) rolling back to deployment {deployment}."


def in_progress(deployment: str) -> str:
    """Why a deployment's rolloutState is what it is: it goes on."""
    return f"ECS deployment {deployment} in progress."


def completed(deployment: str) -> str:
    """Likewise: it has ended well."""
    return f"ECS deployment {deployment} completed."


def breaker_rolls_back(deployment: str) -> str:
    """Likewise: it takes a failed one back."""
    return f"{BREAKER}rolling back to deploymentId {deployment}."


def asked_to_roll_back(deployment: str) -> str:
    """Likewise: somebody asked for it to go back."""
    return f"StopServiceDeployment: rolling back to deploymentId {deployment}."


def failed_balancer_checks(group: str) -> str:
    """Why a task was stopped that a load balancer found unhealthy."""
    where = f"target-group {group}" if is_target_group(group) else f"elb {elb_name(group)}"
    return f"Task failed ELB health checks in ({where})"


def scaling_activity(deployment: str) -> str:
    """Why a task was stopped by a newer deployment, or by scaling in."""
    return f"Scaling activity initiated by (deployment {deployment})"


def is_target_group(group: str) -> bool:
    """Whether a binding is to a target group and not to a classic load balancer."""
    return _TARGET_GROUP in group


def elb_name(group: str) -> str:
    """The name of a classic load balancer, from its name or ARN."""
    return group.rpartition("/")[2]


def _targets(group: str) -> str:
    if is_target_group(group):
        return f"targets in (target-group {group})"
    return f"instances in (elb {elb_name(group)})"


def _listed(tasks: Sequence[str]) -> str:
    return " ".join(f"(task {task})" for task in tasks)
