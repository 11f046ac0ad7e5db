"""Definitions for tests: random ones that are sound or nearly so, and random JSON."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-70000, 70000) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

NAMES = st.sampled_from(["http", "admin", "a-b", "x1"])
NUMBERS = st.sampled_from([0, 0, 80, 8080, 9000, 65535])
LABELS = st.dictionaries(st.sampled_from(["a", "VIP_0"]), st.sampled_from(["", "x"]), max_size=2)


def optional(required: dict[str, Any], **others: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some fields always and others perhaps."""
    return st.fixed_dictionaries(required, optional=others)


PROTOCOL = st.sampled_from(["tcp", "udp", "udp,tcp", "TCP"])
MAPPING = optional(
    {}, containerPort=NUMBERS, hostPort=NUMBERS | st.none(), servicePort=NUMBERS, name=NAMES, protocol=PROTOCOL, labels=LABELS
)  # fmt: skip
DEFINITION = optional({}, port=NUMBERS, name=NAMES, protocol=PROTOCOL, labels=LABELS)
CHECK = optional(
    {},
    protocol=st.sampled_from(["HTTP", "TCP", "MESOS_HTTP", "HTTPS", "mesos_tcp"]),
    portIndex=st.integers(0, 1),
    port=NUMBERS,
    path=st.sampled_from(["/", "health"]),
    maxConsecutiveFailures=st.integers(0, 3),
)
NETWORKS = st.sampled_from(
    [[], [{"mode": "host"}], [{"mode": "container/bridge"}], [{"mode": "container", "name": "n"}], [{}], [{"mode": "container", "name": "a"}, {"mode": "container", "name": "b"}]]
)  # fmt: skip
CONTAINER = optional(
    {"type": st.sampled_from(["DOCKER", "MESOS", "docker"]), "docker": optional({"image": st.just("nginx")}, network=st.sampled_from(["HOST", "BRIDGE", "USER"]), portMappings=st.lists(MAPPING, max_size=2), privileged=st.booleans())},
    portMappings=st.lists(MAPPING, max_size=2),
    volumes=st.lists(st.just({"containerPath": "/a", "hostPath": "/b", "mode": "RO"}), max_size=1),
)  # fmt: skip
APPS = optional(
    {"id": st.sampled_from(["/a", "b/c", "/x/y/z"])},
    cmd=st.sampled_from(["sleep 1", "run"]),
    args=st.lists(st.text(max_size=3), max_size=2),
    container=CONTAINER,
    networks=NETWORKS,
    ipAddress=optional({}, networkName=st.sampled_from(["n", "mesos-bridge"]), labels=LABELS),
    portDefinitions=st.lists(DEFINITION, max_size=3),
    ports=st.lists(NUMBERS, max_size=2),
    healthChecks=st.lists(CHECK, max_size=2),
    requirePorts=st.booleans(),
    instances=st.integers(0, 3),
    cpus=st.sampled_from([0.1, 1, 2.5]),
    env=st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=3), max_size=2),
    labels=LABELS,
    constraints=st.lists(st.sampled_from([["hostname", "unique"], ["a", "GROUP_BY", "2"], ["a", "LIKE", "x.*"]]), max_size=2),
    upgradeStrategy=st.just({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25}),
    unreachableStrategy=st.sampled_from(["disabled", {"inactiveAfterSeconds": 5, "expungeAfterSeconds": 10}, {}]),
    resourceLimits=st.sampled_from([{"cpus": "unlimited"}, {"mem": 512}]),
    killSelection=st.sampled_from(["oldest_first", "YOUNGEST_FIRST"]),
)  # fmt: skip

ENDPOINT = optional(
    {"name": NAMES}, containerPort=NUMBERS, hostPort=NUMBERS, protocol=st.sampled_from([["tcp"], ["udp", "tcp"], []])
)  # fmt: skip
PODS = optional(
    {
        "id": st.sampled_from(["/p", "g/p"]),
        "containers": st.lists(
            optional(
                {"name": NAMES, "resources": st.sampled_from([{}, {"cpus": 0.5, "mem": 32}])},
                image=st.just({"kind": "DOCKER", "id": "nginx"}),
                exec=st.sampled_from([{"command": {"shell": "sleep 1"}}, {"command": {"argv": ["a", "b"]}, "overrideEntrypoint": True}]),
                endpoints=st.lists(ENDPOINT, max_size=2),
                volumeMounts=st.lists(st.just({"name": "v", "mountPath": "/v"}), max_size=1),
                healthCheck=st.sampled_from([{"tcp": {"endpoint": "http"}}, {"exec": {"command": {"shell": "true"}}}]),
            ),
            min_size=1,
            max_size=2,
        ),
    },
    networks=NETWORKS,
    volumes=st.lists(st.sampled_from([{"name": "v"}, {"name": "v", "host": "/srv"}]), max_size=1),
    scaling=st.just({"kind": "fixed", "instances": 2}),
    environment=st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=3), max_size=2),
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, sound: st.SearchStrategy[Any]) -> Any:
    """A definition in which any one value is another."""

    def changed(value: Any) -> Any:
        keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []  # fmt: skip
        if not keys or draw(st.integers(0, 3)) == 0:
            return draw(JSON)
        key = draw(st.sampled_from(keys))
        inner = changed(value[key])
        if isinstance(value, dict):
            return {**value, key: inner}
        return [inner if nth == key else each for nth, each in enumerate(value)]

    return changed(draw(sound))
