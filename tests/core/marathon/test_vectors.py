"""Every vector of marathon.jsonl about variables, host ports, service ports and discovery."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from portway.core.lease import PortRange
from portway.core.marathon.names import host_name
from portway.core.marathon.ports import (
    Assignment,
    Port,
    announced,
    assignments,
    bound_pairs,
    match_offer,
    mesos_check_port,
    ports_resources,
    random_ports,
    with_host_ports,
)
from portway.core.marathon.service_ports import Exhausted, assign_service_ports
from portway.core.marathon.variables import app_variables, port_variables, task_variables
from tests.core.marathon.vectors import (
    VECTORS,
    Body,
    container_networks,
    is_host_mode,
    of_kind,
    offered,
    ports_in,
    ranges_of,
    task_of,
)


def test_all_the_vectors_of_these_kinds_are_here() -> None:
    counted = Counter(vector["kind"] for vector in VECTORS)
    kinds = ("env", "ports", "service_ports", "discovery")
    assert [counted[kind] for kind in kinds] == [14, 25, 12, 12]


@of_kind("env")
def test_the_variables_of_a_task_are_marathons(vector: Body) -> None:
    ports, variables = _told(vector["input"], vector["context"])
    expected = dict(vector["expect"])
    if full := expected.pop("derived_full", None):
        assert variables == full
    if (exact := expected.pop("equals", None)) is not None:
        assert variables == exact
    assert expected.pop("contains", {}).items() <= variables.items()
    assert not set(expected.pop("absent", ())) & variables.keys()
    assert set(expected.pop("present", ())) <= variables.keys()
    for prefix, count in expected.pop("count_prefix", {}).items():
        assert sum(1 for name in variables if name.startswith(prefix)) == count
    for relation in (*expected.pop("relations", ()), *expected.pop("derived_relations", ())):
        assert _holds(relation, variables), relation
    taken = [port.host_port for port in ports if port.host_port is not None]
    if (order := expected.pop("ports_resource_order", None)) is not None:
        assert taken == order
    assert len(taken) == expected.pop("allocated_host_port_count", len(taken))
    pairs = expected.pop("docker_port_mappings", None)
    assert pairs is None or list(bound_pairs(ports)) == pairs
    assert not expected, "something in the vector is not looked at"


def _told(body: Body, context: Body) -> tuple[list[Port], dict[str, str]]:
    prefix = context.get("env_vars_prefix", "")
    match context["fn"]:
        case "portsEnv":
            ports = list(with_host_ports(ports_in(body), body["hostPorts"]))
            return ports, port_variables(ports, seed="x")
        case "taskContext":
            task = task_of(body, context) if context["task_id"] else None
            return [], task_variables(task)
        case "task":
            ports = list(with_host_ports(ports_in(body), context["hostPorts"]))
        case "offer":
            ports = _offered_ports(body, context)
        case other:
            raise AssertionError(other)
    own = body.get("env", {})
    told = app_variables(
        task_of(body, context), ports, host=context.get("host", "h"), seed="x", prefix=prefix
    )
    return ports, {**told, **own}


def _offered_ports(body: Body, context: Body, *, bits: int = 7) -> list[Port]:
    ports = ports_in(body)
    found = match_offer(
        ports, offered(context), requires_ports=body.get("requirePorts", False), bits=bits,
        accepted_roles=context.get("accepted_roles", ["*"]),
    )  # fmt: skip
    assert found is not None
    return list(with_host_ports(ports, [None if one is None else one[1] for one in found]))


def _holds(relation: str, variables: Mapping[str, str]) -> bool:
    """The few forms of sentences there are, read as Python over the variables."""
    words = re.sub(r"\{([^}]*)\.\.(\d+)\}", _spelled, relation)
    names: dict[str, Any] = {k: v for k, v in variables.items() if k.isidentifier()}
    if " not in " in words:
        names = {k: int(v) for k, v in names.items() if v.isdecimal()}
    return eval(words, {"__builtins__": {}}, {**names, "env": variables, "int": int})  # noqa: S307


def _spelled(found: re.Match[str]) -> str:
    head, _, first = found[1].rpartition(",")
    numbers = ",".join(str(n) for n in range(int(first), int(found[2]) + 1))
    return f"{{{head},{numbers}}}"


@of_kind("ports")
def test_host_ports_are_matched_assigned_and_bound_as_marathon_does(vector: Body) -> None:
    checks: dict[str, Callable[[Body], None]] = {
        "match": _check_match,
        "randomPorts": _check_random,
        "createPortsResources": _check_resources,
        "portAssignments": _check_assignments,
        "containerInfo": _check_binding,
        "mesosHealthPort": _check_health_port,
    }
    checks[vector["context"].get("fn", "match")](vector)


def _check_match(vector: Body) -> None:
    body, context, expected = vector["input"], vector["context"], dict(vector["expect"])

    def matched(bits: int) -> Any:
        return match_offer(
            ports_in(body),
            offered(context),
            requires_ports=body.get("requirePorts", False),
            accepted_roles=context["accepted_roles"],
            bits=bits,
        )

    found = matched(5)
    assert (found is not None) is expected.pop("match")
    pairs = [one for one in found or () if one is not None]
    assert len(pairs) == expected.pop("count", len(pairs))
    if roles := expected.pop("resource_roles", None) or expected.pop("resource_roles_set", None):
        assert {role for role, _ in pairs} == set(roles)
    if numbers := expected.pop("host_ports", None):
        assert [number for _, number in pairs] == numbers
    if numbers := expected.pop("derived_host_port_set", None):
        assert {number for _, number in pairs} == set(numbers)
    if wanted := expected.pop("host_ports_with_role_set", None):
        assert {tuple(pair) for pair in wanted} == set(pairs)
    if expected.pop("same_seed_same_port", False):
        assert found == matched(5)
        assert expected.pop("different_seeds_eventually_differ")
        assert len({matched(bits) for bits in range(20)}) > 1
    assert not expected, "something in the vector is not looked at"


def _check_random(vector: Body) -> None:
    ranges = ranges_of(vector["input"]["ranges"])
    everything = {(r.role, n) for r in ranges for n in range(r.first, r.last + 1)}
    for bits in (0, 1, 5, 77, 12345):
        row = list(random_ports(ranges, bits=bits))
        assert set(row) == everything
        assert len(row) == len(everything)
        breaks = sum(1 for a, b in zip(row, row[1:], strict=False) if b[1] != a[1] + 1)
        assert breaks <= len(ranges), "the row is a rotation of whole ranges"


def _check_resources(vector: Body) -> None:
    found = ports_resources([(role, number) for role, number in vector["input"]["allocated"]])
    told = [{"role": r.role, "ranges": [list(pair) for pair in r.ranges]} for r in found]
    assert told == vector["expect"]["resources"]


def _check_assignments(vector: Body) -> None:
    context = vector["context"]
    ports = with_host_ports(ports_in(vector["input"]), context["hostPorts"])
    found = assignments(ports, host=context["host"], addresses=context["ipAddresses"])
    assert list(found) == [
        Assignment(
            name=one["portName"] or "",
            address=one["effectiveIpAddress"],
            number=one["effectivePort"],
            host_port=one["hostPort"],
            container_port=one["containerPort"],
        )
        for one in vector["expect"]["assignments"]
    ]


def _check_binding(vector: Body) -> None:
    ports = _offered_ports(vector["input"], vector["context"])
    assert [list(pair) for pair in bound_pairs(ports)] == vector["expect"]["docker_port_mappings"]


def _check_health_port(vector: Body) -> None:
    check = vector["input"]["healthChecks"][0]
    (port,) = with_host_ports(ports_in(vector["input"]), [31337])
    wanted = vector["expect"]["mesos_health_check_port"]
    expected = 31337 if wanted == "allocated hostPort[0]" else wanted
    assert mesos_check_port(port, number=check.get("port")) == expected


@of_kind("service_ports")
def test_service_ports_are_assigned_as_marathon_does(vector: Body) -> None:
    first, last = vector["context"]["range"]
    within = PortRange(first=first, last=last)
    before, after = vector["input"].get("from", {}), vector["input"]["to"]
    wanted = {path: _requested(spec) for path, spec in after.items()}
    used = {n for numbers in (*before.values(), *wanted.values()) for n in numbers if n}
    found = assign_service_ports(wanted, previous=before, used=used, within=within)
    assert not isinstance(found, Exhausted)
    expected, numbers = dict(vector["expect"]), [n for ns in found.values() for n in ns]
    if exact := expected.pop("derived_exact", None):
        assert {path: list(ns) for path, ns in found.items()} == exact
    if exact := expected.pop("exact_as_set", None):
        assert {path: sorted(ns) for path, ns in found.items()} == exact
    assert not expected.pop("no_zero", False) or 0 not in numbers
    assert not expected.pop("distinct", False) or len(set(numbers)) == len(numbers)
    assert len(numbers) == expected.pop("count", len(numbers))
    in_range = {n for n in numbers if n in within}
    assert len(in_range) == expected.pop("count_in_range", len(in_range))
    assert not expected.pop("unchanged", False) or found == wanted
    assert expected.pop("host_ports_assigned", 0) == 0, "service ports are all this chooses"
    assert not expected, "something in the vector is not looked at"


def _requested(spec: Any) -> tuple[int, ...]:
    if isinstance(spec, list):
        return tuple(spec)
    return tuple(mapping.get("servicePort", 0) for mapping in spec["portMappings"])


@of_kind("discovery")
def test_ports_are_announced_as_discovery_info_does(vector: Body) -> None:
    body, expected = vector["input"], vector["expect"]
    ports = ports_in(body)
    numbers = vector["context"].get("hostPorts")
    if numbers is None and body.get("pod"):
        numbers = [endpoint.get("hostPort") for endpoint in body["endpoints"]]
    if numbers is None:
        numbers = [None if p.wanted_host_port is None else 31000 + n for n, p in enumerate(ports)]
    found = announced(with_host_ports(ports, numbers), container_networks(body))
    assert len(found) == len(expected["ports"])
    for one, wanted in zip(found, expected["ports"], strict=True):
        assert one.labels == wanted.get("labels", {})
        assert one.name == wanted.get("name", one.name)
        assert one.protocol == wanted.get("protocol", one.protocol)
        number = wanted.get("number", one.number)
        nth = re.fullmatch(r"hostPort\[(\d+)\]", str(number))
        assert one.number == (numbers[int(nth[1])] if nth else number)
    if "name" in expected:
        assert host_name(body["id"]) == expected["name"]
    if is_host_mode(body) and not any(p.name for p in ports):
        assert {one.name for one in found} == {""}
