"""What an App is made of a pod of Marathon's."""

from __future__ import annotations

from typing import Any

from portway.core.app import App, CheckKind, Exposure, NetworkMode, VolumeKind
from portway.core.containers import fault_of
from portway.core.marathon.labels import origin_of
from portway.manifests.marathon.accept import accept_pod
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.settings import Settings

NGINX = {"kind": "DOCKER", "id": "nginx"}


def container(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "resources": {}, "image": NGINX, **fields}


def made(*containers: dict[str, Any], **fields: Any) -> App:
    pod = {"id": "/shop/pod", "containers": list(containers), **fields}
    app = to_pod_app(accept_pod(pod, Settings()))
    assert fault_of(app) == ""
    return app


def test_containers_start_and_end_together_and_share_an_address() -> None:
    app = made(container("a"), container("b"), networks=[{"mode": "container/bridge"}])
    assert (app.id, app.container_name, [c.name for c in app.containers]) == ("shop/pod", "a", ["b"])  # fmt: skip
    assert (app.network_mode, app.environment_form) == (NetworkMode.OWN, "marathon-pod")
    assert made(container("a")).network_mode is NetworkMode.HOST


def test_endpoints_are_ports_of_their_container_without_a_listener() -> None:
    endpoints = [{"name": "http", "containerPort": 80, "hostPort": 0}, {"name": "own", "containerPort": 81}]  # fmt: skip
    app = made(container("a"), container("b", endpoints=endpoints), networks=[{"mode": "container", "name": "n"}])  # fmt: skip
    http, own = app.ports
    assert (http.container, http.exposure, http.service_ports) == ("b", Exposure.HOST, ())
    assert (http.leased, http.shuffled, own.leased) == (True, True, False)


def test_variables_and_users_of_the_pod_give_way_to_the_containers() -> None:
    app = made(container("a", environment={"A": "1"}, user="u"), container("b"), environment={"A": "0", "B": "2"}, user="p")  # fmt: skip
    assert (app.environment, app.user) == ({"A": "1", "B": "2"}, "u")
    assert (app.containers[0].environment, app.containers[0].user) == ({"A": "0", "B": "2"}, "p")


def test_a_shells_command_takes_the_place_of_the_entry_point_and_words_only_if_told() -> None:
    app = made(
        container("a", exec={"command": {"shell": "run"}}),
        container("b", exec={"command": {"argv": ["x", "y"]}}),
        container("c", exec={"command": {"argv": ["x", "y"]}, "overrideEntrypoint": True}),
    )
    assert (app.entrypoint, app.command) == (("/bin/sh",), ("-c", "run"))
    assert [(c.entrypoint, c.command) for c in app.containers] == [
        (None, ("x", "y")),
        (("x",), ("y",)),
    ]


def test_a_single_container_without_an_image_is_a_process() -> None:
    app = made({"name": "a", "resources": {}, "exec": {"command": {"shell": "run $X"}}})
    assert (app.image, app.command, app.command_text) == (None, ("/bin/sh", "-c", "run $X"), "run $X")  # fmt: skip


def test_checks_of_any_container_are_the_apps_and_commands_their_containers() -> None:
    a = container("a", healthCheck={"exec": {"command": {"argv": ["true"]}}, "maxConsecutiveFailures": 1})  # fmt: skip
    b = container("b", endpoints=[{"name": "http"}], healthCheck={"http": {"endpoint": "http", "path": "ok"}})  # fmt: skip
    c = container("c", healthCheck={"exec": {"command": {"shell": "true"}}})
    app = made(a, b, c)
    assert (app.health.command, app.health.unhealthy_threshold) == (("CMD", "true"), 2)
    assert [(x.kind, x.path, x.port_name) for x in app.further_checks] == [(CheckKind.HTTP, "/ok", "http")]  # fmt: skip
    assert [x.health.command if x.health else None for x in app.containers] == [None, ("CMD-SHELL", "true")]  # fmt: skip


def test_volumes_are_host_paths_or_live_with_their_instance_unless_shared() -> None:
    mounts = [{"name": n, "mountPath": f"/{n}", "readOnly": n == "host"} for n in ("host", "own", "both")]  # fmt: skip
    other = container("b", volumeMounts=[{"name": "both", "mountPath": "/x"}])
    volumes = [{"name": "host", "host": "/srv"}, {"name": "own"}, {"name": "both"}]
    app = made(container("a", volumeMounts=mounts), other, volumes=volumes)
    assert [(v.kind, v.source, v.target, v.read_only) for v in app.volumes] == [
        (VolumeKind.BIND, "/srv", "/host", True),
        (VolumeKind.NAMED, "", "/own", False),
        (VolumeKind.NAMED, "pod-both", "/both", False),
    ]
    assert app.containers[0].volumes[0].source == "pod-both"
    assert [v.of_instance for v in (*app.volumes, *app.containers[0].volumes)] == [False, False, True, True]  # fmt: skip


def test_scheduling_resources_and_origin_are_the_pods() -> None:
    scheduling = {"backoff": {"backoff": 3}, "killSelection": "OLDEST_FIRST", "placement": {"constraints": [{"fieldName": "rack", "operator": "like", "value": "a.*"}]}}  # fmt: skip
    app = made(container("a", labels={"x": "y"}, lifecycle={"killGracePeriodSeconds": 2}), scheduling=scheduling, scaling={"kind": "fixed", "instances": 4}, labels={"p": "q"})  # fmt: skip
    assert app.backoff is not None
    assert (app.backoff.first_s, app.kill_oldest, app.count, app.stop_grace_s) == (3, True, 4, 2)
    assert str(app.placement.constraints[0]) == "rack LIKE a.*"
    origin = origin_of(app)
    assert origin is not None
    assert (origin.path, origin.own_labels, app.labels["p"]) == ("/shop/pod", {"x": "y"}, "q")
