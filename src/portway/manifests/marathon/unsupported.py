"""What of a sound definition cannot be had here and would mislead if it were left aside: violations with a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.core.suggest import did_you_mean
from portway.manifests.ecs_fields import Use
from portway.manifests.marathon.balancer_labels import label_faults
from portway.manifests.marathon.checks import MARATHON_PROTOCOLS, MESOS_PROTOCOLS, ports_said
from portway.manifests.marathon.fields import Field, app_fields, pod_fields
from portway.manifests.marathon.networks import HOST, is_host
from portway.manifests.marathon.parameters import PARAMETERS, parameter_error
from portway.manifests.marathon.refusal import Violation, Where

Body = Mapping[str, Any]

_RELATIVE = "must begin with /: there is no sandbox it could be relative to"
INSTANCES_MAX = 10_000  # of one app; each is a record of its own here, and so is each port
PORTS_MAX = 1000
CONTAINERS_MAX = 100
_HARMLESS = (None, False, 0, "", "//cmd", "IPv4")  # what refused fields may say


def unsupported_app(app: Body) -> Iterator[Violation]:
    """Of an app in canonical form."""
    yield from _refused(app, app_fields())
    yield from _many(("instances",), app["instances"], INSTANCES_MAX, "instances")
    yield from _many((), len(ports_said(app)), PORTS_MAX, "ports")
    container = app.get("container") or {}
    docker = container.get("docker")
    for nth, parameter in enumerate((docker or {}).get("parameters") or ()):
        error = _parameter_error(parameter)
        if error:
            yield Violation(where=("container", "docker", "parameters", nth), error=error)
    if docker is None:
        yield from _process_faults(app, container)
    for nth, volume in enumerate(container.get("volumes") or ()):
        if not volume.get("hostPath", "/").startswith("/"):
            yield Violation(where=("container", "volumes", nth, "hostPath"), error=_RELATIVE)
        if "hostPath" in volume and not volume["containerPath"].startswith("/"):
            yield Violation(where=("container", "volumes", nth, "containerPath"), error=_RELATIVE)
    yield from _asked_port_faults(app)
    yield from label_faults(app.get("labels") or {}, len(ports_said(app)))


def _many(where: Where, count: int, most: int, what: str) -> Iterator[Violation]:
    if count > most:
        yield Violation(
            where=where, error=f"more than {most} {what} are not supported here: {count}"
        )


def _parameter_error(parameter: Body) -> str:
    key, value = parameter["key"], parameter["value"]
    if key not in PARAMETERS:
        guess = did_you_mean(key[:64], PARAMETERS)
        return f"the parameter {key[:64]} of docker run is not supported here.{guess}"
    return parameter_error(key, value)


def _process_faults(app: Body, container: Body) -> Iterator[Violation]:
    """What needs a container with an image."""
    if not is_host(app["networks"]):
        told = "an app without an image is a process on the node's own network: give it an image, or use the mode host"
        yield Violation(where=("networks",), error=told)
    if container.get("volumes"):
        told = "an app without an image is a process that sees the node's own files: give it an image, or leave the volumes out"
        yield Violation(where=("container", "volumes"), error=told)


def _asked_port_faults(app: Body) -> Iterator[Violation]:
    """Checks ask one of the app's own ports."""
    specs = ports_said(app)
    numbers = {spec.get(key) for spec in specs for key in ("port", "containerPort", "hostPort")}
    for nth, check in enumerate(app.get("healthChecks") or ()):
        where: Where = ("healthChecks", nth)
        by_port = check["protocol"] in (*MARATHON_PROTOCOLS, *MESOS_PROTOCOLS)
        if by_port and not specs:
            told = "the app has no port that could be asked"
            yield Violation(where=where, error=told)
        elif (
            by_port
            and "portIndex" not in check
            and check.get("port")
            and check["port"] not in numbers
        ):
            told = (
                f"{check['port']} is none of the app's own ports: add it to them, or use portIndex"
            )
            yield Violation(where=(*where, "port"), error=told)
        if check["protocol"] == "COMMAND" and not check.get("command"):
            yield Violation(where=(*where, "command"), error="a COMMAND check needs a command")


def unsupported_pod(pod: Body) -> Iterator[Violation]:
    """Of a pod in canonical form."""
    yield from _refused(pod, pod_fields())
    ports = [e for c in pod["containers"] for e in c.get("endpoints") or ()]
    yield from _many(
        ("scaling", "instances"), pod["scaling"]["instances"], INSTANCES_MAX, "instances"
    )
    yield from _many(("containers",), len(ports), PORTS_MAX, "endpoints")
    yield from _many(("containers",), len(pod["containers"]), CONTAINERS_MAX, "containers")
    for nth, volume in enumerate(pod["volumes"]):
        if not volume.get("host", "/").startswith("/"):
            yield Violation(where=("volumes", nth, "host"), error=_RELATIVE)
    alone = len(pod["containers"]) == 1
    for nth, container in enumerate(pod["containers"]):
        image, where = container.get("image"), ("containers", nth)
        if image is None and not alone:
            told = "a container of a pod needs an image here, unless it is the only one"
            yield Violation(where=(*where, "image"), error=told)
        elif image is None:
            yield from _pod_process_faults(pod, container, where)
        elif image["kind"] == "APPC":
            told = "appc images cannot be run: use a Docker image"
            yield Violation(where=(*where, "image", "kind"), error=told)
        endpoints: Sequence[Body] = container.get("endpoints") or ()
        for at, endpoint in enumerate(endpoints):
            protocols: Sequence[str] = endpoint.get("protocol") or ()
            odd = [each for each in protocols if each.lower() not in ("tcp", "udp")]
            if odd:
                told = f"the protocol {odd[0][:32]} is not supported: use tcp or udp"
                yield Violation(where=(*where, "endpoints", at, "protocol"), error=told)


def _pod_process_faults(pod: Body, container: Body, where: Where) -> Iterator[Violation]:
    if container.get("exec") is None:
        told = "a container without an image needs a command"
        yield Violation(where=(*where, "exec"), error=told)
    if any(network["mode"] != HOST for network in pod["networks"]):
        told = "a container without an image is a process on the node's own network: give it an image, or use the mode host"
        yield Violation(where=("networks",), error=told)
    if container.get("volumeMounts"):
        told = "a container without an image is a process that sees the node's own files: give it an image"
        yield Violation(where=(*where, "volumeMounts"), error=told)


def _refused(body: Body, fields: Mapping[str, Field]) -> Iterator[Violation]:
    """The refused fields that say something."""
    for field in fields.values():
        if field.use is Use.REFUSED:
            for where, value in _found(body, field.path.split("."), ()):
                if value not in _HARMLESS and value not in ([], {}):
                    yield Violation(where=where, error=f"not supported: {field.told}")


def _found(value: Any, path: list[str], where: Where) -> Iterator[tuple[Where, Any]]:
    if not path:
        yield where, value
        return
    name, many = path[0].removesuffix("[]"), path[0].endswith("[]")
    inner = value.get(name) if isinstance(value, Mapping) else None
    if inner is None:
        return
    if not many:
        yield from _found(inner, path[1:], (*where, name))
        return
    for nth, item in enumerate(inner):
        yield from _found(item, path[1:], (*where, name, nth))
