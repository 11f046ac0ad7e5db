"""What is sound in Marathon's eyes and cannot be had here is refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from portway.manifests.marathon.accept import accept_app, accept_pod, as_marathon
from portway.manifests.marathon.refusal import MarathonRefusal
from portway.manifests.marathon.settings import Settings

ALL = Settings(enabled_features=frozenset(("secrets", "gpu_resources", "external_volumes")))
APP: dict[str, Any] = {"id": "/a", "cmd": "sleep 1"}
IMAGE = {"docker": {"image": "i"}}


def volume(**fields: Any) -> dict[str, Any]:
    return {"container": {**IMAGE, "volumes": [{"containerPath": "/c", "mode": "RW", **fields}]}}


def parameter(key: str, value: str) -> dict[str, Any]:
    return {"container": {"docker": {"image": "i", "parameters": [{"key": key, "value": value}]}}}


@pytest.mark.parametrize(
    ("fields", "path", "told"),
    [
        ({"instances": 10001}, "/instances", "more than 10000 instances"),
        ({"portDefinitions": [{"port": 0}] * 1001}, "/", "more than 1000 ports"),
        ({"gpus": 1}, "/gpus", "no GPUs are given out"),
        ({"fetch": [{"uri": "http://e.example/a"}]}, "/fetch", "nothing is fetched before a start"),
        ({"secrets": {"s": {"source": "x"}}, "env": {"A": {"secret": "s"}}}, "/secrets", "use env"),
        ({"executor": "/my/own"}, "/executor", "no custom executors"),
        (volume(external={"name": "x", "provider": "dvdi"}), "/container/volumes(0)/external", "no external volumes"),
        (volume(hostPath="data"), "/container/volumes(0)/hostPath", "must begin with /"),
        ({"container": {**IMAGE, "linuxInfo": {"seccomp": {}}}}, "/container/linuxInfo", "not passed on"),
        ({"networks": [{"mode": "container/bridge"}]}, "/networks", "a process on the node's own network"),
        ({"portDefinitions": [{"port": 1}], "healthChecks": [{"port": 8000}]}, "/healthChecks(0)/port", "8000 is none of the app's own ports"),
        ({"portDefinitions": [], "healthChecks": [{"protocol": "MESOS_TCP"}]}, "/healthChecks(0)", "no port that could be asked"),
        ({"healthChecks": [{"protocol": "COMMAND"}]}, "/healthChecks(0)/command", "needs a command"),
        (parameter("net", "host"), "/container/docker/parameters(0)", "net of docker run is not supported"),
        (parameter("volumes", "a:/b"), "/container/docker/parameters(0)", 'Did you mean "volume"?'),
        (parameter("ulimit", "nofile"), "/container/docker/parameters(0)", "ulimit: name=soft:hard is expected"),
        (parameter("tty", "maybe"), "/container/docker/parameters(0)", "tty: true or false is expected"),
        (parameter("shm-size", "big"), "/container/docker/parameters(0)", "shm-size: a size as 64m"),
        (parameter("add-host", "a"), "/container/docker/parameters(0)", "name:address"),
        (parameter("env", "a"), "/container/docker/parameters(0)", "NAME=value"),
        (parameter("cap-add", "a b"), "/container/docker/parameters(0)", "a capability"),
        (parameter("hostname", "-"), "/container/docker/parameters(0)", "a host name"),
        (parameter("tmpfs", "run"), "/container/docker/parameters(0)", "a path as /run"),
        (parameter("v", "a:b"), "/container/docker/parameters(0)", "source:/target"),
        (parameter("pids-limit", "-1"), "/container/docker/parameters(0)", "a whole number"),
        (parameter("workdir", ""), "/container/docker/parameters(0)", "a value is expected"),
    ],
)  # fmt: skip
def test_an_app_that_cannot_be_had_is_told_where_and_why(
    fields: dict[str, Any], path: str, told: str
) -> None:
    raw = {**APP, **fields}
    assert as_marathon(raw, ALL)["id"] == "/a", "Marathon takes it"
    with pytest.raises(MarathonRefusal) as caught:
        accept_app(raw, ALL)
    found = {each.path: each.error for each in caught.value.violations}
    assert told in found[path]
    assert caught.value.body["message"] == "Object is not valid"


def pod(*containers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "/p", "containers": [{"name": f"c{n}", "resources": {}, **c} for n, c in enumerate(containers)], **fields}  # fmt: skip


DOCKER = {"image": {"kind": "DOCKER", "id": "i"}}
RUN = {"exec": {"command": {"shell": "x"}}}


@pytest.mark.parametrize(
    ("raw", "path", "told"),
    [
        (pod(*[DOCKER] * 101), "/containers", "more than 100 containers"),
        (pod(DOCKER, scaling={"kind": "fixed", "instances": 10001}), "/scaling/instances", "10000 instances"),
        (pod(DOCKER, RUN), "/containers(1)/image", "needs an image here"),
        (pod({}), "/containers(0)/exec", "needs a command"),
        (pod(RUN, networks=[{"mode": "container/bridge"}]), "/networks", "on the node's own network"),
        (pod({"image": {"kind": "APPC", "id": "i"}}), "/containers(0)/image/kind", "appc images"),
        (pod({**DOCKER, "resources": {"gpus": 1}}), "/containers(0)/resources/gpus", "no GPUs"),
        (pod({**DOCKER, "artifacts": [{"uri": "a"}]}), "/containers(0)/artifacts", "nothing is fetched"),
        (pod({**DOCKER, "endpoints": [{"name": "a", "protocol": ["sctp"]}]}), "/containers(0)/endpoints(0)/protocol", "sctp is not supported"),
        (pod({**DOCKER, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=[{"name": "v", "host": "data"}]), "/volumes(0)/host", "must begin with /"),
    ],
)  # fmt: skip
def test_so_is_a_pod(raw: dict[str, Any], path: str, told: str) -> None:
    with pytest.raises(MarathonRefusal) as caught:
        accept_pod(raw, ALL)
    found = {each.path: each.error for each in caught.value.violations}
    assert told in found[path]
