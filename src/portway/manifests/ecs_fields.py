"""Every field of a task definition and of a service, and what portway does with it. docs/reference/ecs.md is made from this.

The fields and their types are those of RegisterTaskDefinition and CreateService; a test holds the table to AWS's own model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Use(StrEnum):
    """What becomes of a field: it has its effect, none, or is refused with a sentence."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `kind`: text, number, decimal, flag, map (of texts), texts, numbers, object or objects. `choices`: its only values.

    `told`: for people; of an ignored or refused field it is why. What is inside such a field is not looked at.
    """

    path: str
    kind: str
    use: Use
    told: str = ""
    choices: tuple[str, ...] = ()


# path | kind, and its choices | use (+ honoured, - ignored, ! refused) and what is told
_TASK = """
family | text | + with the revision the name of a task definition; in files also what a service.json refers to
taskRoleArn | text | - kept and given back; containers get no credentials
executionRoleArn | text | - kept and given back; images are pulled with Docker's own logins
networkMode | text bridge,host,awsvpc,none | + bridge is Docker's default bridge, awsvpc one address for the task; absent in files: the stack's network
containerDefinitions | objects | + the containers of every instance; the first one lends it its name in logs
containerDefinitions[].name | text | +
containerDefinitions[].image | text | + pinned by its content when it is registered or deployed
containerDefinitions[].repositoryCredentials | object | - images are pulled with Docker's own logins
containerDefinitions[].cpu | number | + CPU shares; counted in placement
containerDefinitions[].memory | number | + hard limit, in MiB
containerDefinitions[].memoryReservation | number | + soft limit, in MiB; counted in placement
containerDefinitions[].links | texts | + bridge only
containerDefinitions[].portMappings | objects | +
containerDefinitions[].portMappings[].containerPort | number | +
containerDefinitions[].portMappings[].hostPort | number | + 0 or absent: chosen; in files a fixed one is the listener
containerDefinitions[].portMappings[].protocol | text | + tcp or udp; anything else is tcp, as on AWS
containerDefinitions[].portMappings[].name | text | + the name of the port
containerDefinitions[].portMappings[].appProtocol | text | - kept and given back; the balancer finds out what a port speaks
containerDefinitions[].portMappings[].containerPortRange | text | + host ports in a row, chosen together
containerDefinitions[].essential | flag | +
containerDefinitions[].restartPolicy | object | - an instance is replaced whole, never restarted in part
containerDefinitions[].entryPoint | texts | +
containerDefinitions[].command | texts | +
containerDefinitions[].environment | objects | +
containerDefinitions[].environment[].name | text | +
containerDefinitions[].environment[].value | text | +
containerDefinitions[].environmentFiles | objects | ! nothing is fetched from S3: write the variables in environment, or as secrets
containerDefinitions[].mountPoints | objects | +
containerDefinitions[].mountPoints[].sourceVolume | text | +
containerDefinitions[].mountPoints[].containerPath | text | +
containerDefinitions[].mountPoints[].readOnly | flag | +
containerDefinitions[].volumesFrom | objects | +
containerDefinitions[].volumesFrom[].sourceContainer | text | +
containerDefinitions[].volumesFrom[].readOnly | flag | +
containerDefinitions[].linuxParameters | object | +
containerDefinitions[].linuxParameters.capabilities | object | +
containerDefinitions[].linuxParameters.capabilities.add | texts | +
containerDefinitions[].linuxParameters.capabilities.drop | texts | +
containerDefinitions[].linuxParameters.devices | objects | +
containerDefinitions[].linuxParameters.devices[].hostPath | text | +
containerDefinitions[].linuxParameters.devices[].containerPath | text | +
containerDefinitions[].linuxParameters.devices[].permissions | texts | +
containerDefinitions[].linuxParameters.initProcessEnabled | flag | +
containerDefinitions[].linuxParameters.sharedMemorySize | number | + MiB
containerDefinitions[].linuxParameters.tmpfs | objects | +
containerDefinitions[].linuxParameters.tmpfs[].containerPath | text | +
containerDefinitions[].linuxParameters.tmpfs[].size | number | + MiB
containerDefinitions[].linuxParameters.tmpfs[].mountOptions | texts | +
containerDefinitions[].linuxParameters.maxSwap | number | + MiB besides the memory
containerDefinitions[].linuxParameters.swappiness | number | +
containerDefinitions[].secrets | objects | + environment variables from files on this machine
containerDefinitions[].secrets[].name | text | +
containerDefinitions[].secrets[].valueFrom | text | + a name or ARN of SSM or Secrets Manager: a file of that name in the home's folder secrets
containerDefinitions[].dependsOn | objects | +
containerDefinitions[].dependsOn[].containerName | text | +
containerDefinitions[].dependsOn[].condition | text START,COMPLETE,SUCCESS,HEALTHY | +
containerDefinitions[].startTimeout | number | + seconds; 180 unless given
containerDefinitions[].stopTimeout | number | + seconds; 30 unless given
containerDefinitions[].versionConsistency | text | - images are always pinned
containerDefinitions[].hostname | text | +
containerDefinitions[].user | text | +
containerDefinitions[].workingDirectory | text | +
containerDefinitions[].disableNetworking | flag | ! a container alone without network cannot be had: use networkMode none for all of them
containerDefinitions[].privileged | flag | +
containerDefinitions[].readonlyRootFilesystem | flag | +
containerDefinitions[].dnsServers | texts | +
containerDefinitions[].dnsSearchDomains | texts | +
containerDefinitions[].extraHosts | objects | +
containerDefinitions[].extraHosts[].hostname | text | +
containerDefinitions[].extraHosts[].ipAddress | text | +
containerDefinitions[].dockerSecurityOptions | texts | +
containerDefinitions[].interactive | flag | +
containerDefinitions[].pseudoTerminal | flag | +
containerDefinitions[].dockerLabels | map | +
containerDefinitions[].ulimits | objects | +
containerDefinitions[].ulimits[].name | text | +
containerDefinitions[].ulimits[].softLimit | number | +
containerDefinitions[].ulimits[].hardLimit | number | +
containerDefinitions[].logConfiguration | object | +
containerDefinitions[].logConfiguration.logDriver | text json-file,syslog,journald,gelf,fluentd,awslogs,splunk,awsfirelens | + Docker's own drivers; awslogs is written to json-file and labelled with its options; awsfirelens is refused
containerDefinitions[].logConfiguration.options | map | +
containerDefinitions[].logConfiguration.secretOptions | objects | ! options of a log driver cannot be secrets here: write them in options
containerDefinitions[].healthCheck | object | +
containerDefinitions[].healthCheck.command | texts | + CMD, CMD-SHELL or NONE first
containerDefinitions[].healthCheck.interval | number | +
containerDefinitions[].healthCheck.timeout | number | +
containerDefinitions[].healthCheck.retries | number | +
containerDefinitions[].healthCheck.startPeriod | number | +
containerDefinitions[].systemControls | objects | +
containerDefinitions[].systemControls[].namespace | text | +
containerDefinitions[].systemControls[].value | text | +
containerDefinitions[].resourceRequirements | objects | ! no GPUs or accelerators are given out
containerDefinitions[].firelensConfiguration | object | ! no log router is run: use a driver of Docker's, or awslogs
containerDefinitions[].credentialSpecs | texts | ! Active Directory credentials are not supported
volumes | objects | +
volumes[].name | text | +
volumes[].host | object | +
volumes[].host.sourcePath | text | + a bind mount; without it each task has a volume of its own, deleted with it
volumes[].dockerVolumeConfiguration | object | +
volumes[].dockerVolumeConfiguration.scope | text task,shared | + task: each task has its own, deleted with it; shared: one for the cluster or stack, which stays
volumes[].dockerVolumeConfiguration.autoprovision | flag | + of a shared one: false means that it exists already
volumes[].dockerVolumeConfiguration.driver | text | +
volumes[].dockerVolumeConfiguration.driverOpts | map | +
volumes[].dockerVolumeConfiguration.labels | map | - volumes carry portway's labels
volumes[].efsVolumeConfiguration | object | ! there is no EFS here: use a host path, or a shared Docker volume
volumes[].s3filesVolumeConfiguration | object | ! there is no S3 here: use a host path, or a shared Docker volume
volumes[].fsxWindowsFileServerVolumeConfiguration | object | ! there is no FSx here: use a host path, or a shared Docker volume
volumes[].configuredAtLaunch | flag | ! there are no EBS volumes here: use a host path, or a shared Docker volume
placementConstraints | objects | +
placementConstraints[].type | text memberOf | +
placementConstraints[].expression | text | +
requiresCompatibilities | texts | + FARGATE is checked as on AWS and runs on this machine's Docker
cpu | text | + of the whole task, in units or vCPU: no container may use more
memory | text | + of the whole task, in MiB or GB: the limit of containers without their own
tags | objects | + kept and given back
tags[].key | text | +
tags[].value | text | +
pidMode | text host,task | ! containers keep their processes to themselves
ipcMode | text host,task,none | ! containers keep their shared memory to themselves
proxyConfiguration | object | ! there is no App Mesh here
inferenceAccelerators | objects | ! no accelerators are given out
ephemeralStorage | object | - containers may use what the disk has
runtimePlatform | object | +
runtimePlatform.cpuArchitecture | text | - containers run on this machine's processor
runtimePlatform.operatingSystemFamily | text | + Windows is refused
enableFaultInjection | flag | - no faults are injected
trustedExecutionConfiguration | object | ! there are no sandboxes here
"""

_SERVICE = """
cluster | text | - the stack is named by -a or the directory
serviceName | text | + the name of the App; absent: the family
taskDefinition | text | + the family of one of the other files, with or without a revision
availabilityZoneRebalancing | text | - one machine is one zone
loadBalancers | objects | + each instance is a target of these target groups
loadBalancers[].targetGroupArn | text | +
loadBalancers[].loadBalancerName | text | ! a classic load balancer is bound to a service over the AWS API
loadBalancers[].containerName | text | +
loadBalancers[].containerPort | number | +
loadBalancers[].advancedConfiguration | object | ! there are no blue-green target groups: `portway deploy --blue-green` switches at the listener
serviceRegistries | objects | - services of a stack find each other by name
desiredCount | number | +
clientToken | text | - a file may be deployed again
launchType | text | - everything runs on this machine's Docker
capacityProviderStrategy | objects | - everything runs on this machine's Docker
platformVersion | text | - everything runs on this machine's Docker
role | text | - the balancer needs no role
deploymentConfiguration | object | +
deploymentConfiguration.deploymentCircuitBreaker | object | +
deploymentConfiguration.deploymentCircuitBreaker.enable | flag | +
deploymentConfiguration.deploymentCircuitBreaker.rollback | flag | +
deploymentConfiguration.deploymentCircuitBreaker.resetOnHealthyTask | flag | +
deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration | object | +
deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.type | text COUNT,BOUNDED_PERCENT,UNBOUNDED_PERCENT | +
deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.value | number | +
deploymentConfiguration.maximumPercent | number | +
deploymentConfiguration.minimumHealthyPercent | number | +
deploymentConfiguration.alarms | object | - there are no CloudWatch alarms
deploymentConfiguration.strategy | text ROLLING,BLUE_GREEN,LINEAR,CANARY | + ROLLING alone; the others are options of `portway deploy`
deploymentConfiguration.bakeTimeInMinutes | number | - of the strategies that are options of `portway deploy`
deploymentConfiguration.lifecycleHooks | objects | ! no hooks are called
deploymentConfiguration.linearConfiguration | object | - of the strategies that are options of `portway deploy`
deploymentConfiguration.canaryConfiguration | object | - of the strategies that are options of `portway deploy`
deploymentConfiguration.earlySuccessCriteria | object | - a deployment is done when all of it is
placementConstraints | objects | +
placementConstraints[].type | text distinctInstance,memberOf | +
placementConstraints[].expression | text | +
placementStrategy | objects | +
placementStrategy[].type | text random,spread,binpack | +
placementStrategy[].field | text | +
networkConfiguration | object | - instances of awsvpc tasks get an address of the stack's network
healthCheckGracePeriodSeconds | number | + with load balancers
schedulingStrategy | text REPLICA,DAEMON | +
deploymentController | object | +
deploymentController.type | text ECS,CODE_DEPLOY,EXTERNAL | + ECS alone
tags | objects | - files have no tags
enableECSManagedTags | flag | - files have no tags
propagateTags | text | - files have no tags
enableExecuteCommand | flag | - `portway exec` always works
serviceConnectConfiguration | object | - services of a stack find each other by name
volumeConfigurations | objects | ! there are no EBS volumes here
vpcLatticeConfigurations | objects | ! there is no VPC Lattice here
gatewayConnectors | objects | ! there are no gateway connectors here
monitoring | object | - `portway` counts everything at all times
"""

# What describe-task-definition and describe-services print besides; a file that is their output may hold it.
SHOWN_ONLY = frozenset(
    (
        "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy",
        "deregisteredAt", "deleteRequestedAt", "serviceArn", "clusterArn", "runningCount", "pendingCount", "deployments",
        "events", "createdAt", "createdBy", "roleArn", "taskSets", "platformFamily", "currentServiceDeployment",
        "currentServiceRevisions", "resourceManagementType", "deploymentControllerType",
    )
)  # fmt: skip

_USES = {"+": Use.HONOURED, "-": Use.IGNORED, "!": Use.REFUSED}


@cache
def task_fields() -> Mapping[str, Field]:
    """The fields of a task definition by path."""
    return _fields(_TASK)


@cache
def service_fields() -> Mapping[str, Field]:
    """The fields of a service by path."""
    return _fields(_SERVICE)


@cache
def keys_of(fields_of_service: bool, path: str) -> tuple[str, ...]:
    """The fields directly inside the one at `path`; "" is the document."""
    fields = service_fields() if fields_of_service else task_fields()
    inside = f"{path}." if path else ""
    found = (key.removeprefix(inside) for key in fields if key.startswith(inside))
    return tuple(key for key in found if "." not in key and "[" not in key)


def _fields(table: str) -> Mapping[str, Field]:
    rows = (row.split(" | ") for row in table.strip().splitlines())
    return {path: _field(path, kind, told) for path, kind, told in rows}


def _field(path: str, kind: str, told: str) -> Field:
    name, _, choices = kind.partition(" ")
    return Field(
        path=path,
        kind=name,
        use=_USES[told[0]],
        told=told[2:],
        choices=tuple(choices.split(",")) if choices else (),
    )
