"""`portway why`: the walk, the sentence, the exit code; with a server and without one."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict
from typing import Any

import pytest

from portway.core.facts import Diagnosis, Hop, Verdict
from portway.core.routes import Endpoint, Route, RouteKey
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer, Refusal

FINE = Diagnosis(
    subject="web",
    verdict=Verdict.OK,
    sentence="web answers: HTTP 200 in 3 ms through http://127.0.0.1:8000/",
    hops=(Hop(name="name", verdict=Verdict.OK, text="shop/web is deployed"),),
)
BROKEN = Diagnosis(
    subject="web",
    verdict=Verdict.BROKEN,
    sentence="web listens on 127.0.0.1:80; make it listen on 0.0.0.0:80",
    fix="make it listen on 0.0.0.0:80",
    hops=(
        Hop(name="backend", verdict=Verdict.HELD, text="web has no server"),
        Hop(name="inside", verdict=Verdict.BROKEN, text="web listens on 127.0.0.1:80"),
        Hop(name="log", verdict=Verdict.OK, text="first\nsecond"),
    ),
)


def test_what_works_is_walked_and_ends_with_its_answer(run: Run, fake: FakeServer) -> None:
    fake.on("GET /why", asdict(FINE))
    outcome = run("why", "web", "-a", "shop")
    assert (outcome.code, outcome.out) == (
        0,
        "ok       name  shop/web is deployed\n"
        "\n"
        "OK: web answers: HTTP 200 in 3 ms through http://127.0.0.1:8000/.\n",
    )
    assert fake.requests("GET /why")[0].query == {"subject": ["web"], "stack": ["shop"]}


def test_what_is_broken_ends_with_the_sentence_and_exit_code_one(
    run: Run, fake: FakeServer
) -> None:
    fake.on("GET /why", asdict(BROKEN))
    outcome = run("why", "web")
    assert (outcome.code, outcome.out) == (
        1,
        "held     backend  web has no server\n"
        "broken   inside   web listens on 127.0.0.1:80\n"
        "ok       log      first\n"
        "                  second\n"
        "\n"
        "BROKEN: web listens on 127.0.0.1:80; make it listen on 0.0.0.0:80.\n",
    )


def test_json_is_the_answer_of_the_api_and_keeps_the_exit_code(run: Run, fake: FakeServer) -> None:
    fake.on("GET /why", asdict(BROKEN))
    outcome = run("why", "web", "--json")
    assert json.loads(outcome.out) == json.loads(json.dumps(asdict(BROKEN)))
    assert outcome.code == 1


def test_a_name_nobody_knows_is_exit_code_two(run: Run, fake: FakeServer) -> None:
    fake.on("GET /why", Refusal(404, {"message": 'there is nothing called "x"', "hint": "Look."}))
    outcome = run("why", "x")
    assert (outcome.code, outcome.err) == (2, 'ERROR: there is nothing called "x"\n  Look.\n')


@pytest.mark.parametrize("subject", ["127.0.0.1:80", "http://a.test/", "blog/web"])
def test_a_stack_that_is_only_inferred_does_not_narrow_what_needs_none(
    run: Run, fake: FakeServer, workdir: Any, subject: str
) -> None:
    (workdir / "docker-compose.yml").write_text("services: {}\n")
    fake.on("GET /why", asdict(FINE))
    run("why", subject)
    assert fake.asked[-1].query == {"subject": [subject]}
    run("why", "web")
    assert fake.asked[-1].query == {"subject": ["web"], "stack": ["work"]}


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> list[int]:
    """What a server that is gone has left: the process of its balancer, and a route at the listener's port."""
    pids = [42]
    route: Any = Route(
        key=RouteKey(address="127.0.0.1", service_port=listener.getsockname()[1]),
        owner="shop/web",
        port_name="80",
        listener=None,  # type: ignore[arg-type]
        endpoints=(Endpoint(instance_id="shop/web.1.7", address="172.18.0.2", port_number=80),),
    )
    monkeypatch.setattr("portway.assemble.still_serving", lambda _config: (pids[0], (route,)))
    return pids


@pytest.fixture
def listener() -> Any:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


@pytest.mark.parametrize("subject", ["web", "shop/web", "shop", "web.1", "web.1.7"])
def test_without_a_server_what_still_serves_is_told(
    run: Run, left: list[int], listener: socket.socket, subject: str
) -> None:
    outcome = run("why", subject)
    number = listener.getsockname()[1]
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1] == (
        f"BROKEN: no portway server is running, so nothing of {subject} is watched or replaced; HAProxy "
        f"(process 42) still serves shop/web on 127.0.0.1:{number}; "
        "start it (`portway server start`): it takes over whatever runs."
    )


def test_without_a_server_and_without_a_balancer_nothing_serves(
    run: Run, left: list[int], listener: socket.socket
) -> None:
    left[0] = 0
    said = run("why", "web").out.splitlines()[-1]
    assert "and no HAProxy runs either, so nobody serves shop/web on 127.0.0.1:" in said
    assert "its balancer knows no other" in run("why", "other").out


def test_without_a_server_a_port_of_somebody_else_is_still_answered(
    run: Run, listener: socket.socket
) -> None:
    number = listener.getsockname()[1]
    outcome = run("why", f"127.0.0.1:{number}")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].endswith("no portway server is running")
    assert outcome.out.endswith("; it is none of portway's.\n")


def test_without_a_server_a_listener_is_asked_all_the_same(
    run: Run, left: list[int], listener: socket.socket
) -> None:
    outcome = run("why", f":{listener.getsockname()[1]}")
    assert outcome.code == 1
    assert "still serves shop/web" in outcome.out
    assert "it accepts connections" in outcome.out


def test_without_a_server_a_name_that_does_not_resolve_is_told(run: Run) -> None:
    outcome = run("why", "http://nosuch.invalid/")
    assert outcome.code == 1
    assert "BROKEN: nosuch.invalid means no address: it does not resolve" in outcome.out
