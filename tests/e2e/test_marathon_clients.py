"""Marathon's own clients against a running server: they find processes and containers, and nothing that does not run yet."""

from __future__ import annotations

import collections.abc
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from marathon import MarathonClient
from marathon.exceptions import ConflictError, NotFoundError
from marathon.models import MarathonApp, MarathonGroup, MarathonHealthCheck
from marathon.models.app import PortDefinition
from marathon.models.container import (
    MarathonContainer,
    MarathonContainerPortMapping,
    MarathonDockerContainer,
)

from tests.e2e.conftest import _short_home
from tests.e2e.machine import Machine, free_port, get, until

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]  (the client is of Python 3.9)

COMMAND = "exec /bin/busybox httpd -f -p 127.0.0.1:$PORT0 -h "
BORN = ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"]
DIED = ["TASK_KILLING", "TASK_KILLED"]


class Face:
    """One server, and Marathon's client to it."""

    def __init__(self, machine: Machine, listen: str) -> None:
        self.machine, self.url = machine, f"http://{listen}"
        self.client = MarathonClient(self.url)

    def rested(self) -> None:
        until(lambda: not self.client.list_deployments(), why="no deployment runs")

    def json(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    @contextmanager
    def hearing(self) -> Iterator[list[Any]]:
        """The events the client makes of the stream, until the block is left."""
        heard: list[Any] = []

        def hear() -> None:
            with suppress(requests.RequestException):  # the test has failed, the server is gone
                for event in self.client.event_stream():
                    heard.append(event)
                    if event.event_type == "app_terminated_event" and event.app_id == "/end":
                        return

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        until(lambda: heard, why="the stream is attached")
        yield heard
        self.client.create_app("/end", MarathonApp(cmd="sleep 1", instances=0))
        self.rested()
        self.client.delete_app("/end")
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    listen = f"127.0.0.1:{free_port()}"
    variables = {"PORTWAY_LISTEN": listen, "PORTWAY_AWS_HOSTS_FILE": "none"}
    directory: Path = tmp_path_factory.mktemp("marathon")
    machine = Machine(home=_short_home(), directory=directory, variables=variables)
    try:
        machine.start_server()
        yield Face(machine, listen)
    finally:
        machine.close()


def page(directory: Path, text: str) -> str:
    """The command that serves a text."""
    folder = directory / text
    folder.mkdir()
    (folder / "index.html").write_text(text)
    return COMMAND + str(folder)


def site(command: str, *, instances: int) -> MarathonApp:
    check = MarathonHealthCheck(
        protocol="HTTP", path="/", port_index=0, interval_seconds=1, grace_period_seconds=10
    )
    return MarathonApp(
        cmd=command,
        instances=instances,
        cpus=0.1,
        mem=32,
        port_definitions=[PortDefinition(port=0, protocol="tcp", name="http")],
        health_checks=[check],
    )


def states(heard: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in heard:
        if event.event_type == "status_update_event":
            found.setdefault(event.task_id, []).append(event.task_status)
    return found


def test_the_client_drives_processes_and_hears_what_happens(face: Face, tmp_path: Path) -> None:
    client = face.client
    with face.hearing() as heard:
        client.create_app("/web", site(page(tmp_path, "one"), instances=2))
        with pytest.raises(ConflictError):
            client.scale_app("/web", 5)
        face.rested()
        listener = client.get_app("/web").port_definitions[0].port
        assert get(f"http://127.0.0.1:{listener}/") == "one"
        first = client.list_versions("/web")[0]
        client.scale_app("/web", delta=1)
        face.rested()
        client.update_app("/web", MarathonApp(cmd=page(tmp_path, "two")))
        face.rested()
        assert get(f"http://127.0.0.1:{listener}/") == "two"
        client.rollback_app("/web", first)
        face.rested()
        assert get(f"http://127.0.0.1:{listener}/") == "one"
        app = client.get_app("/web", embed_tasks=True)
        assert (app.instances, app.tasks_running, app.tasks_healthy) == (2, 2, 2)
        victim = client.kill_task("/web", app.tasks[0].id)
        until(lambda: victim.id not in {task.id for task in client.list_tasks("/web")})
        until(lambda: client.get_app("/web").tasks_healthy == 2, why="it is replaced")
        client.restart_app("/web")
        face.rested()
        assert client.list_queue() == []
        client.delete_app("/web")
        face.rested()
        with pytest.raises(NotFoundError):
            client.get_app("/web")
    told = states(heard)
    assert len(told) == 2 + 1 + 3 + 2 + 1 + 2
    assert all(passed == BORN + DIED for passed in told.values())
    kinds = [event.event_type for event in heard]
    assert kinds.count("deployment_success") >= 6
    assert "deployment_failed" not in kinds
    assert victim.id in told


def test_the_client_drives_groups_of_containers_and_processes(
    face: Face, image: str, tmp_path: Path
) -> None:
    client = face.client
    docker = MarathonDockerContainer(image=image, network="BRIDGE")
    docker.port_mappings = [MarathonContainerPortMapping(container_port=80, host_port=0)]
    inside = MarathonApp(
        id="inside",
        container=MarathonContainer(docker=docker),
        cpus=0.1,
        mem=32,
        instances=1,
        task_kill_grace_period_seconds=1,  # busybox does not end by itself
    )
    beside = site(page(tmp_path, "beside"), instances=1)
    beside.id, beside.dependencies = "beside", ["/shop/inside"]
    client.create_group(MarathonGroup(id="/shop", apps=[inside, beside]))
    face.rested()
    assert {app.id for app in client.get_group("/shop").apps} == {"/shop/inside", "/shop/beside"}
    [container] = client.list_tasks("/shop/inside")
    [process] = client.list_tasks("/shop/beside")
    for task in (container, process):
        with socket.create_connection((task.host, task.ports[0]), timeout=5):
            pass
    assert container.ip_addresses[0].ip_address != process.ip_addresses[0].ip_address
    client.scale_group("/shop", 2)
    face.rested()
    endpoints = [one for one in client.list_endpoints() if one.app_id == "/shop/inside"]
    assert len({(one.host, one.task_port) for one in endpoints}) == 2
    client.delete_group("/shop")
    face.rested()
    assert client.list_apps() == []


class Consumer:
    """Reads all apps with their tasks whenever something relevant happens, as marathon-lb does."""

    RELEVANT = ("api_post_event", "health_status_changed_event", "status_update_event")

    def __init__(self, face: Face) -> None:
        self.face = face
        self.snapshots = 0
        self.faults: list[str] = []
        self.running: set[str] = set()  # tasks that were told to run
        self.attached = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        query = "&".join(f"event_type={kind}" for kind in (*self.RELEVANT, "app_terminated_event"))
        url = f"{self.face.url}/v2/events?plan-format=light&{query}"
        request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
        with urllib.request.urlopen(request, timeout=60) as stream:
            self.attached.set()
            for line in stream:
                if line.startswith(b"data: ") and self._ends(json.loads(line[6:])):
                    return

    def _ends(self, event: Any) -> bool:
        if event["eventType"] == "app_terminated_event":
            return True
        if event.get("taskStatus") == "TASK_RUNNING":
            self.running.add(event["taskId"])
        try:
            for app in self.face.json("/v2/apps?embed=apps.tasks")["apps"]:
                for task in app["tasks"]:
                    self._judge(app, task)
            self.snapshots += 1
        except Exception as error:  # noqa: BLE001  (told by the test)
            self.faults.append(repr(error))
        return False

    def _judge(self, app: Any, task: Any) -> None:
        if task["state"] == "TASK_STAGING":
            self._expect(task, not task["ipAddresses"] and not task["healthCheckResults"], "early")
            self._expect(task, "startedAt" not in task, "started")
        if task["state"] != "TASK_RUNNING":
            return
        self._expect(task, task["appId"] == app["id"] and task["host"] == "127.0.0.1", "host")
        self._expect(task, len(task["ports"]) == len(app["portDefinitions"]) == 1, "ports")
        self._expect(task, app["portDefinitions"][0]["port"] > 0, "service port")
        self._expect(task, "startedAt" in task, "startedAt")
        self._expect(task, task["ipAddresses"][0]["ipAddress"] == "127.0.0.1", "address")
        results = task["healthCheckResults"]
        if results and all(one["alive"] for one in results):
            self._expect(task, self._answers(task) or not self._still_runs(task), "no answer")

    def _expect(self, task: Any, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(f"{what}: {task}")

    def _answers(self, task: Any) -> bool:
        try:
            with socket.create_connection((task["host"], task["ports"][0]), timeout=5):
                return True
        except OSError:
            return False

    def _still_runs(self, task: Any) -> bool:
        """Whether what did not answer has not been told to go meanwhile."""
        tasks = self.face.json("/v2/tasks?status=running")["tasks"]
        return any(one["id"] == task["id"] and one["state"] == "TASK_RUNNING" for one in tasks)


def test_whoever_follows_events_and_tasks_never_meets_one_that_does_not_serve(
    face: Face, tmp_path: Path
) -> None:
    consumer, client = Consumer(face), face.client
    consumer.thread.start()
    assert consumer.attached.wait(30)
    client.create_app("/site", site(page(tmp_path, "first"), instances=2))
    face.rested()
    client.update_app("/site", MarathonApp(cmd=page(tmp_path, "second")))
    face.rested()
    client.scale_app("/site", 4)
    face.rested()
    client.scale_app("/site", 1)
    face.rested()
    [task] = face.json("/v2/tasks")["tasks"]
    assert task["servicePorts"] == [client.get_app("/site").port_definitions[0].port]
    client.delete_app("/site")
    face.rested()
    consumer.thread.join(30)
    assert not consumer.thread.is_alive()
    assert consumer.faults == []
    assert len(consumer.running) == 2 + 2 + 2
    assert consumer.snapshots > 10
