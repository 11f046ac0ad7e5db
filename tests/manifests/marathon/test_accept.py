"""The way in: what holds of every definition, whatever it says, and of updates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.app import App
from portway.manifests.marathon.accept import (
    accept_app,
    accept_pod,
    accept_update,
    as_marathon,
    id_of_update,
    read,
    version_of,
)
from portway.manifests.marathon.app_shape import APP
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.emit import emit_app, emit_pod
from portway.manifests.marathon.normalise import completed, without_deprecated
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.refusal import MarathonRefusal
from portway.manifests.marathon.settings import Settings
from tests.features import examples
from tests.manifests.marathon.samples import APPS, JSON, PODS, broken

NAMED = Settings(default_network_name="net")
ANY = st.sampled_from([Settings(), NAMED])
MINE = settings(max_examples=examples(40), deadline=None, derandomize=True)
APP_A = {"id": "/a", "cmd": "sleep 1"}


def without_indices(app: dict[str, Any]) -> dict[str, Any]:
    """A check that names no port gets index 0 once its ports are said, as in Marathon; the port is the same."""
    checks = [{"portIndex": 0, **c} if "port" not in c else c for c in app.get("healthChecks", ())]
    return {**app, "healthChecks": [c for nth, c in enumerate(checks) if c not in checks[:nth]]}


@MINE
@given(APPS, ANY)
def test_normalising_twice_is_normalising_once(raw: Any, how: Settings) -> None:
    try:
        once = completed(without_deprecated(read(APP, raw), how), how)
    except MarathonRefusal:
        return
    twice = completed(without_deprecated(once, how), how)
    assert without_indices(emit_app(twice)) == without_indices(emit_app(once))


@MINE
@given(APPS, ANY)
def test_what_is_shown_is_accepted_again_and_stays_the_same(raw: Any, how: Settings) -> None:
    before = copy.deepcopy(raw)
    try:
        once = accept_app(raw, how)
    except MarathonRefusal:
        return
    finally:
        assert raw == before
    assert emit_app(once) == once
    again = accept_app(once, Settings(), existing=once)
    assert without_indices(again) == without_indices(once)
    assert accept_app(again, Settings()) == again
    assert_runs(to_app(once))


@MINE
@given(PODS, ANY)
def test_so_it_is_with_pods(raw: Any, how: Settings) -> None:
    try:
        once = accept_pod(raw, how)
    except MarathonRefusal:
        return
    assert emit_pod(once) == once
    assert accept_pod(once, Settings()) == once
    assert_runs(to_pod_app(once))


def assert_runs(app: App) -> None:
    """Ports have their own names, and whatever refers to one means one of them."""
    names = [spec.name for spec in app.ports]
    assert len(names) == len(set(names))
    checks = [check for check in (app.health, *app.further_checks, app.readiness) if check]
    assert {check.port_name for check in checks} - {None} <= set(names)
    assert {spec.same_as for spec in app.ports} - {""} <= set(names)


@MINE
@given(
    JSON | st.dictionaries(st.sampled_from(sorted(APP.members)), JSON, max_size=4), st.booleans()
)
def test_no_input_makes_anything_but_a_refusal(raw: Any, as_pod: bool) -> None:
    if isinstance(raw, dict):
        raw = {**APP_A, **raw}
    take, make = (accept_pod, to_pod_app) if as_pod else (accept_app, to_app)
    assert refusal_of(lambda: make(take(raw, NAMED))) in (None, 422)
    assert refusal_of(lambda: to_app(accept_update(raw, stored(), NAMED))) in (None, 422, 500)


@MINE
@given(broken(APPS) | broken(PODS))
def test_no_value_makes_anything_but_a_refusal(raw: Any) -> None:
    is_pod = isinstance(raw, dict) and "containers" in raw
    take, make = (accept_pod, to_pod_app) if is_pod else (accept_app, to_app)
    assert refusal_of(lambda: make(take(raw, NAMED))) in (None, 422, 500)


def refusal_of(take: Callable[[], object]) -> int | None:
    """The status of the refusal; None when there is none."""
    try:
        take()
    except MarathonRefusal as refusal:
        return refusal.status
    return None


def stored() -> dict[str, Any]:
    value = {"id": "/a", "args": ["x"], "env": {"A": "1", "B": "2"}, "networks": [{"mode": "container/bridge"}], "container": {"docker": {"image": "i"}, "portMappings": [{"containerPort": 80, "servicePort": 10000}]}, "resourceLimits": {"mem": 512}}  # fmt: skip
    return accept_app(value, Settings())


def test_a_field_that_an_update_gives_replaces_the_whole_one() -> None:
    found = accept_update({"env": {"C": "3"}, "instances": 4}, stored(), Settings())
    assert found["env"] == {"C": "3"}
    assert found["instances"] == 4
    assert found["container"] == stored()["container"]
    assert "resourceLimits" not in found, "reset unless given, as Marathon does"


def test_an_update_keeps_ports_it_says_nothing_of_and_drops_them_with_their_network() -> None:
    same = accept_update({"container": {"docker": {"image": "other"}, "portMappings": [{"containerPort": 81}]}}, stored(), Settings())  # fmt: skip
    assert same["networks"] == [{"mode": "container/bridge"}]
    assert same["container"]["portMappings"][0]["hostPort"] == 0
    moved = accept_update({"networks": [{"mode": "host"}], "cmd": "run", "args": []}, stored(), Settings())  # fmt: skip
    assert "portMappings" not in moved["container"]
    assert moved["portDefinitions"] == [{"port": 0, "name": "default", "protocol": "tcp"}]


def test_an_update_without_networks_keeps_them_also_when_it_gives_an_empty_list() -> None:
    assert accept_update({"networks": []}, stored(), Settings())["networks"] == stored()["networks"]


def test_a_version_goes_with_an_id_alone() -> None:
    version = "2020-01-01T00:00:00.000Z"
    assert version_of({"version": version, "id": "/a", "cmd": None}) == version
    assert version_of({"version": version, "cmd": "x"}) is None
    with pytest.raises(MarathonRefusal) as caught:
        accept_update({"version": version, "cmd": "x y"}, stored(), Settings())
    assert caught.value.body["details"] == [{"path": "/", "errors": ["The 'version' field may only be combined with the 'id' field."]}]  # fmt: skip


def test_the_id_of_an_update_is_absolute() -> None:
    assert id_of_update({"id": "a/b"}) == "/a/b"
    assert id_of_update({}) is None


def test_violations_of_one_place_are_one_entry() -> None:
    with pytest.raises(MarathonRefusal) as caught:
        as_marathon({**APP_A, "args": ["x"], "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2}, Settings())  # fmt: skip
    details = caught.value.body["details"]
    root = next(each for each in details if each["path"] == "/")
    assert len(root["errors"]) == 2
    assert len({each["path"] for each in details}) == len(details)


def test_what_marathon_shows_for_the_smallest_app() -> None:
    assert accept_app({"id": "/a", "cmd": "sleep 1"}, Settings()) == {
        "id": "/a", "cmd": "sleep 1", "instances": 1, "cpus": 1, "mem": 128, "disk": 0, "gpus": 0, "executor": "",
        "backoffFactor": 1.15, "backoffSeconds": 1, "maxLaunchDelaySeconds": 300, "requirePorts": False,
        "killSelection": "YOUNGEST_FIRST", "labels": {}, "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": 0, "name": "default", "protocol": "tcp"}], "role": "*",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "upgradeStrategy": {"maximumOverCapacity": 1, "minimumHealthCapacity": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "enforces", "role", "fine"),
    [
        ("/a", False, "*", True),
        ("/a", False, "a", False),
        ("/g/a", False, "g", True),
        ("/g/a", False, "*", True),
        ("/g/a", True, "*", False),
        ("/g/a", True, None, True),
        ("/g/a", True, "kept", True),
    ],
)
def test_roles_are_the_default_the_groups_or_the_one_there_was(
    path: str, enforces: bool, role: str | None, fine: bool
) -> None:
    raw = {**APP_A, "id": path, **({"role": role} if role else {})}
    if fine:
        app = accept_app(raw, Settings(), enforces_role=enforces, existing={"role": "kept"})
        assert app["role"] == (role or "g")
        return
    with pytest.raises(MarathonRefusal) as caught:
        accept_app(raw, Settings(), enforces_role=enforces)
    assert caught.value.body["details"][0]["path"] == "/role"


def test_only_the_own_role_and_everybodys_resources_are_accepted() -> None:
    with pytest.raises(MarathonRefusal) as caught:
        accept_app({**APP_A, "acceptedResourceRoles": ["*", "other"]}, Settings())
    assert caught.value.violations[0].error == "acceptedResourceRoles can only contain * and *"


def test_persistent_volumes_mean_residency_and_careful_upgrades_to_marathon() -> None:
    volume = {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}
    raw = {**APP_A, "container": {"type": "MESOS", "volumes": [volume]}}
    found = as_marathon(raw, Settings())
    assert found["residency"]["taskLostBehavior"] == "WAIT_FOREVER"
    assert found["upgradeStrategy"] == {"maximumOverCapacity": 0, "minimumHealthCapacity": 0.5}
    assert found["unreachableStrategy"] == "disabled"
    with pytest.raises(MarathonRefusal, match="there are no persistent volumes"):
        accept_app(raw, Settings())


def test_a_network_in_capitals_comes_by_ip_address_and_then_stays() -> None:
    docker = {"image": "my-image:1.0", "network": "USER"}
    raw = {
        "id": "/a",
        "container": {"type": "DOCKER", "docker": docker},
        "ipAddress": {"networkName": "someUserNetwork"},
    }
    stored = accept_app(raw, Settings())
    assert stored["networks"] == [{"mode": "container", "name": "someUserNetwork"}]
    assert accept_update({"instances": 2}, stored, Settings())["networks"] == stored["networks"]
    assert accept_app(stored, Settings(), existing=stored) == stored
    with pytest.raises(MarathonRefusal) as caught:
        accept_app(stored, Settings())
    assert caught.value.body["details"] == [
        {"path": "/networks(0)/name", "errors": ["error.pattern"]}
    ]
