"""An App of several containers -> the pod that comes nearest to it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.core.app import App, CheckKind, HealthCheck, NetworkMode, PortSpec, Volume, VolumeKind
from portway.core.containers import Member, members
from portway.manifests.losses import is_setting
from portway.manifests.marathon.apps import SHELL
from portway.manifests.marathon.common_shape import is_name
from portway.manifests.marathon.scheduling import STOP_GRACE_S
from portway.manifests.marathon.write_parts import (
    asked_of,
    constraint_parts,
    limits_of,
    networks_of,
    number,
    unreachable_of,
    upgrade_of,
)

Body = Mapping[str, Any]
Definition = dict[str, Any]


def pod_of(app: App) -> Definition:
    """The definition of a pod, without its id."""
    group = members(app)
    on_host = app.network_mode is NetworkMode.HOST
    labels = {k: v for k, v in app.labels.items() if not is_setting(k)}
    return _said(
        {
            "id": "",
            "labels": labels,
            "containers": [_container(app, member, on_host=on_host) for member in group],
            "volumes": [{"name": n, **host} for n, host in _volumes(group).items()],
            "networks": networks_of(app, on_host=on_host),
            "scaling": {"kind": "fixed", "instances": 1 if app.count is None else app.count},
            "scheduling": _scheduling(app),
        }
    )


def _said(values: Definition) -> Definition:
    return {key: value for key, value in values.items() if value not in (None, [], {}, "", False) or key == "id"}  # fmt: skip


def _scheduling(app: App) -> Definition:
    backoff = app.backoff
    constraints = [_constraint(*constraint_parts(each)) for each in app.placement.constraints]
    return _said(
        {
            "backoff": {
                "backoff": number(backoff.first_s),
                "backoffFactor": number(backoff.factor),
                "maxLaunchDelay": number(backoff.maximum_s),
            }
            if backoff
            else None,
            "upgrade": upgrade_of(app),
            "placement": {"constraints": constraints} if constraints else None,
            "killSelection": "OLDEST_FIRST" if app.kill_oldest else None,
            "unreachableStrategy": unreachable_of(app.unreachable) if app.unreachable else None,
        }
    )


def _constraint(field: str, operator: str, *value: str) -> Definition:
    return {"fieldName": field, "operator": operator, **({"value": value[0]} if value else {})}


def _container(app: App, member: Member, *, on_host: bool) -> Definition:
    inside = member.app
    ports = [spec for spec in app.ports if spec.container in (member.name, *_first(app, member))]
    stop_s = inside.stop_grace_s
    return {
        "name": member.name,
        "resources": asked_of(inside.resources),
        **_said(
            {
                "image": {"kind": "DOCKER", "id": inside.image or inside.name} if _runs_image(inside) else None,
                "exec": _exec(inside),
                "resourceLimits": limits_of(inside.resources),
                "endpoints": list(_endpoints(ports, on_host=on_host)),
                "environment": dict(inside.environment),
                "user": inside.user,
                "healthCheck": _check(app, member, ports),
                "volumeMounts": [_mount(volume, app) for volume in inside.volumes if _is_sayable(volume)],
                "labels": {} if inside is app else dict(inside.labels),
                "lifecycle": None if stop_s == STOP_GRACE_S else {"killGracePeriodSeconds": number(stop_s)},
                "tty": inside.container.tty,
            }
        ),
    }  # fmt: skip


def _first(app: App, member: Member) -> Iterator[str]:
    """A port that names no container is of the first."""
    if member.app is app:
        yield ""


def _exec(inside: App) -> Definition | None:
    entry, command = inside.entrypoint or (), inside.command or ()
    words = (*entry, *command)
    if words[:2] == (SHELL, "-c") and len(words) == 3 and (entry or not _runs_image(inside)):
        return {"command": {"shell": words[2]}}
    over = {"overrideEntrypoint": True} if entry else {}
    return {"command": {"argv": list(words)}, **over} if words else None


def _runs_image(inside: App) -> bool:
    return inside.image is not None or inside.build is not None


def _endpoints(ports: Sequence[PortSpec], *, on_host: bool) -> Iterator[Definition]:
    for spec in ports:
        if spec.same_as or not is_name(spec.name):
            continue
        both = [other.protocol.value for other in ports if other.same_as == spec.name]
        yield {
            "name": spec.name,
            **({} if on_host else {"containerPort": spec.container_port}),
            **({"hostPort": spec.host_port or 0} if spec.leased else {}),
            "protocol": [spec.protocol.value, *both],
        }


def _check(app: App, member: Member, ports: Sequence[PortSpec]) -> Definition | None:
    """The container's own check, or that of the App which asks one of its ports."""
    check = member.app.health if member.app is not app else None
    if check is None or check.kind is not CheckKind.COMMAND:
        names = {spec.name for spec in ports if is_name(spec.name)}
        asked = (c for c in (app.health, *app.further_checks) if c.port_name in names)
        is_own = member.app is app and app.health.kind is CheckKind.COMMAND
        check = app.health if is_own else next(asked, None)
    if check is None or check.kind in (CheckKind.NONE, CheckKind.TLS):
        return None
    return {
        **_way(check),
        "gracePeriodSeconds": math.ceil(check.start_period_s),
        "intervalSeconds": max(math.ceil(check.interval_s), 2),
        "timeoutSeconds": min(max(math.ceil(check.timeout_s), 1), max(math.ceil(check.interval_s), 2) - 1),
        "maxConsecutiveFailures": check.unhealthy_threshold - 1,
        "delaySeconds": math.ceil(check.delay_s),
    }  # fmt: skip


def _way(check: HealthCheck) -> Definition:
    if check.kind is CheckKind.COMMAND:
        form, words = check.command[:1], list(check.command)
        if form == ("CMD-SHELL",):
            return {"exec": {"command": {"shell": " ".join(words[1:])}}}
        return {"exec": {"command": {"argv": words[form == ("CMD",) :]}}}
    if check.kind is CheckKind.TCP:
        return {"tcp": {"endpoint": check.port_name}}
    return {"http": {"endpoint": check.port_name, "path": check.path, "scheme": check.kind.value.upper()}}  # fmt: skip


def _is_sayable(volume: Volume) -> bool:
    return volume.kind in (VolumeKind.BIND, VolumeKind.NAMED)


def _volume_name(volume: Volume, app: App) -> str:
    named = volume.kind is VolumeKind.NAMED and volume.source
    text = volume.source.removeprefix(f"{app.name}-") if named else volume.target
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-")
    return kept[:63].strip("-") or "root"


def _volumes(group: Sequence[Member]) -> dict[str, Definition]:
    every = [each for member in group for each in member.app.volumes if _is_sayable(each)]
    return {
        _volume_name(each, group[0].app): {"host": each.source}
        if each.kind is VolumeKind.BIND
        else {}
        for each in every
    }


def _mount(volume: Volume, app: App) -> Definition:
    read_only = {"readOnly": True} if volume.read_only else {}
    return {"name": _volume_name(volume, app), "mountPath": volume.target, **read_only}
