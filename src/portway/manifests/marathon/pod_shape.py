"""The fields of a pod, their types and defaults."""

from __future__ import annotations

import re
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
    SHORT_NAME,
    TEXT,
    UNREACHABLE,
)
from portway.manifests.marathon.shape import (
    Anything,
    Choice,
    Flag,
    Kind,
    ListOf,
    MapOf,
    Moment,
    OneOf,
    Record,
    Text,
    by_default,
    maybe,
    need,
)

_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,253}")
_ENVIRONMENT = MapOf(item=OneOf(pick=ENV_VALUE), fits=lambda key: bool(_VARIABLE.fullmatch(key)))

_ENDPOINT = Record(
    members={
        "name": need(SHORT_NAME),
        "containerPort": maybe(PORT),
        "hostPort": maybe(PORT),
        "protocol": by_default(ListOf(item=TEXT), []),
        "labels": by_default(LABELS, {}),
        "networkNames": by_default(ListOf(item=NETWORK_NAME, distinct=True), []),
    }
)

_IMAGE = Record(
    members={
        "kind": need(Choice(words=("DOCKER", "APPC"))),
        "id": need(Text(length_min=1, length_max=1024)),
        "pullConfig": maybe(SECRET),
        "forcePull": maybe(Flag()),
        "labels": by_default(LABELS, {}),
    }
)

_TIMING = {"intervalSeconds": by_default(COUNT, 60), "timeoutSeconds": by_default(COUNT, 20), "delaySeconds": by_default(COUNT, 15)}  # fmt: skip
_WAYS = {
    "http": maybe(
        Record(
            members={
                "endpoint": need(SHORT_NAME),
                "path": maybe(Text(length_min=1, length_max=1024)),
                "scheme": by_default(Choice(words=("HTTP", "HTTPS")), "HTTP"),
            }
        )
    ),
    "tcp": maybe(Record(members={"endpoint": need(SHORT_NAME)})),
    "exec": maybe(Record(members={"command": need(OneOf(pick=COMMAND))})),
}
_HEALTH = Record(
    members={
        **_WAYS,
        "gracePeriodSeconds": by_default(COUNT, 300),
        "maxConsecutiveFailures": by_default(COUNT, 3),
        **_TIMING,
    }
)

_RESOURCES = Record(
    members={
        "cpus": by_default(NUMBER, 1),
        "mem": by_default(NUMBER, 128),
        "disk": by_default(NUMBER, 0),
        "gpus": by_default(COUNT, 0),
    }
)

_MOUNT = Record(
    members={
        "name": need(SHORT_NAME),
        "mountPath": need(Text(length_min=1, length_max=1024)),
        "readOnly": maybe(Flag()),
    }
)

_CONTAINER = Record(
    members={
        "name": need(SHORT_NAME),
        "exec": maybe(
            Record(members={"command": need(OneOf(pick=COMMAND)), "overrideEntrypoint": maybe(Flag())})
        ),
        "resources": need(_RESOURCES),
        "resourceLimits": maybe(RESOURCE_LIMITS),
        "endpoints": by_default(ListOf(item=_ENDPOINT), []),
        "image": maybe(_IMAGE),
        "environment": by_default(_ENVIRONMENT, {}),
        "user": maybe(ANY_TEXT),
        "healthCheck": maybe(_HEALTH),
        "check": maybe(Record(members={**_WAYS, **_TIMING})),
        "volumeMounts": by_default(ListOf(item=_MOUNT), []),
        "artifacts": by_default(ListOf(item=ARTIFACT), []),
        "labels": by_default(LABELS, {}),
        "lifecycle": maybe(Record(members={"killGracePeriodSeconds": maybe(NUMBER)})),
        "tty": maybe(Flag()),
        "linuxInfo": maybe(Anything()),
    }
)  # fmt: skip

_VOLUME_NAME = need(SHORT_NAME)
_HOST = Record(members={"name": _VOLUME_NAME, "host": need(Text(length_min=1))})
_SECRET_VOLUME = Record(members={"name": _VOLUME_NAME, "secret": need(ANY_TEXT)})
_PERSISTENT = Record(members={"name": _VOLUME_NAME, "persistent": need(PERSISTENT)})
_EPHEMERAL = Record(members={"name": _VOLUME_NAME})


def _volume(value: Any) -> Kind:
    kinds = {"host": _HOST, "secret": _SECRET_VOLUME, "persistent": _PERSISTENT}
    found = (kind for key, kind in kinds.items() if isinstance(value, dict) and value.get(key) is not None)  # fmt: skip
    return next(found, _EPHEMERAL)


_OPERATOR = Choice(words=("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"))
_CONSTRAINT = Record(
    members={"fieldName": need(TEXT), "operator": need(_OPERATOR), "value": maybe(ANY_TEXT)}
)

_SCHEDULING = Record(
    members={
        "backoff": maybe(
            Record(
                members={
                    "backoff": by_default(NUMBER, 1),
                    "backoffFactor": by_default(NUMBER, 1.15),
                    "maxLaunchDelay": by_default(NUMBER, 300),
                }
            )
        ),
        "upgrade": maybe(
            Record(
                members={
                    "minimumHealthCapacity": by_default(SHARE, 1),
                    "maximumOverCapacity": by_default(SHARE, 1),
                }
            )
        ),
        "placement": maybe(
            Record(
                members={
                    "constraints": by_default(ListOf(item=_CONSTRAINT, distinct=True), []),
                    "acceptedResourceRoles": by_default(ListOf(item=ANY_TEXT, distinct=True), []),
                }
            )
        ),
        "killSelection": maybe(KILL_SELECTION),
        "unreachableStrategy": maybe(OneOf(pick=UNREACHABLE)),
    }
)

_SCALING = Record(
    members={
        "kind": need(Choice(words=("fixed",))),
        "instances": by_default(COUNT, 1),
        "maxInstances": maybe(COUNT),
    }
)

POD = Record(
    members={
        "id": need(PATH),
        "labels": by_default(LABELS, {}),
        "version": maybe(Moment()),
        "user": maybe(ANY_TEXT),
        "environment": by_default(_ENVIRONMENT, {}),
        "containers": need(ListOf(item=_CONTAINER)),
        "secrets": by_default(SECRETS, {}),
        "volumes": by_default(ListOf(item=OneOf(pick=_volume)), []),
        "networks": by_default(ListOf(item=NETWORK), []),
        "scaling": maybe(_SCALING),
        "scheduling": maybe(_SCHEDULING),
        "executorResources": maybe(EXECUTOR_RESOURCES),
        "role": maybe(TEXT),
        "linuxInfo": maybe(Anything()),
        "legacySharedCgroups": maybe(Flag()),
    }
)
