"""The variables of tasks and pods: what the vectors do not say."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.marathon.ports import Port
from portway.core.marathon.variables import (
    PodContainer,
    Task,
    app_variables,
    endpoint_variables,
    generated_ports,
    label_variables,
    pod_variables,
    port_variables,
)

FEW = settings(max_examples=30)
NAME = st.text("ab1-", max_size=8).map(lambda text: f"x{text}9")
PORT = st.builds(
    Port,
    name=st.one_of(st.just(""), NAME),
    container_port=st.one_of(st.none(), st.integers(0, 65535)),
    service_port=st.integers(0, 65535),
    host_port=st.one_of(st.none(), st.integers(31000, 31010)),
)
TASK = Task(id="t", path="/web", version="v")


@FEW
@given(st.lists(PORT, max_size=6))
def test_there_is_one_variable_a_port_and_every_key_is_of_a_known_form(ports: list[Port]) -> None:
    found = port_variables(ports, seed="s")
    assert bool(found) is bool(ports)
    for name, value in found.items():
        assert re.fullmatch(r"PORTS?|PORT\d+|PORT_[-A-Z0-9]+", name)
        assert name == "PORTS" or 0 < int(value) <= 65535
    for nth, port in enumerate(ports):
        if port.host_port is not None:
            assert found[f"PORT{nth}"] == str(port.host_port)
    listed = [n for n in found.get("PORTS", "").split(",") if n]
    on_host = [str(p.host_port) for p in ports if p.host_port is not None]
    assert listed[: len(on_host)] == on_host
    assert found.get("PORT") == next(iter(listed), None)


@FEW
@given(st.lists(PORT, max_size=6), st.text(max_size=5))
def test_generated_numbers_are_unprivileged_and_nobody_elses(ports: list[Port], seed: str) -> None:
    found = generated_ports(ports, seed=seed)
    others = {n for p in ports for n in (p.requested, p.host_port) if n}
    assert len(set(found.values())) == len(found)
    assert not others & set(found.values())
    assert all(1025 <= n <= 65535 for n in found.values())
    assert found == generated_ports(ports, seed=seed)


def test_fixed_ports_inside_are_told_and_not_listed() -> None:
    ports = [Port(container_port=8080, name="http"), Port(container_port=9090)]
    assert port_variables(ports, seed="s") == {
        "PORT0": "8080",
        "PORT_8080": "8080",
        "PORT_HTTP": "8080",
        "PORT1": "9090",
        "PORT_9090": "9090",
        "PORTS": "",
    }


def test_no_ports_means_no_variable_about_ports() -> None:
    assert app_variables(None, [], host="h", seed="s") == {"HOST": "h"}


def test_labels_are_sanitised_and_those_that_are_too_long_are_left_out() -> None:
    labels = {"a-b..c": "1", "owner": "me", "k" * 493: "x", "long": "v" * 512, "k" * 492: "x"}
    found = label_variables(labels)
    assert found["MARATHON_APP_LABELS"] == f"A_B_C OWNER {'K' * 492}"
    assert found["MARATHON_APP_LABEL_A_B_C"] == "1"
    assert "MARATHON_APP_LABEL_LONG" not in found
    assert len(found) == 4


def test_of_labels_that_become_one_the_last_wins() -> None:
    found = label_variables({"a-b": "1", "a_b": "2"})
    assert found == {"MARATHON_APP_LABELS": "A_B", "MARATHON_APP_LABEL_A_B": "2"}


def test_endpoints_are_told_with_every_number_they_have() -> None:
    host_mode = Port(name="web-ui", container_port=None, host_port=31000)
    published = Port(name="api", container_port=8080, host_port=31001)
    inside = Port(name="db", container_port=5432)
    assert endpoint_variables([host_mode, published, inside]) == {
        "ENDPOINT_WEB_UI": "31000",
        "EP_HOST_WEB_UI": "31000",
        "ENDPOINT_API": "8080",
        "EP_HOST_API": "31001",
        "EP_CONTAINER_API": "8080",
        "ENDPOINT_DB": "5432",
        "EP_CONTAINER_DB": "5432",
    }
    assert list(endpoint_variables([inside], prefix="my_"))[0] == "MY_ENDPOINT_DB"


def test_in_a_pod_what_is_generated_wins_over_what_is_written() -> None:
    own = {"HOST": "mine", "ENDPOINT_DB": "1", "MARATHON_APP_ID": "x", "OTHER": "kept"}
    container = PodContainer(name="db", executor_id="instance-web.u", own=own)
    found = pod_variables(
        TASK, container, [Port(name="db", container_port=5432)], host="10.0.0.1", prefix="p_"
    )
    assert found["HOST"] == "10.0.0.1"
    assert found["P_ENDPOINT_DB"] == "5432"
    assert (found["MARATHON_APP_ID"], found["OTHER"]) == ("/web", "kept")
    assert found["MARATHON_CONTAINER_ID"] == "db"
    assert found["MESOS_EXECUTOR_ID"] == "instance-web.u"
    assert found["MARATHON_CONTAINER_RESOURCE_GPUS"] == "0"
    assert not any(name.startswith("PORT") for name in found)
