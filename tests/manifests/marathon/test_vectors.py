"""Every vector of marathon.jsonl about definitions: how they are normalised, what is refused with which words, and pods."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.lease import Lease
from portway.core.marathon.names import app_id_of
from portway.core.marathon.ports import ports_of
from portway.core.marathon.variables import endpoint_variables
from portway.manifests.marathon.accept import as_marathon, read
from portway.manifests.marathon.app_shape import APP, APP_UPDATE
from portway.manifests.marathon.body import parse_body
from portway.manifests.marathon.canonical import canonical_faults
from portway.manifests.marathon.constraints import constraint_error
from portway.manifests.marathon.deprecated import deprecated_faults
from portway.manifests.marathon.model import model_faults
from portway.manifests.marathon.normalise import normal_app, normal_update, with_port_indices
from portway.manifests.marathon.pod_rules import normal_pod, pod_faults
from portway.manifests.marathon.pod_shape import POD
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.refusal import MarathonRefusal, refuse_if
from portway.manifests.marathon.settings import Settings
from portway.manifests.marathon.shape import Findings, Record
from tests.manifests.marathon.vectors import vectors

NORMALIZE, VALIDATE, PODS = vectors("normalize"), vectors("validate"), vectors("pod")


def settings_of(context: dict[str, Any]) -> Settings:
    return Settings(
        default_network_name=context.get("default_network_name"),
        mesos_bridge_name=context.get("mesos_bridge_name", "mesos-bridge"),
        default_role=context.get("default_role", "*"),
        enabled_features=frozenset(context.get("enabled_features", ())),
    )


def leniently(kind: Record, value: Any) -> dict[str, Any]:
    """As it is read, whatever is wrong with it: one step alone is looked at."""
    return kind.read(value, (), Findings())


def assert_holds(expected: Any, found: Any, at: str = "") -> None:
    """`expected` is a part of what was found: null is absent, empty labels and names of networks likewise."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), at
        for key, inner in expected.items():
            if inner is None or (inner in ({}, []) and key in ("labels", "networkNames")):
                assert found.get(key) in (None, {}, []), f"{at}/{key}"
            else:
                assert_holds(inner, found.get(key), f"{at}/{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), f"{at}: {found}"
        assert len(found) == len(expected), f"{at}: {found}"
        for nth, inner in enumerate(expected):
            assert_holds(inner, found[nth], f"{at}({nth})")
    else:
        assert found == expected, f"{at}: {found}"


def normalised(vector: dict[str, Any]) -> Any:
    context, raw = vector["context"], vector["input"]
    settings = settings_of(context)
    if context.get("scope") == "healthChecks":
        checks = leniently(APP, raw)["healthChecks"]
        return {"healthChecks": with_port_indices(checks)}
    match context["op"]:
        case "create" if context["validate"]:
            return as_marathon(raw, settings)
        case "create":
            return normal_app(leniently(APP, raw), settings)
        case "update":
            return normal_update(read(APP_UPDATE, raw), settings)
        case "update_existing":
            return replaced_and_merged(raw, context["existing"], settings)
    raise AssertionError(context["op"])


def replaced_and_merged(raw: Any, existing: Any, settings: Settings) -> Any:
    from portway.manifests.marathon.accept import accept_update

    stored = as_marathon({"cmd": "sleep 1", **existing}, settings)
    merged = accept_update(raw, stored, settings)
    assert as_marathon(raw, settings, path=stored["id"]) == merged
    return merged


@pytest.mark.parametrize("name", NORMALIZE)
def test_definitions_are_normalised_as_by_marathon(name: str) -> None:
    vector = NORMALIZE[name]
    expect = vector["expect"]
    if "error" not in expect:
        assert_holds(expect.get("app", expect.get("update")), normalised(vector))
        return
    with pytest.raises(MarathonRefusal) as refused:
        normalised(vector)
    assert refused.value.status == expect["error"]["status"]
    said = refused.value.body["message"]
    assert said == expect["error"].get("message", said)
    assert expect["error"].get("message_contains", "") in said


def judge(stage: str, raw: Any, settings: Settings) -> None:
    """One step of the way a definition goes; MarathonRefusal when it stops there."""
    app = leniently(APP, raw) if isinstance(raw, dict) else {}
    match stage:
        case "json":
            read(APP, raw)
        case "deprecated":
            refuse_if(deprecated_faults(app))
        case "canonical":
            refuse_if(canonical_faults(app, settings))
        case "model":
            refuse_if(model_faults(normal_app(app, settings), settings))
        case "constraint":
            told = [constraint_error(each) for each in app["constraints"]]
            raise MarathonRefusal(422, {"message": told[0]}) if told[0] else _Sound
        case "full":
            as_marathon(raw, settings)
        case _:
            raise AssertionError(stage)
    raise _Sound


class _Sound(Exception):
    """Nothing is wrong."""


@pytest.mark.parametrize("name", VALIDATE)
def test_what_is_refused_is_refused_in_marathons_words(name: str) -> None:
    vector = VALIDATE[name]
    context, expect = vector["context"], vector["expect"]
    if expect.get("valid") is True:
        with pytest.raises(_Sound):
            judge(context["stage"], vector["input"], settings_of(context))
        return
    with pytest.raises(MarathonRefusal) as caught:
        raw = parse_body(vector["input"]) if context.get("raw_text") else vector["input"]
        judge(context["stage"], raw, settings_of(context))
    assert_refused_as(expect, caught.value)


def assert_refused_as(expect: dict[str, Any], refused: MarathonRefusal) -> None:
    told = [(each.path, each.error) for each in refused.violations]
    assert refused.status == expect.get("status", 422)
    assert refused.body == expect.get("body", refused.body)
    assert refused.body["message"] == expect.get("message", refused.body["message"])
    assert expect.get("body_message", "") in refused.body["message"]
    assert refused.body["message"] == expect.get("constraint_error", refused.body["message"])
    for violation in (*expect.get("violations", ()), expect.get("derived_violation")):
        if violation is not None:
            assert (violation["path"], violation["error"]) in told
    assert any(expect.get("error_contains", "") in error for _, error in told or [("", "")])
    assert expect.get("path") in (None, *(path for path, _ in told))
    json_error = expect.get("json_error")
    if json_error:
        assert refused.body["message"] == "Invalid JSON"
    if isinstance(json_error, dict):
        path, suffix = json_error.get("path", ""), json_error.get("path_suffix", "")
        at = [p for p, error in told if error == json_error["error"]]
        assert any(p in (path or p) and p.endswith(suffix) for p in at)


def offered(pod: dict[str, Any]) -> Any:
    """The pod's App and its ports with host ports of the offer: those asked for, else from 8500."""
    app = to_pod_app(normal_pod(leniently(POD, pod), Settings()))
    leases = [
        Lease(
            node="node",
            host_port=spec.host_port or 8500 + nth,
            container_port=spec.container_port,
            protocol=spec.protocol,
            port_name=spec.name,
        )
        for nth, spec in enumerate(app.ports)
        if spec.leased
    ]
    return app, leases, ports_of(app, leases)  # fmt: skip


@pytest.mark.parametrize("name", PODS)
def test_pods_are_read_and_made_as_by_marathon(name: str) -> None:
    vector = PODS[name]
    context, expect, raw = vector["context"], vector["expect"], vector["input"]
    settings = settings_of(context)
    match context["op"]:
        case "normalize":
            _assert_normal(raw, settings, expect)
        case "validate":
            _assert_valid(raw, settings, expect)
        case "json":
            with pytest.raises(MarathonRefusal) as caught:
                read(POD, raw)
            assert_refused_as(expect, caught.value)
        case "build":
            _assert_built(raw, expect)
        case "env":
            _, _, ports = offered(raw)
            assert endpoint_variables(ports) == expect["env_in_every_container"]
        case "health":
            _assert_health(raw, expect)
        case _:
            raise AssertionError(context["op"])


def _assert_normal(raw: Any, settings: Settings, expect: dict[str, Any]) -> None:
    pod = leniently(POD, raw)
    if "error" in expect:
        with pytest.raises(MarathonRefusal) as caught:
            normal_pod(pod, settings)
        assert caught.value.status == expect["error"]["status"]
        assert caught.value.body == {"message": expect["error"]["message"]}
        return
    found = normal_pod(pod, settings)
    endpoints = [e.get("hostPort") for c in found["containers"] for e in c["endpoints"]]
    assert expect.get("endpoint_hostPorts", endpoints) == endpoints
    assert_holds({k: v for k, v in expect.items() if k != "endpoint_hostPorts"}, found)


def _assert_valid(raw: Any, settings: Settings, expect: dict[str, Any]) -> None:
    faults = list(pod_faults(leniently(POD, raw), settings))
    if expect.get("valid") is True:
        assert faults == []
        return
    with pytest.raises(MarathonRefusal) as caught:
        refuse_if(faults)
    assert_refused_as(expect, caught.value)


def _assert_built(raw: Any, expect: dict[str, Any]) -> None:
    app, leases, ports = offered(raw)
    assert app.id == app_id_of(raw["id"])
    mapped = [
        {"containerPort": spec.container_port, "hostPort": lease.host_port, "protocol": spec.protocol.value}
        for spec in app.ports
        for lease in leases
        if lease.port_name == spec.name
    ]  # fmt: skip
    wanted = expect["mesos_network"]["portMappings"]
    numbers = {lease.port_name: lease.host_port for lease in leases}
    shared = [spec for spec in app.ports if spec.same_as]
    for spec, found in zip([s for s in app.ports if s.leased], mapped, strict=True):
        found["hostPort"] = numbers[spec.same_as or spec.name]
    assert [s.name for s in shared] == ["webserver-udp"]
    for expected, found in zip(wanted, mapped, strict=True):
        assert {**expected, "hostPort": 0} == {**found, "hostPort": 0}
        assert expected["hostPort"] in ("allocated", found["hostPort"])
    assert [network.name for network in app.networks] == [expect["mesos_network"]["name"]]
    for name in ("Foo1", "Foo2"):
        _assert_announced([p for p in ports if p.container == name], expect[f"{name}_discovery"])


def _assert_announced(ports: Any, expected: list[dict[str, Any]]) -> None:
    found = [
        (p.name, protocol, p.host_port or p.container_port)
        for p in ports
        for protocol in p.protocols
    ]
    wanted = [(e["name"], e["protocol"], e["number"]) for e in expected]
    for (name, protocol, number), want in zip(found, wanted, strict=True):
        assert (name, protocol) == want[:2]
        assert number == want[2] or (want[2] == "allocated (not 1234)" and number != 1234)  # fmt: skip


def _assert_health(raw: Any, expect: dict[str, Any]) -> None:
    app, _, ports = offered(raw)
    numbers = {port.name: port.container_port for port in ports}
    containers = {spec.name: spec.container for spec in app.ports}
    found = {
        containers[c.port_name]: numbers[c.port_name]
        for c in (app.health, *app.further_checks)
        if c.port_name
    }
    assert found == expect["health_ports"]  # fmt: skip
