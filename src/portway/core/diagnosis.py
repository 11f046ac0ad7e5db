"""Facts about an App -> the walk from its name to an answer, and the first broken hop in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from portway.core.app import CheckKind, Exposure
from portway.core.containers import waiting_for
from portway.core.diagnosis_groups import (
    answer_hops,
    answer_words,
    answered_through,
    is_unhealthy,
    target_hops,
    way_hops,
)
from portway.core.facts import (
    AppFacts,
    Diagnosis,
    Hop,
    InstanceFacts,
    ListenerFacts,
    Reached,
    Verdict,
)
from portway.core.health import HealthStatus, startup_deadline_ms, statuses_text
from portway.core.inside import inside_hops, sentence_of, with_port
from portway.core.instance import EngineState, InstanceRecord, Phase
from portway.core.lifecycle import has_completed
from portway.core.state import DeploymentStatus

LINES_SHOWN = 8
_YOUNG_MS = 30_000  # so long nobody wonders that nothing is open yet
_LEAVING = {Phase.DRAINING: "draining", Phase.STOPPING: "being stopped", Phase.GONE: "gone"}


def conclude(subject: str, hops: Sequence[Hop], *, fine: str) -> Diagnosis:
    """The first broken hop names the fault; without one, one that is held up; without either all is fine."""
    fault = next((hop for hop in hops if hop.verdict is Verdict.BROKEN), None)
    held = [hop for hop in hops if hop.verdict is Verdict.HELD]
    if fault is None and held:
        fault = min(held, key=lambda hop: hop.name not in _TELLING)
    return Diagnosis(
        subject=subject,
        verdict=Verdict.BROKEN if fault else Verdict.OK,
        sentence=sentence_of(fault) if fault else fine,
        fix=fault.fix if fault else "",
        hops=tuple(hops),
    )


_TELLING = ("server", "target", "health")  # of the hops that are held up, those that say by what


def diagnose_app(facts: AppFacts) -> Diagnosis:
    """Walk an App, or one instance of it, from its name to its answer."""
    hops = [hop for step in _STEPS for hop in step(facts)]
    return conclude(facts.subject, hops, fine=_fine(facts))


def _fine(facts: AppFacts) -> str:
    for listener in facts.listeners:
        if listener.answer is not None and listener.url:
            return f"{facts.name} answers: {answer_words(listener.answer)} through {listener.url}"
    if through := answered_through(facts.groups):
        return f"{facts.name} answers: {through}"
    shown = _chosen(facts)
    health = f": {shown.health.detail}" if shown and shown.health.detail else ""
    return f"{facts.instance.rpartition('/')[2] or facts.name} is well{health}"


def _portway(facts: AppFacts) -> Iterable[Hop]:
    for part in ("store", "engine", "balancer"):
        problem, _, fix = facts.problems.get(part, "").partition("\n")
        if problem:
            text = f"portway's {part} is in trouble, so nothing can be changed: {_bare(problem)}"
            yield _broken("portway", text, _bare(fix) or _PART_FIXES[part])
    if bug := facts.problems.get(facts.state.app_id):
        yield _broken(
            "portway", f"portway no longer looks after {facts.name}: {_bare(bug)}", _BUG_FIX
        )
    if not facts.problems:
        yield _ok("portway", "the server, its store, engine and balancer work")


_BUG_FIX = "restart the server (`portway server stop`, then start) and report it; what runs goes on"
_PART_FIXES = {
    "store": "make room on the disk and see that the home can be written; `portway doctor` looks",
    "engine": "see that it runs (`systemctl status docker`, `portway doctor`); what runs goes on being served",
    "balancer": "portway starts it again by itself; if it stays so, see the server's log and `portway doctor`",
}


def _name(facts: AppFacts) -> Iterable[Hop]:
    state, name = facts.state, facts.name
    if facts.deleting or state.target is None:
        fix = f"wait until it is gone, then `portway deploy` again (`portway events -a {facts.stack}`)"
        yield _broken("name", f"{name} is being deleted with the stack {facts.stack}", fix)
    elif state.leaving:
        fix = "put it back into the manifest and deploy"
        yield _broken("name", f"{name} is not in the release being deployed, so it goes", fix)
    elif state.count == 0:
        fix = f"`portway scale {name}=1 -a {facts.stack}` starts one"
        yield _broken("name", f"{name} is scaled to 0, so nothing of it runs", fix)
    else:
        how = (
            "in release {}, whose deployment did not end well"
            if state.halted
            else "deployed, release {}"
        )
        yield _ok("name", f"{state.app_id} is {how.format(state.target.release)}")


def _deploy(facts: AppFacts) -> Iterable[Hop]:
    state, name = facts.state, facts.name
    deployment = state.deployment
    if state.halted and not state.live:
        reason = _bare(state.halted).removeprefix(_HALTED).removeprefix(_NOT_STARTED)
        fix = "mend it and `portway deploy` again"
        yield _broken("deploy", f"{name} could not be deployed: {reason}", fix)
    elif facts.waiting_for and not _started(facts):
        other = facts.waiting_for.split()[3].rstrip(",")
        yield _broken(
            "deploy",
            f"{name} is not started: {facts.waiting_for}",
            f"`portway why {other} -a {facts.stack}` says what keeps {other}",
        )
    elif facts.blocked and not _started(facts) and not facts.problems:
        yield _blocked(facts, facts.blocked[0])
    elif deployment is not None and deployment.status is DeploymentStatus.FAILED:
        reason = _bare(deployment.reason)
        yield _ok("deploy", f"the last deployment failed and was taken back: {reason}")
    elif deployment is not None and deployment.status is DeploymentStatus.RUNNING:
        yield from _under_way(facts, is_paused=deployment.paused_at_ms is not None)


def _under_way(facts: AppFacts, *, is_paused: bool) -> Iterable[Hop]:
    if not is_paused:
        yield _ok("deploy", "a deployment is under way")
    elif _started(facts):
        yield _ok("deploy", "a deployment is paused: nothing starts and nothing leaves")
    else:
        text = f"the deployment of {facts.name} is paused, so nothing of it starts"
        yield _broken("deploy", text, f"`portway resume -a {facts.stack}` lets it go on")


_HALTED = "the first deployment failed, so nothing more is started: "
_NOT_STARTED = "not started: "


def _blocked(facts: AppFacts, reason: str) -> Hop:
    if facts.state.failures and reason.startswith(_NEXT_TRY):
        return _held("deploy", _bare(reason).partition(", after:")[0], _LOOK)
    text, _, fix = _bare(reason).partition("; ")
    return _broken("deploy", f"{facts.name} cannot start: {text}", fix)


_NEXT_TRY = "the next try is in"


def _started(facts: AppFacts) -> bool:
    return any(i.record.phase in (Phase.STARTED, Phase.READY) for i in facts.instances)


def _listener(facts: AppFacts) -> Iterable[Hop]:
    for one in facts.listeners:
        if one.error:
            yield _broken("listener", _bare(one.error), _bare(one.error_fix))
        elif one.holder:
            text = f"{facts.name}'s listener {one.where} is not portway's: {one.holder} has it"
            yield _broken("listener", text, "stop that program, or choose another listener")
        elif one.served is None and facts.problems.get("balancer"):
            yield _unknown("listener", f"{one.where}: {facts.balancer} was not read")
        elif one.served is None:
            text = f"{facts.balancer} does not listen on {one.where} for {facts.name}"
            yield _broken("listener", text, "portway tries again; see `portway events -f`")
        else:
            yield _ok("listener", f"{facts.balancer} listens on {one.where}")


def _rule(facts: AppFacts) -> Iterable[Hop]:
    for one in facts.listeners:
        protocol = one.spec.listener.protocol
        target = f"{facts.name}:{one.key.service_port}"
        if protocol in ("https", "tls") and not one.certificates:
            text = f"{one.where} terminates TLS and has no certificate of its own"
            fix = f"`portway ssl update {target} CERT KEY -a {facts.stack}` gives it one"
            yield _unknown("rule", f"{text}: portway's own, which nobody trusts, is shown", fix)
            continue
        expired = [c for c in one.certificates if c.expires_at_ms <= facts.now_ms]
        if expired:
            days = (facts.now_ms - expired[0].expires_at_ms) // 86_400_000
            text = f"the certificate of {one.where} ({', '.join(expired[0].domains)}) expired {days} days ago"
            fix = f"`portway ssl update {target} CERT KEY -a {facts.stack}` replaces it, live"
            yield _broken("rule", text, fix)
            continue
        tls = ", TLS ends here" if one.terminates_tls else ""
        auto = "finds out what its clients speak"
        speaks = auto if protocol.value == "auto" else f"speaks {protocol.value}"
        yield _ok("rule", f"{one.where} {speaks}{tls}, for {target}")


def _backend(facts: AppFacts) -> Iterable[Hop]:
    live = [i for i in facts.instances if i.record.phase < Phase.DRAINING]
    for one in facts.listeners:
        if one.served is None:
            continue
        serving = {e.instance_id for e in one.served.endpoints if e.state == "ready"}
        said = f"{one.where} has {len(serving)} of {facts.state.count} servers"
        if not serving:
            yield _held("backend", f"{facts.name} has no server behind {one.where}", _LOOK)
        elif len(serving) < min(facts.state.count, len(live)):
            yield _held("backend", f"{said}; the others get no traffic", _LOOK)
        else:
            yield _ok("backend", said)


_LOOK = "`portway ps` and `portway events -f` show what becomes of it"


def _instance(facts: AppFacts) -> Iterable[Hop]:
    shown = _chosen(facts)
    if shown is None:
        yield from _nothing_runs(facts)
        return
    others = sum(1 for i in facts.instances if i.record.phase < Phase.GONE) - 1
    hop = _state_hop(facts, shown)
    more = f" ({others} more of {facts.name})" if others > 0 and hop.verdict is Verdict.OK else ""
    yield Hop(name=hop.name, verdict=hop.verdict, text=hop.text + more, fix=hop.fix)
    if shown.inside is not None and shown.record.phase < Phase.DRAINING:
        for inner in inside_hops(shown.inside):
            # What has not opened a port yet, and still has time to, is not broken.
            early = _is_early(facts, shown) and inner.verdict is Verdict.BROKEN
            yield replace(inner, verdict=Verdict.HELD) if early else inner
    yield from target_hops(facts.groups, shown.record.id)
    if not is_unhealthy(facts.groups, shown.record.id):
        yield from _health(facts, shown)


def _is_early(facts: AppFacts, shown: InstanceFacts) -> bool:
    starting = shown.record.phase is Phase.STARTED
    silent = shown.inside is not None and shown.inside.listeners == ()
    young = facts.now_ms - _since_ms(facts, shown) < _YOUNG_MS
    return starting and silent and young and shown.health.status is not HealthStatus.FAILING


def _since_ms(facts: AppFacts, shown: InstanceFacts) -> int:
    told_ms = shown.seen.started_at_ms if shown.seen else None
    return told_ms or shown.record.started_at_ms or facts.now_ms


def _nothing_runs(facts: AppFacts) -> Iterable[Hop]:
    if any(has_completed(r) for r in facts.state.instances):
        yield _ok("server", f"{facts.name} has completed, as it is meant to")
        return
    if facts.state.failures and facts.state.count and facts.state.target is not None:
        last, count = facts.state.failures[-1], len(facts.state.failures)
        text = f"{_short(last.instance_id)} ended: {_bare(last.reason)}"
        if count > 1:
            text = f"{facts.name} ends again and again, {count} times so far; the last, {text}"
        yield _broken("server", text, "mend it and `portway deploy` again")
    elif facts.state.count:
        yield _held("server", f"no instance of {facts.name} runs yet", _LOOK)


def _state_hop(facts: AppFacts, shown: InstanceFacts) -> Hop:
    record, short = shown.record, _short(shown.record.id)
    if record.phase in _LEAVING:
        why = f": {_bare(record.reason)}" if record.reason else ""
        fix = "its replacement is started by itself; `portway ps` shows it"
        return _broken("server", f"{short} is {_LEAVING[record.phase]}{why}", fix)
    if shown.start_failure is not None and record.phase is Phase.PLANNED:
        reason, _, fix = shown.start_failure.reason.partition("\n")
        return _broken("server", f"{short} cannot be started: {_bare(reason)}", _bare(fix))
    if shown.seen is not None and shown.seen.state is EngineState.EXITED:
        return _broken("server", _ended(shown), "it is replaced by itself")
    if record.phase is Phase.PLANNED:
        revision = facts.state.revisions.get(record.identity.revision)
        held = shown.seen.containers if shown.seen else ()
        if held and revision and (why := waiting_for(revision.app, held)):
            fix = "`portway logs` shows what that container says, `portway ps` its health"
            return _held("server", f"{short} is not whole yet: {why}", fix)
        return _held("server", f"{short} is about to be started", _LOOK)
    if record.phase is Phase.STARTED:
        return _starting(facts, shown)
    return _ready(facts, shown)


_UNREADY = "make its readiness check pass (portway.readiness.*); see its last lines below"


def _ended(shown: InstanceFacts) -> str:
    seen, short = shown.seen, _short(shown.record.id)
    assert seen is not None
    who = f"the container {seen.failed_container} of {short}" if seen.failed_container else short
    if seen.oom_killed:
        return f"{who} was killed because it used more memory than its limit"
    return f"{who} ended with exit code {seen.exit_code}"


def _starting(facts: AppFacts, shown: InstanceFacts) -> Hop:
    record, short = shown.record, _short(shown.record.id)
    if shown.health.status is HealthStatus.PASSING and shown.readiness is not None:
        text = f"{short} is healthy and not ready yet ({_bare(shown.readiness.detail)})"
        return _held("server", text, _UNREADY)
    revision = facts.state.revisions.get(record.identity.revision)
    since_ms = _since_ms(facts, shown)
    text = f"{short} has run for {(facts.now_ms - since_ms) // 1000} s and is not healthy yet"
    if shown.health.detail:
        text += f" ({_bare(shown.health.detail)})"
    if revision is None:
        return _held("server", text, _LOOK)
    left_s = (
        startup_deadline_ms(revision.app.health, started_at_ms=since_ms) - facts.now_ms
    ) // 1000
    wait = f"wait, it has {left_s} s left" if left_s > 0 else "its time is over, it is replaced"
    return _held("server", text, f"{wait}; if it needs longer, raise healthcheck.start_period")


def _ready(facts: AppFacts, shown: InstanceFacts) -> Hop:
    short, failing = _short(shown.record.id), shown.health.status is HealthStatus.FAILING
    routes = [one for one in facts.listeners if one.served is not None]
    without = [one.where for one in routes if not _serves(one, shown.record)]
    if failing and without:
        return _held(
            "server", f"{short} is taken out of the routes while it fails its check", _LOOK
        )
    if failing:
        text = f"{short} fails its check as all the others do, so it is left in the routes"
        return _ok("server", text)
    unready = shown.readiness is not None and shown.readiness.status is HealthStatus.FAILING
    if shown.readiness is not None and unready:
        said = f"{short} is healthy but not ready ({_bare(shown.readiness.detail)})"
        if without:
            return _broken("server", f"{said}, so it gets no requests", _UNREADY)
        return _ok("server", f"{said}; no other is better, so it is left in the routes")
    if without and len(without) == len(routes):
        text = f"{short} is healthy, and {facts.balancer} does not have it behind {without[0]}"
        return _broken("server", text, "portway tells it again; see `portway events -f`")
    return _ok("server", f"{short} is ready" + (f" in {facts.balancer}" if routes else ""))


def _serves(listener: ListenerFacts, record: InstanceRecord) -> bool:
    served = listener.served
    return served is not None and any(
        e.instance_id == record.id and e.state == "ready" for e in served.endpoints
    )


def _balanced(facts: AppFacts) -> Iterable[Hop]:
    """Through load balancers. No packet is stopped by a lacking rule, but they act as if one were."""
    yield from way_hops(facts.groups)
    for missing in facts.barred[:1]:  # of many instances each has its own number
        told, _, fix = missing.partition("; ")
        yield _broken("network", f"{told}, so its targets time out", f"{fix} ({_EC2})")


_EC2 = "by `aws ec2`, or whatever made the rules"


def _health(facts: AppFacts, shown: InstanceFacts) -> Iterable[Hop]:
    health, short = shown.health, _short(shown.record.id)
    detail = _bare(health.detail)
    if shown.record.phase >= Phase.DRAINING or not detail:
        return
    if health.status is HealthStatus.PASSING and not health.failures:
        yield _ok("health", detail)
    elif not health.failures:
        yield _unknown("health", detail)
    else:
        text, fix = _failing(facts, shown, detail)
        broken = health.status is HealthStatus.FAILING or _answered(shown)
        yield (_broken if broken else _held)("health", f"{short} {text}", fix)


def _answered(shown: InstanceFacts) -> bool:
    """Whether the instance is up and its answer is what is wrong."""
    if shown.health.detail.startswith("no answer from"):
        answer = shown.inside.answer if shown.inside else None
        return answer is not None and answer.reached is Reached.CONNECTED
    return shown.health.detail.startswith(("HTTP ", "the answer", "the health command"))


def _failing(facts: AppFacts, shown: InstanceFacts, detail: str) -> tuple[str, str]:
    revision = facts.state.revisions.get(shown.record.identity.revision)
    check = revision.app.health if revision else None
    path = check.path if check else "/"
    if detail.startswith("HTTP 404"):
        text = f"has nothing at {path}, where its health is asked (HTTP 404)"
        return text, "correct portway.health.path, or let the app answer there"
    if detail.startswith("HTTP "):
        wanted = f" (wanted: {statuses_text(check.statuses)})" if check else ""
        return f"answers its health check with {detail}{wanted}", "see its last lines below"
    if detail.startswith("no answer from"):
        fix = f"make {path} faster, or raise healthcheck.timeout (portway.health.timeout)"
        if check and check.kind is CheckKind.TCP:
            fix = "see the hop above; nothing came back at all"
        return f"gives its health check {detail}", fix
    if "health command" in detail:
        return f"fails its check: {detail}", "run it by hand: `portway exec` with that command"
    return f"fails its health check: {detail}", "see its last lines below"


def _logs(facts: AppFacts) -> Iterable[Hop]:
    shown = _chosen(facts)
    lines = shown.last_lines if shown else ()
    if not lines:
        reason = facts.state.halted or (
            facts.state.failures[-1].reason if facts.state.failures else ""
        )
        lines = tuple(line.strip() for line in reason.split("\n")[1:]) if shown is None else ()
    if lines:
        yield _ok("log", "\n".join(lines[-LINES_SHOWN:]))


def _answer(facts: AppFacts) -> Iterable[Hop]:
    for one in facts.listeners:
        if one.answer is None:
            continue
        if one.answer.reached is not Reached.CONNECTED:
            text = f"{one.url} cannot be reached from this machine ({one.answer.reached.value})"
            yield _broken("answer", text, "look at the firewall: `portway doctor`")
        elif one.answer.status == 503 and one.served and not one.served.endpoints:
            yield _held("answer", f"{one.url} answers HTTP 503: no server is behind it", _LOOK)
        elif one.answer.status is not None and one.answer.status >= 500:
            text = f"{one.url} answers HTTP {one.answer.status}"
            yield _broken("answer", text, "that is the app's own answer; see its log")
        elif one.answer.detail:
            yield _broken("answer", f"{one.url}: {one.answer.detail}", "see the app's log")
        else:
            yield _ok("answer", f"{one.url} answers: {answer_words(one.answer)}")
    yield from answer_hops(facts.groups)


def _chosen(facts: AppFacts) -> InstanceFacts | None:
    """The instance to look into: the one asked for, else the one that tells most."""
    if facts.instance:
        return next((i for i in facts.instances if i.record.id == facts.instance), None)
    candidates = [i for i in facts.instances if i.record.phase < Phase.GONE]
    return min(candidates, key=_wellness, default=None)


def most_telling(candidates: Iterable[InstanceFacts]) -> InstanceFacts | None:
    """Of several instances the one that explains most: a failing one first, one that only leaves last."""
    return min(candidates, key=_wellness, default=None)


def _wellness(one: InstanceFacts) -> tuple[bool, int, int]:
    failing = one.health.status is HealthStatus.FAILING or one.start_failure is not None
    order = 0 if failing else 1 if one.record.phase < Phase.READY else 2
    return (one.record.phase >= Phase.DRAINING, order, one.record.identity.serial)


def listener_place(address: str, service_port: int, *, exposure: Exposure) -> str:
    """How people write a listener: "127.0.0.1:8000 (internal)", "*:8000"."""
    inner = " (internal)" if exposure is Exposure.INTERNAL else ""
    return f"{with_port(address or '*', service_port)}{inner}"


def _short(instance_id: str) -> str:
    return instance_id.rpartition("/")[2]


def _bare(text: str) -> str:
    return text.partition("\n")[0].strip().rstrip(".")


def _ok(name: str, text: str) -> Hop:
    return Hop(name=name, verdict=Verdict.OK, text=text)


def _held(name: str, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=Verdict.HELD, text=text, fix=fix)


def _broken(name: str, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=Verdict.BROKEN, text=text, fix=fix)


def _unknown(name: str, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=Verdict.UNKNOWN, text=text, fix=fix)


_STEPS = (
    _portway,
    _name,
    _deploy,
    _listener,
    _rule,
    _backend,
    _balanced,
    _instance,
    _logs,
    _answer,
)
