"""What instances are told that were made over the Marathon face: by network mode, and container by container in a pod."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Container, NetworkMode, PortSpec, Protocol, Resources
from portway.core.environment import instance_environment
from portway.core.instance import InstanceIdentity
from portway.core.lease import Lease
from portway.core.marathon.environment import own_number
from portway.core.marathon.labels import Origin, labels_of
from portway.core.marathon.names import executor_name, task_name
from portway.core.state import Revision

ORIGIN = Origin(path="/shop/web", version="2015-02-03T12:30:00.000Z")
WEB = App(
    id="shop/web",
    environment_form="marathon",
    labels={**labels_of(ORIGIN), "owner": "me"},
    resources=Resources(cpus=0.5, memory_bytes=64 << 20),
    network_mode=NetworkMode.HOST,
    ports=(
        PortSpec(name="http", container_port=0, shuffled=True, service_ports=(10000,)),
        PortSpec(name="p1", container_port=0, shuffled=True, service_ports=(10001,)),
    ),
)


def told(app: App, *host_ports: int | None, container: str = "", **own: str) -> dict[str, str]:
    leases = tuple(
        Lease(
            port_name=spec.name,
            node="local",
            protocol=spec.protocol,
            host_port=number,
            container_port=spec.container_port or number,
        )
        for spec, number in zip(app.ports, host_ports, strict=False)
        if number is not None
    )
    identity = InstanceIdentity(
        id="shop/web.1.7", app_id=app.id, slot=1, serial=7, revision="R1", release="R1",
        node="local", leases=leases,
    )  # fmt: skip
    made_at_ms = 1422966600123
    revision = Revision(
        id="R1", release="R1", app=replace(app, environment=own), made_at_ms=made_at_ms
    )
    return instance_environment(
        revision, identity, node_address="10.0.0.9", home_id="home", container=container
    )


def test_on_the_nodes_network_ports_are_keyed_by_their_service_ports() -> None:
    named = replace(WEB, labels={**labels_of(replace(ORIGIN, names={"p1": ""})), "owner": "me"})
    assert told(named, 31005, 31006) == {
        "HOST": "10.0.0.9",
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
        "MARATHON_APP_ID": "/shop/web",
        "MARATHON_APP_LABELS": "OWNER",
        "MARATHON_APP_LABEL_OWNER": "me",
        "MARATHON_APP_RESOURCE_CPUS": "0.5",
        "MARATHON_APP_RESOURCE_DISK": "0.0",
        "MARATHON_APP_RESOURCE_GPUS": "0",
        "MARATHON_APP_RESOURCE_MEM": "64.0",
        "MARATHON_APP_VERSION": "2015-02-03T12:30:00.000Z",
        "MESOS_TASK_ID": task_name("/shop/web", "shop/web.1.7 R1", home_id="home"),
        "PORT": "31005",
        "PORT0": "31005",
        "PORT1": "31006",
        "PORTS": "31005,31006",
        "PORT_10000": "31005",
        "PORT_10001": "31006",
        "PORT_HTTP": "31005",
    }


def test_one_that_is_deployed_as_a_file_is_told_the_id_and_version_it_is_shown_under() -> None:
    filed = replace(WEB, labels=labels_of(replace(ORIGIN, path="/x/web", version="")))
    found = told(filed, 31005, 31006)
    assert (found["MARATHON_APP_ID"], found["MARATHON_APP_VERSION"]) == (
        "/shop/web",
        "2015-02-03T12:30:00.123Z",
    )
    assert found["MESOS_TASK_ID"] == task_name("/shop/web", "shop/web.1.7 R1", home_id="home")


def test_on_a_bridge_they_are_keyed_by_their_container_ports() -> None:
    ports = (replace(WEB.ports[0], container_port=8080), WEB.ports[1])
    bridged = replace(WEB, network_mode=NetworkMode.BRIDGE, ports=ports)
    found = told(bridged, 31005, 31006)
    assert found["PORT_8080"] == found["PORT_HTTP"] == "31005"
    assert found["PORT_31006"] == "31006"
    assert "PORT_10000" not in found


def test_at_an_address_of_its_own_a_number_is_made_up_and_is_where_it_answers() -> None:
    spec = replace(WEB.ports[0], leased=False)
    own = replace(WEB, network_mode=NetworkMode.OWN, ports=(spec,))
    found = told(own, None)
    number = int(found["PORT0"])
    assert found["PORTS"] == found["PORT_HTTP"] == str(number)
    identity = InstanceIdentity(
        id="shop/web.1.7", app_id="shop/web", slot=1, serial=7, revision="R1", release="R1",
        node="local",
    )  # fmt: skip
    assert own_number(own, identity, "http") == number
    assert own_number(own, replace(identity, id="shop/web.1.8"), "http") != number
    assert own_number(own, identity, "other") == 0


def test_the_users_variables_win_for_an_app() -> None:
    found = told(WEB, 31005, 31006, PORT0="1", MARATHON_APP_ID="mine")
    assert (found["PORT0"], found["MARATHON_APP_ID"]) == ("1", "mine")


@pytest.mark.parametrize("docker", [True, False])
def test_the_image_is_told_of_docker_containers_alone(docker: bool) -> None:
    app = replace(WEB, image="nginx", labels=labels_of(replace(ORIGIN, docker=docker)))
    assert told(app).get("MARATHON_APP_DOCKER_IMAGE") == ("nginx" if docker else None)


def test_what_was_asked_for_is_told_where_the_limits_are_others() -> None:
    asked = replace(ORIGIN, cpus={"": 0.001}, memory_mib={"": 4.0})
    found = told(replace(WEB, labels=labels_of(asked)))
    assert found["MARATHON_APP_RESOURCE_CPUS"] == "0.001"
    assert found["MARATHON_APP_RESOURCE_MEM"] == "4.0"


def test_a_port_of_two_protocols_is_one_port() -> None:
    both = (WEB.ports[0], PortSpec(name="http.udp", container_port=0, protocol=Protocol.UDP, shuffled=True, same_as="http"))  # fmt: skip
    found = told(replace(WEB, ports=both), 31005, 31005)
    assert found["PORTS"] == "31005"
    assert "PORT1" not in found


def test_an_app_without_labels_of_the_face_is_named_after_its_id() -> None:
    assert told(replace(WEB, labels={}), 1, 2)["MARATHON_APP_ID"] == "/shop/web"


POD = replace(
    WEB,
    environment_form="marathon-pod",
    container_name="front",
    labels={
        **labels_of(replace(ORIGIN, own_labels={"of": "front"}, disk_mib={"side": 10.0})),
        "all": "1",
    },
    containers=(
        Container(
            name="side",
            image="redis",
            resources=Resources(cpu_shares=256),
            labels={"of": "side"},
        ),
    ),
    ports=(PortSpec(name="web-ui", container_port=0, shuffled=True, container="side"),),
)


def test_every_container_of_a_pod_is_told_all_endpoints_and_who_it_is() -> None:
    front, side = told(POD, 31000), told(POD, 31000, container="side")
    for found in (front, side):
        assert found["ENDPOINT_WEB_UI"] == found["EP_HOST_WEB_UI"] == "31000"
        assert found["MARATHON_APP_ID"] == "/shop/web"
        assert found["MARATHON_APP_LABEL_ALL"] == "1"
        assert found["MESOS_EXECUTOR_ID"] == executor_name(
            "/shop/web", "shop/web.1.7 R1", home_id="home"
        )
    assert (front["MARATHON_CONTAINER_ID"], side["MARATHON_CONTAINER_ID"]) == ("front", "side")
    assert front["MESOS_TASK_ID"].endswith(".front.1")
    assert side["MESOS_TASK_ID"].endswith(".side.1")
    assert (front["MARATHON_APP_LABEL_OF"], side["MARATHON_APP_LABEL_OF"]) == ("front", "side")
    assert side["MARATHON_CONTAINER_RESOURCE_CPUS"] == "0.25"
    assert side["MARATHON_CONTAINER_RESOURCE_DISK"] == "10.0"
    assert front["MARATHON_CONTAINER_RESOURCE_MEM"] == "64.0"


def test_the_users_variables_give_way_in_a_pod() -> None:
    found = told(POD, 31000, container="side", HOST="mine", OTHER="kept")
    assert (found["HOST"], found["OTHER"]) == ("10.0.0.9", "kept")
