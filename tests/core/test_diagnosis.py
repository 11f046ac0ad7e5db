"""Broken set-ups, each with the very sentence that names it; the facts are made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import (
    App,
    CheckKind,
    Exposure,
    HealthCheck,
    ListenerProtocol,
    ListenerSpec,
    PortSpec,
)
from portway.core.diagnosis import diagnose_app, listener_place, most_telling
from portway.core.facts import (
    Answer,
    AppFacts,
    CertificateFacts,
    Diagnosis,
    Inside,
    InstanceFacts,
    ListenerFacts,
    Listening,
    Reached,
    Verdict,
)
from portway.core.health import Health, HealthStatus
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedInstance,
    Phase,
)
from portway.core.observed import StartFailure
from portway.core.routes import EndpointState, RouteKey, ServedEndpoint, ServedRoute
from portway.core.state import AppState, Deployment, DeploymentStatus, Failure, Revision

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
KEY = RouteKey(address="", service_port=8000)
SPEC = PortSpec(name="80", container_port=80, service_ports=(8000,))
CHECK = HealthCheck(kind=CheckKind.HTTP, path="/healthz", start_period_s=30, interval_s=5)
REVISION = Revision(
    id="R1", release="R1", app=App(id="shop/web", ports=(SPEC,), health=CHECK, image="web")
)
PASSING = Health(status=HealthStatus.PASSING, passes=3, detail="HTTP 200 from /healthz")
UP = Answer(reached=Reached.CONNECTED, speaks="http", status=200, took_ms=3)
REFUSED = Answer(reached=Reached.REFUSED)


def record(serial: int = 7, *, phase: Phase = Phase.READY, **fields: Any) -> InstanceRecord:
    identity = InstanceIdentity(
        id=f"shop/web.1.{serial}",
        app_id="shop/web",
        slot=1,
        serial=serial,
        revision="R1",
        release="R1",
        node="local",
    )
    times = {"planned_at_ms": NOW_MS - 60_000, "started_at_ms": NOW_MS - 60_000}
    return InstanceRecord(identity=identity, phase=phase, **{**times, **fields})


def inside(*listeners: Listening, **fields: Any) -> Inside:
    found = listeners or (Listening(port_number=80, address="0.0.0.0"),)
    given = {"listeners": found, "answer": UP, "expects": "http", **fields}
    where = {"address": "172.18.0.2", "port_number": 80, "label_number": 8000}
    return Inside(name="web", is_container=True, **where, **given)


def instance(one: InstanceRecord | None = None, **fields: Any) -> InstanceFacts:
    one = one or record()
    seen = ObservedInstance(identity=one.identity, state=EngineState.RUNNING, address="172.18.0.2")
    return InstanceFacts(
        **{"record": one, "seen": seen, "health": PASSING, "inside": inside(), **fields}
    )


def served(*ids: str, state: EndpointState = EndpointState.READY) -> ServedRoute:
    endpoints = tuple(
        ServedEndpoint(
            instance_id=one, address="172.18.0.2", port_number=80, state=state, connections=0
        )
        for one in ids
    )
    return ServedRoute(key=KEY, owner="shop/web", port_name="80", endpoints=endpoints)


def listener(**fields: Any) -> ListenerFacts:
    url = "http://127.0.0.1:8000/"
    given = {"key": KEY, "spec": SPEC, "where": "*:8000", "url": url, "answer": UP}
    return ListenerFacts(**{**given, "served": served("shop/web.1.7"), **fields})


def state(**fields: Any) -> AppState:
    revisions = {"R1": REVISION}
    return AppState(**{"app_id": "shop/web", "target": REVISION, "revisions": revisions, **fields})


def facts(*instances: InstanceFacts, **fields: Any) -> AppFacts:
    given = {"subject": "web", "now_ms": NOW_MS, "balancer": "HAProxy", "listeners": (listener(),)}
    live = tuple(one.record for one in instances)
    made = {"state": state(instances=live), "instances": instances}
    return AppFacts(**{**given, **made, **fields})


EMPTY = listener(served=served(), answer=replace(UP, status=503))


def unwell(detail: str, *, status: HealthStatus = HealthStatus.FAILING, **fields: Any) -> AppFacts:
    health = Health(status=status, failures=12, detail=detail)
    return facts(instance(record(), health=health, **fields), listeners=(EMPTY,))


def starting(detail: str, *, age_s: int = 60, **fields: Any) -> AppFacts:
    one = record(phase=Phase.STARTED, started_at_ms=NOW_MS - age_s * 1000)
    health = Health(failures=9, detail=detail)
    return facts(instance(one, health=health, **fields), listeners=(EMPTY,))


def test_what_works_is_said_with_its_answer():
    found = diagnose_app(facts(instance()))
    assert (found.verdict, found.fix) == (Verdict.OK, "")
    assert found.sentence == "web answers: HTTP 200 in 3 ms through http://127.0.0.1:8000/"
    assert "finds out what its clients speak, for web:8000" in found.hops[3].text
    assert " ".join(hop.name for hop in found.hops) == (
        "portway name listener rule backend server path inside health answer"
    )


BROKEN = {
    "Docker does not answer": (
        facts(instance(), problems={"engine": "Docker does not answer at its socket.\n  Start it."}),
        "portway's engine is in trouble, so nothing can be changed: "
        "Docker does not answer at its socket; start it",
    ),
    "HAProxy does not answer": (
        facts(instance(), problems={"balancer": "the balancer does not answer"}),
        "portway's balancer is in trouble, so nothing can be changed: the balancer does not answer; "
        "portway starts it again by itself; if it stays so, see the server's log and `portway doctor`",
    ),
    "the disk is full": (
        facts(instance(), problems={"store": "the disk of the home is full.\n  Make room."}),
        "portway's store is in trouble, so nothing can be changed: the disk of the home is full; "
        "make room",
    ),
    "it is being deleted": (
        facts(instance(), deleting=True),
        "web is being deleted with the stack shop; wait until it is gone, then `portway deploy` "
        "again (`portway events -a shop`)",
    ),
    "it is scaled to 0": (
        facts(state=state(count=0), listeners=(EMPTY,)),
        "web is scaled to 0, so nothing of it runs; `portway scale web=1 -a shop` starts one",
    ),
    "what it depends on is not there": (
        facts(waiting_for="it waits for db to be healthy", listeners=(EMPTY,)),
        "web is not started: it waits for db to be healthy; "
        "`portway why db -a shop` says what keeps db",
    ),
    "no host port is left": (
        facts(
            blocked=("no host port is free: of 31000-31001 2 leased; widen the range with --host-ports",),
            listeners=(EMPTY,),
        ),
        "web cannot start: no host port is free: of 31000-31001 2 leased; "
        "widen the range with --host-ports",
    ),
    "its fixed host port is taken": (
        facts(
            blocked=(
                "host port 8080 on node local is held by nginx (pid 3); stop that program or choose another host port",
            ),
            listeners=(EMPTY,),
        ),
        "web cannot start: host port 8080 on node local is held by nginx (pid 3); "
        "stop that program or choose another host port",
    ),
    "the first deployment failed": (
        facts(
            state=state(
                halted="the first deployment failed, so nothing more is started: "
                "3 instances failed; the last one: it exited with code 7\n    no database"
            ),
            listeners=(EMPTY,),
        ),
        "web could not be deployed: 3 instances failed; the last one: it exited with code 7; "
        "mend it and `portway deploy` again",
    ),
    "its deployment is paused": (
        facts(
            state=state(
                deployment=Deployment(
                    id="D1", to_revision="R1", started_at_ms=1, progressed_at_ms=1, paused_at_ms=2
                )
            ),
            listeners=(EMPTY,),
        ),
        "the deployment of web is paused, so nothing of it starts; "
        "`portway resume -a shop` lets it go on",
    ),
    "it exits again and again": (
        facts(
            state=state(
                failures=tuple(
                    Failure(at_ms=n, instance_id=f"shop/web.1.{n}", revision="R1", reason=reason)
                    for n, reason in ((1, "it exited with code 7"), (2, "it exited with code 7\n  x"))
                )
            ),
            blocked=("the next try is in 4 s, after: it exited with code 7",),
            listeners=(EMPTY,),
        ),
        "web ends again and again, 2 times so far; the last, web.1.2 ended: it exited with code 7; "
        "mend it and `portway deploy` again",
    ),
    "it was killed for its memory": (
        facts(
            instance(
                seen=ObservedInstance(
                    identity=record().identity, state=EngineState.EXITED, oom_killed=True
                ),
                inside=None,
            ),
            listeners=(EMPTY,),
        ),
        "web.1.7 was killed because it used more memory than its limit; "
        "it is replaced by itself",
    ),
    "its image is missing": (
        facts(
            instance(
                record(phase=Phase.PLANNED),
                seen=None,
                inside=None,
                health=Health(),
                start_failure=StartFailure(
                    at_ms=1, reason="the image web:2 is not on this machine\n  Pull it."
                ),
            ),
            listeners=(EMPTY,),
        ),
        "web.1.7 cannot be started: the image web:2 is not on this machine; pull it",
    ),
    "another program has its listener": (
        facts(instance(), listeners=(listener(served=None, answer=None, holder="nginx (pid 3)"),)),
        "web's listener *:8000 is not portway's: nginx (pid 3) has it; "
        "stop that program, or choose another listener",
    ),
    "its listener was refused": (
        facts(
            instance(),
            listeners=(
                listener(
                    served=None,
                    answer=None,
                    error="Port 8000 on 10.0.0.9 cannot be listened on: this machine has no address 10.0.0.9.",
                    error_fix="Use one of its addresses (`ip address` lists them).",
                ),
            ),
        ),
        "Port 8000 on 10.0.0.9 cannot be listened on: this machine has no address 10.0.0.9; "
        "use one of its addresses (`ip address` lists them)",
    ),
    "its certificate has expired": (
        facts(
            instance(),
            listeners=(
                listener(
                    certificates=(
                        CertificateFacts(domains=("shop.test",), expires_at_ms=NOW_MS - 3 * DAY_MS),
                    )
                ),
            ),
        ),
        "the certificate of *:8000 (shop.test) expired 3 days ago; "
        "`portway ssl update web:8000 CERT KEY -a shop` replaces it, live",
    ),
    "its check finds nothing": (
        unwell("HTTP 404 from /healthz"),
        "web.1.7 has nothing at /healthz, where its health is asked (HTTP 404); "
        "correct portway.health.path, or let the app answer there",
    ),
    "its check is answered with an error": (
        unwell("HTTP 500 from /healthz"),
        "web.1.7 answers its health check with HTTP 500 from /healthz (wanted: 200-399); "
        "see its last lines below",
    ),
    "its check is not answered in time": (
        unwell("no answer from 172.18.0.2:80 within 3 s"),
        "web.1.7 gives its health check no answer from 172.18.0.2:80 within 3 s; "
        "make /healthz faster, or raise healthcheck.timeout (portway.health.timeout)",
    ),
    "it accepts connections and answers none of its checks": (
        starting("no answer from 172.18.0.2:80 within 3 s", age_s=4),
        "web.1.7 gives its health check no answer from 172.18.0.2:80 within 3 s; "
        "make /healthz faster, or raise healthcheck.timeout (portway.health.timeout)",
    ),
    "its health command fails": (
        unwell("the health command exited with 1: no"),
        "web.1.7 fails its check: the health command exited with 1: no; "
        "run it by hand: `portway exec` with that command",
    ),
    "it speaks TLS where HTTP is asked": (
        starting("the answer from / is not HTTP", inside=inside(answer=replace(UP, speaks="https"))),
        "web speaks TLS on 80 inside its container, and it is asked in plain HTTP; set the label "
        'portway.port.8000.secure: "true", or let it speak plain HTTP there',
    ),
    "it listens on its loopback": (
        starting(
            "nothing listens on 172.18.0.2:80 (connection refused)",
            inside=inside(Listening(port_number=9090, address="127.0.0.1"), answer=REFUSED),
        ),
        "web listens on 127.0.0.1:9090 inside its container; make it listen on 0.0.0.0:80, or map "
        "9090 (the right number of its port in the manifest) and make it listen there on 0.0.0.0",
    ),
    "it has not opened its port yet": (
        starting("nothing listens on 172.18.0.2:80 (connection refused)", age_s=4,
                 inside=replace(inside(answer=REFUSED), listeners=())),
        "web.1.7 has run for 4 s and is not healthy yet "
        "(nothing listens on 172.18.0.2:80 (connection refused)); "
        "wait, it has 36 s left; if it needs longer, raise healthcheck.start_period",
    ),
    "it never opens its port": (
        starting("nothing listens on 172.18.0.2:80 (connection refused)", age_s=31,
                 inside=replace(inside(answer=REFUSED), listeners=())),
        "web listens on no TCP port inside its container; make it listen on 0.0.0.0:80",
    ),
    "it drains": (
        facts(
            instance(record(phase=Phase.DRAINING, reason="stopped by the user")),
            instance="shop/web.1.7",
        ),
        "web.1.7 is draining: stopped by the user; "
        "its replacement is started by itself; `portway ps` shows it",
    ),
    "it was stopped by hand": (
        facts(
            instance(
                record(
                    phase=Phase.GONE,
                    reason="it exited with code 137 (SIGKILL: it was killed)\n  bye",
                ),
                seen=None,
                inside=None,
            ),
            instance="shop/web.1.7",
        ),
        "web.1.7 is gone: it exited with code 137 (SIGKILL: it was killed); "
        "its replacement is started by itself; `portway ps` shows it",
    ),
    "HAProxy does not have it": (
        facts(instance(), listeners=(EMPTY,)),
        "web.1.7 is healthy, and HAProxy does not have it behind *:8000; "
        "portway tells it again; see `portway events -f`",
    ),
    "portway gave it up": (
        facts(instance(), problems={"shop/web": "planning this app failed inside portway; see the log"}),
        "portway no longer looks after web: planning this app failed inside portway; see the log; "
        "restart the server (`portway server stop`, then start) and report it; what runs goes on",
    ),
    "the app itself answers with an error": (
        facts(instance(), listeners=(listener(answer=replace(UP, status=502)),)),
        "http://127.0.0.1:8000/ answers HTTP 502; that is the app's own answer; see its log",
    ),
    "the firewall is between": (
        facts(instance(), listeners=(listener(answer=Answer(reached=Reached.TIMEOUT)),)),
        "http://127.0.0.1:8000/ cannot be reached from this machine (timeout); "
        "look at the firewall: `portway doctor`",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_each_broken_set_up_is_named_by_its_sentence(given: AppFacts, sentence: str):
    found = diagnose_app(given)
    assert found.verdict is Verdict.BROKEN
    assert found.sentence == sentence


def test_the_sentence_is_that_of_a_hop_of_the_walk():
    for given, _ in BROKEN.values():
        found = diagnose_app(given)
        assert any(
            found.sentence.startswith(hop.text) and hop.fix == found.fix for hop in found.hops
        )


def test_one_of_several_that_is_taken_out_is_named_though_the_others_answer():
    failing = Health(status=HealthStatus.FAILING, failures=4, detail="HTTP 500 from /healthz")
    found = diagnose_app(
        facts(
            instance(record(7)),
            instance(record(8), health=failing),
            state=state(count=2, instances=(record(7), record(8))),
        )
    )
    assert found.sentence.startswith("web.1.8 answers its health check with HTTP 500")
    texts = {hop.name: hop.text for hop in found.hops}
    assert texts["backend"] == "*:8000 has 1 of 2 servers; the others get no traffic"
    assert texts["server"] == "web.1.8 is taken out of the routes while it fails its check"


def test_the_last_lines_of_a_log_are_part_of_the_walk():
    found = diagnose_app(facts(instance(last_lines=tuple(f"line {n}" for n in range(20)))))
    log = next(hop for hop in found.hops if hop.name == "log")
    assert log.text.splitlines() == [f"line {n}" for n in range(12, 20)]


def test_a_failed_release_is_named_with_the_lines_kept_with_its_end():
    found = diagnose_app(BROKEN["the first deployment failed"][0])
    assert [hop.text for hop in found.hops if hop.name == "log"] == ["no database"]
    assert found.hops[1].text == "shop/web is in release R1, whose deployment did not end well"


def test_an_app_that_has_completed_is_well():
    done = record(phase=Phase.GONE, exit_code=0)
    found = diagnose_app(facts(state=state(instances=(done,)), listeners=()))
    assert (found.verdict, found.sentence) == (Verdict.OK, "web is well")
    assert "web has completed, as it is meant to" in texts_of(found)


def test_a_deployment_that_failed_and_was_taken_back_is_told_and_breaks_nothing():
    deployment = Deployment(
        id="D1", to_revision="R2", status=DeploymentStatus.FAILED, started_at_ms=1, progressed_at_ms=1,
        reason="it exited with code 1\n  bye",
    )  # fmt: skip
    found = diagnose_app(
        facts(instance(), state=state(instances=(record(),), deployment=deployment))
    )
    assert found.verdict is Verdict.OK
    assert "the last deployment failed and was taken back: it exited with code 1" in texts_of(found)


def test_a_listener_without_a_certificate_of_its_own_is_told_and_breaks_nothing():
    spec = replace(SPEC, listener=ListenerSpec(protocol=ListenerProtocol.HTTPS))
    found = diagnose_app(facts(instance(), listeners=(listener(spec=spec),)))
    assert found.verdict is Verdict.OK
    rule = next(hop for hop in found.hops if hop.name == "rule")
    assert rule.verdict is Verdict.UNKNOWN
    assert "has no certificate of its own" in rule.text


def test_the_instance_that_tells_most_is_looked_into():
    leaving = instance(record(1, phase=Phase.DRAINING))
    well = instance(record(2))
    new = instance(record(3, phase=Phase.STARTED))
    ill = instance(record(4), health=Health(status=HealthStatus.FAILING))
    assert most_telling([leaving, well, new, ill]) is ill
    assert most_telling([leaving, well, new]) is new
    assert most_telling([leaving, well]) is well
    assert most_telling([]) is None


def test_a_listener_is_written_as_people_write_it():
    assert listener_place("", 8000, exposure=Exposure.PUBLIC) == "*:8000"
    assert listener_place("::1", 80, exposure=Exposure.INTERNAL) == "[::1]:80 (internal)"


def texts_of(found: Diagnosis) -> list[str]:
    return [hop.text for hop in found.hops]


NOT_READY = Health(status=HealthStatus.FAILING, failures=3, detail="HTTP 503 from /ready")


def test_one_that_is_not_ready_is_named_with_its_answer():
    given = facts(instance(readiness=NOT_READY), listeners=(EMPTY,))
    found = diagnose_app(given)
    assert "web.1.7 is healthy but not ready (HTTP 503 from /ready), so it gets no requests" in found.sentence  # fmt: skip
    assert "portway.readiness" in found.sentence


def test_one_that_is_not_ready_and_served_for_want_of_a_better_one_is_no_fault():
    found = diagnose_app(facts(instance(readiness=NOT_READY)))
    assert any(
        "no other is better, so it is left in the routes" in text for text in texts_of(found)
    )
    assert found.verdict is not Verdict.BROKEN


def test_one_that_starts_and_is_not_ready_yet_says_what_it_waits_for():
    one = record(phase=Phase.STARTED)
    given = facts(instance(one, readiness=replace(NOT_READY, status=HealthStatus.UNKNOWN)), listeners=(EMPTY,))  # fmt: skip
    said = " ".join(texts_of(diagnose_app(given)))
    assert "web.1.7 is healthy and not ready yet (HTTP 503 from /ready)" in said
