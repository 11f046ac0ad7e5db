"""Every field of an app and of a pod, and what portway does with it. docs/reference/marathon-fields.md is made from this.

Honoured fields have their effect. Ignored ones are kept and given back. Refused ones are a violation with their sentence,
because to leave them aside would mislead. A test holds the tables to the shapes that are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from portway.manifests.ecs_fields import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `told`: for people; of one without an effect it is why."""

    path: str
    use: Use
    told: str = ""


# path | use (+ honoured, - ignored, ! refused) and what is told
_APP = """
id | + names of the groups and the app; over the API also relative to /
acceptedResourceRoles | - checked as Marathon does; nodes here have no roles
args | +
backoffFactor | +
backoffSeconds | +
check | - it would only be shown; use healthChecks
cmd | +
constraints | +
container | +
container.type | + DOCKER is Docker; MESOS with an image too, and without one a process
container.appc | ! appc images cannot be run: use a Docker image
container.docker | +
container.docker.credential | ! Marathon refuses it too: log Docker in on this machine
container.docker.forcePullImage | + the image is fetched at each release; all instances of one run the same
container.docker.image | +
container.docker.network | + deprecated: becomes networks
container.docker.parameters | + those of docker run that portway has a field for; others are refused by name
container.docker.portMappings | + deprecated: becomes container.portMappings
container.docker.privileged | +
container.docker.pullConfig | ! there is no provider of secrets: log Docker in on this machine
container.linuxInfo | ! seccomp and IPC settings are not passed on: for Docker use container.docker.parameters
container.portMappings | +
container.portMappings[].containerPort | + 0 is the host port's number
container.portMappings[].hostPort | +
container.portMappings[].labels | - kept and given back; VIPs have no meaning here
container.portMappings[].name | +
container.portMappings[].networkNames | - a container has its ports on all its networks
container.portMappings[].protocol | +
container.portMappings[].servicePort | + portway's balancer listens on it
container.volumes | +
container.volumes[].containerPath | +
container.volumes[].hostPath | +
container.volumes[].mode | +
container.volumes[].persistent | ! there are no persistent volumes: use hostPath, or the Docker parameter volume
container.volumes[].external | ! there are no external volumes: use hostPath, or the Docker parameter volume
container.volumes[].secret | ! there is no provider of secrets: use a hostPath
cpus | + a limit, unless resourceLimits.cpus says another
dependencies | + the order of deployments
disk | - kept, given back and told to the task; instances may use what the disk has
env | +
executor | ! there are no custom executors: leave it out, or write //cmd
executorResources | - there is no executor that takes any
fetch | ! nothing is fetched before a start: put it into the image, or fetch it in cmd
gpus | ! no GPUs are given out
healthChecks | +
healthChecks[].command | + runs in the container, or as the process' user
healthChecks[].delaySeconds | + of COMMAND and MESOS_* checks
healthChecks[].gracePeriodSeconds | +
healthChecks[].ignoreHttp1xx | - an answer of 1xx is never the last one
healthChecks[].intervalSeconds | +
healthChecks[].ipProtocol | ! instances have IPv4 addresses: leave it out, or write IPv4
healthChecks[].maxConsecutiveFailures | + killed at the one after so many, as Marathon does; 0 never
healthChecks[].path | +
healthChecks[].port | + one of the app's own ports
healthChecks[].portIndex | +
healthChecks[].protocol | + MESOS_* and plain checks alike are made by portway
healthChecks[].timeoutSeconds | +
instances | +
ipAddress | + deprecated: becomes networks and container.portMappings
killSelection | +
labels | + [those of marathon-lb](marathon-lb.md) say how service ports are served
maxLaunchDelaySeconds | +
mem | + MiB; a limit, unless resourceLimits.mem says another
networks | +
networks[].labels | - kept and given back
networks[].mode | + host, container/bridge, or container with an address for each instance
networks[].name | + a network of the app's group, made when it is not there
portDefinitions | +
portDefinitions[].labels | - kept and given back; VIPs have no meaning here
portDefinitions[].name | +
portDefinitions[].port | + portway's balancer listens on it
portDefinitions[].protocol | +
ports | + deprecated: becomes portDefinitions
readinessChecks | +
readinessChecks[].httpStatusCodesForReady | +
readinessChecks[].intervalSeconds | +
readinessChecks[].name | - kept and given back
readinessChecks[].path | +
readinessChecks[].portName | +
readinessChecks[].preserveLastResponse | - answers are not kept
readinessChecks[].protocol | +
readinessChecks[].timeoutSeconds | +
requirePorts | +
residency | - it is of persistent volumes, which are refused
resourceLimits | +
role | - checked as Marathon does; nodes here have no roles
secrets | ! there is no provider of secrets: use env
taskKillGracePeriodSeconds | + 10 unless given
tty | +
unreachableStrategy | + of nodes that cannot be reached
upgradeStrategy | + the planner's bounds; old instances are drained before they are ended
uris | + deprecated: becomes fetch, and is refused with it
user | +
version | - the server gives it
versionInfo | - the server gives it
"""

_POD = """
id | + see the app's
containers | +
containers[].name | +
containers[].artifacts | ! nothing is fetched before a start: put it into the image
containers[].check | - it would only be shown; use healthCheck
containers[].endpoints | +
containers[].endpoints[].containerPort | +
containers[].endpoints[].hostPort | +
containers[].endpoints[].labels | - kept and given back; VIPs have no meaning here
containers[].endpoints[].name | +
containers[].endpoints[].networkNames | - a container has its ports on all its networks
containers[].endpoints[].protocol | + tcp and udp
containers[].environment | +
containers[].exec | +
containers[].exec.command | +
containers[].exec.overrideEntrypoint | +
containers[].healthCheck | +
containers[].image | + without one a pod of a single container is a process; of several each needs one
containers[].image.forcePull | + the image is fetched at each release; all instances of one run the same
containers[].image.id | +
containers[].image.kind | + DOCKER alone
containers[].image.labels | - they are for finding appc images
containers[].image.pullConfig | ! there is no provider of secrets: log Docker in on this machine
containers[].labels | +
containers[].lifecycle | + killGracePeriodSeconds
containers[].linuxInfo | ! seccomp and IPC settings are not passed on
containers[].resourceLimits | +
containers[].resources | + cpus and mem; disk is kept, gpus are refused
containers[].resources.gpus | ! no GPUs are given out
containers[].tty | +
containers[].user | +
containers[].volumeMounts | +
environment | +
executorResources | - there is no executor that takes any
labels | +
legacySharedCgroups | - there is no executor that would share them
linuxInfo | ! seccomp and IPC settings are not passed on
networks | +
networks[].labels | - kept and given back
networks[].mode | +
networks[].name | + a network of the pod's group, made when it is not there
role | - checked as Marathon does; nodes here have no roles
scaling | +
scaling.instances | +
scaling.kind | +
scaling.maxInstances | - kept and given back
scheduling | +
scheduling.backoff | +
scheduling.killSelection | +
scheduling.placement | + constraints; acceptedResourceRoles are checked alone
scheduling.unreachableStrategy | + of nodes that cannot be reached
scheduling.upgrade | +
secrets | ! there is no provider of secrets: use environment
user | +
version | - the server gives it
volumes | +
volumes[].host | +
volumes[].name | + without a host path it lives as long as the instance; one that several containers mount is shared by all instances
volumes[].persistent | ! there are no persistent volumes: use host
volumes[].secret | ! there is no provider of secrets: use host
"""

_USES = {"+": Use.HONOURED, "-": Use.IGNORED, "!": Use.REFUSED}


@cache
def app_fields() -> Mapping[str, Field]:
    """The fields of an app by path."""
    return _fields(_APP)


@cache
def pod_fields() -> Mapping[str, Field]:
    """The fields of a pod by path."""
    return _fields(_POD)


def _fields(table: str) -> Mapping[str, Field]:
    rows = (row.split(" | ") for row in table.strip().splitlines())
    return {path: Field(path=path, use=_USES[told[0]], told=told[2:]) for path, told in rows}
