"""The fields of an app, their types and defaults; and of an update, which has no defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.manifests.marathon.common_shape import (
    ANY_TEXT,
    ARTIFACT,
    COMMAND,
    COUNT,
    ENV_VALUE,
    EXECUTOR_RESOURCES,
    KILL_SELECTION,
    LABELS,
    NAME,
    NETWORK,
    NETWORK_NAME,
    NUMBER,
    PATH,
    PERSISTENT,
    PORT,
    RESOURCE_LIMITS,
    SECRET,
    SECRETS,
    SHARE,
    TEXT,
    UNREACHABLE,
)
from portway.manifests.marathon.shape import (
    Anything,
    Choice,
    Decimal,
    Flag,
    Kind,
    ListOf,
    MapOf,
    Member,
    Moment,
    OneOf,
    Record,
    Text,
    Whole,
    by_default,
    maybe,
    need,
)

_PROTOCOL = Choice(words=("tcp", "udp", "udp,tcp"))
_CHECKED = (
    "HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_TCP", "MESOS_HTTP", "MESOS_HTTPS",
)  # fmt: skip

PORT_DEFINITION = Record(
    members={
        "port": by_default(PORT, 0),
        "labels": by_default(LABELS, {}),
        "name": maybe(NAME),
        "protocol": by_default(_PROTOCOL, "tcp"),
    }
)

PORT_MAPPING = Record(
    members={
        "containerPort": by_default(PORT, 0),
        "hostPort": maybe(PORT),
        "labels": by_default(LABELS, {}),
        "name": maybe(NAME),
        "protocol": by_default(_PROTOCOL, "tcp"),
        "servicePort": by_default(PORT, 0),
        "networkNames": by_default(ListOf(item=NETWORK_NAME, distinct=True), []),
    }
)

_MODE = Choice(words=("RO", "RW"))
_PERSISTENT_VOLUME = Record(
    members={
        "containerPath": need(ANY_TEXT),
        "mode": by_default(_MODE, "RW"),
        "persistent": need(PERSISTENT),
    }
)
_EXTERNAL_VOLUME = Record(
    members={
        "containerPath": need(ANY_TEXT),
        "mode": by_default(_MODE, "RW"),
        "external": need(Anything()),
    }
)
_SECRET_VOLUME = Record(
    members={"containerPath": need(ANY_TEXT), "secret": need(ANY_TEXT), "mode": maybe(_MODE)}
)
_HOST_VOLUME = Record(
    members={"containerPath": need(ANY_TEXT), "hostPath": need(ANY_TEXT), "mode": need(_MODE)}
)


def _volume(value: Any) -> Kind:
    kinds: Mapping[str, Kind] = {
        "persistent": _PERSISTENT_VOLUME,
        "external": _EXTERNAL_VOLUME,
        "secret": _SECRET_VOLUME,
    }
    found = (kind for key, kind in kinds.items() if isinstance(value, dict) and value.get(key) is not None)  # fmt: skip
    return next(found, _HOST_VOLUME)


_DOCKER = Record(
    members={
        "credential": maybe(Anything()),
        "forcePullImage": by_default(Flag(), False),
        "image": need(TEXT),
        "network": maybe(Choice(words=("BRIDGE", "HOST", "NONE", "USER"))),
        "parameters": by_default(
            ListOf(item=Record(members={"key": need(TEXT), "value": need(ANY_TEXT)})), []
        ),
        "portMappings": maybe(ListOf(item=PORT_MAPPING)),
        "privileged": by_default(Flag(), False),
        "pullConfig": maybe(SECRET),
    }
)

_CONTAINER = Record(
    members={
        "type": by_default(Choice(words=("MESOS", "DOCKER")), "DOCKER"),
        "docker": maybe(_DOCKER),
        "appc": maybe(Anything()),
        "portMappings": maybe(ListOf(item=PORT_MAPPING)),
        "volumes": by_default(ListOf(item=OneOf(pick=_volume)), []),
        "linuxInfo": maybe(Anything()),
    }
)

_HEALTH_CHECK = Record(
    members={
        "command": maybe(Record(members={"value": need(TEXT)})),
        "delaySeconds": by_default(COUNT, 15),
        "gracePeriodSeconds": by_default(COUNT, 300),
        "ignoreHttp1xx": maybe(Flag()),
        "intervalSeconds": by_default(COUNT, 60),
        "ipProtocol": by_default(Choice(words=("IPv4", "IPv6")), "IPv4"),
        "maxConsecutiveFailures": by_default(COUNT, 3),
        "path": maybe(ANY_TEXT),
        "port": maybe(PORT),
        "portIndex": maybe(COUNT),
        "protocol": by_default(Choice(words=_CHECKED), "HTTP"),
        "timeoutSeconds": by_default(COUNT, 20),
    }
)

_CHECK_TARGET = {"port": maybe(PORT), "portIndex": maybe(COUNT)}
_CHECK = Record(
    members={
        "http": maybe(Record(members={**_CHECK_TARGET, "path": maybe(ANY_TEXT), "scheme": by_default(Choice(words=("HTTP", "HTTPS")), "HTTP")})),
        "tcp": maybe(Record(members=_CHECK_TARGET)),
        "exec": maybe(Record(members={"command": need(OneOf(pick=COMMAND))})),
        "delaySeconds": by_default(COUNT, 15),
        "intervalSeconds": by_default(COUNT, 60),
        "timeoutSeconds": by_default(COUNT, 20),
    }
)  # fmt: skip

_READINESS = Record(
    members={
        "httpStatusCodesForReady": maybe(ListOf(item=Whole(least=100, most=599), distinct=True)),
        "intervalSeconds": by_default(Whole(least=1), 30),
        "name": by_default(TEXT, "readinessCheck"),
        "path": by_default(ANY_TEXT, "/"),
        "portName": by_default(TEXT, "http-api"),
        "preserveLastResponse": by_default(Flag(), False),
        "protocol": by_default(Choice(words=("HTTP", "HTTPS")), "HTTP"),
        "timeoutSeconds": by_default(Whole(least=1), 10),
    }
)

_DISCOVERED = Record(
    members={
        "number": need(PORT),
        "name": need(NAME),
        "protocol": by_default(_PROTOCOL, "tcp"),
        "labels": by_default(LABELS, {}),
    }
)
_IP_ADDRESS = Record(
    members={
        "discovery": maybe(Record(members={"ports": by_default(ListOf(item=_DISCOVERED), [])})),
        "groups": by_default(ListOf(item=ANY_TEXT), []),
        "labels": by_default(LABELS, {}),
        "networkName": maybe(TEXT),
    }
)

_UPGRADE = Record(
    members={"maximumOverCapacity": need(SHARE), "minimumHealthCapacity": need(SHARE)}
)
_RESIDENCY = Record(
    members={
        "relaunchEscalationTimeoutSeconds": by_default(COUNT, 3600),
        "taskLostBehavior": by_default(
            Choice(words=("WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT")), "WAIT_FOREVER"
        ),
    }
)


def _is_executor(text: str) -> bool:
    """Nothing, //cmd, or a path of names."""
    return text in ("", "//cmd") or all(text.removeprefix("/").split("/"))


_MEMBERS: dict[str, Member] = {
    "id": need(PATH),
    "acceptedResourceRoles": maybe(ListOf(item=ANY_TEXT, distinct=True)),
    "args": by_default(ListOf(item=ANY_TEXT), []),
    "backoffFactor": by_default(Decimal(least=1), 1.15),
    "backoffSeconds": by_default(COUNT, 1),
    "check": maybe(_CHECK),
    "cmd": maybe(TEXT),
    "constraints": by_default(ListOf(item=ListOf(item=ANY_TEXT), distinct=True), []),
    "container": maybe(_CONTAINER),
    "cpus": by_default(NUMBER, 1),
    "dependencies": by_default(ListOf(item=PATH, distinct=True), []),
    "disk": by_default(NUMBER, 0),
    "env": by_default(MapOf(item=OneOf(pick=ENV_VALUE)), {}),
    "executor": by_default(Text(fits=_is_executor), ""),
    "executorResources": maybe(EXECUTOR_RESOURCES),
    "fetch": by_default(ListOf(item=ARTIFACT), []),
    "gpus": by_default(COUNT, 0),
    "healthChecks": by_default(ListOf(item=_HEALTH_CHECK, distinct=True), []),
    "instances": by_default(COUNT, 1),
    "ipAddress": maybe(_IP_ADDRESS),
    "killSelection": by_default(KILL_SELECTION, "YOUNGEST_FIRST"),
    "labels": by_default(LABELS, {}),
    "maxLaunchDelaySeconds": by_default(COUNT, 300),
    "mem": by_default(NUMBER, 128),
    "networks": by_default(ListOf(item=NETWORK), []),
    "portDefinitions": maybe(ListOf(item=PORT_DEFINITION)),
    "ports": maybe(ListOf(item=PORT)),
    "readinessChecks": by_default(ListOf(item=_READINESS), []),
    "requirePorts": by_default(Flag(), False),
    "residency": maybe(_RESIDENCY),
    "resourceLimits": maybe(RESOURCE_LIMITS),
    "role": maybe(TEXT),
    "secrets": by_default(SECRETS, {}),
    "taskKillGracePeriodSeconds": maybe(COUNT),
    "tty": maybe(Flag()),
    "unreachableStrategy": maybe(OneOf(pick=UNREACHABLE)),
    "upgradeStrategy": maybe(_UPGRADE),
    "uris": maybe(ListOf(item=ANY_TEXT)),
    "user": maybe(ANY_TEXT),
    "version": maybe(Moment()),
    "versionInfo": maybe(Anything()),
}

# What GET shows beside a definition; clients send it back, and it is left out.
SHOWN_ONLY = frozenset(
    (
        "tasks", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "tasksStats", "taskStats", "deployments",
        "lastTaskFailure", "readinessCheckResults", "storeUrls",
    )
)  # fmt: skip

APP = Record(members=_MEMBERS)
APP_UPDATE = Record(members={**_MEMBERS, "id": maybe(PATH)}, partial=True)
