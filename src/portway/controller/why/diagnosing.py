"""`why`: what somebody names -> the facts about it, gathered at this moment -> core.diagnosis. Changes nothing.

It asks over the network only addresses of this machine and of its instances: a URL of another host is not fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from portway.config import Config
from portway.controller.balancing.judged import judged
from portway.controller.lookup import find_stack
from portway.controller.loop import Controller
from portway.controller.why.addresses import (
    bound_at,
    instance_at,
    lease_at,
    listener_at,
    ruled_at,
    told_balancer,
    told_lease,
    told_listener,
    told_own,
)
from portway.controller.why.asking import ask, is_of_this_machine, resolve
from portway.controller.why.balanced import group_facts, pool_facts, unheard_at
from portway.controller.why.inspecting import STREAM_PORTS, inspect
from portway.controller.world import World, short_id, unmet_dependency
from portway.core.app import ListenerProtocol, PortSpec
from portway.core.diagnosis import diagnose_app, listener_place, most_telling
from portway.core.diagnosis_address import Subject, diagnose_address, parse_subject
from portway.core.diagnosis_rules import diagnose_rules
from portway.core.errors import RequestError
from portway.core.facts import (
    AddressFacts,
    Answer,
    AppFacts,
    Bound,
    CertificateFacts,
    Diagnosis,
    InstanceFacts,
    ListenerFacts,
    Listening,
    OurPort,
    Verdict,
)
from portway.core.health import Health
from portway.core.inside import with_port
from portway.core.instance import EngineState, InstanceRecord, Phase
from portway.core.ports import LOOPBACK
from portway.core.routes import RouteKey
from portway.core.routing import is_routed, route_keys
from portway.core.state import AppState
from portway.core.suggest import did_you_mean

LISTENERS_MAX = 8  # of an App with a pool of a hundred, the first few tell as much
LOOK_TIMEOUT_S = 3.0
_PARTS = ("engine", "balancer", "store")
_STREAMS = (ListenerProtocol.TCP, ListenerProtocol.TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What was seen of portway itself when somebody asked: its balancer's name, and what ails it, by part."""

    balancer: str
    problems: Mapping[str, str]


class Diagnoses:
    """The part of PortwayOperations that says why."""

    controller: Controller
    config: Config

    async def why(self, subject: str, *, stack: str = "") -> Diagnosis:
        """Walk from a name to its answer; RequestError 404 for a name nobody knows."""
        wanted = parse_subject(subject)
        look = await self._look()
        if wanted.name:
            return await self._why_name(subject, wanted.name, stack, look)
        return await self._why_address(subject, wanted, look)

    async def _look(self) -> _Look:
        """Read the balancer back, but wait for it no longer than people wait for an answer."""
        world, name = self.controller.world, "HAProxy" if self._is_real else "the balancer"
        late: dict[str, str] = {}
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                await self.controller.observer.refresh_served()
        except TimeoutError:
            late["balancer"] = f"{name} does not answer within {LOOK_TIMEOUT_S:g} s"
        return _Look(balancer=name, problems={**world.problems, **late})

    async def _why_name(self, subject: str, name: str, stack: str, look: _Look) -> Diagnosis:
        world = self.controller.world
        given, _, short = name.rpartition("/")
        stack = given or stack
        if stack and name not in world.stacks:
            find_stack(world, stack)
        found = list(_named(world, stack, short))
        if not found and name in world.stacks:
            return await self._why_stack(subject, name, look)
        if not found:
            raise _unknown(world, name, stack)
        stacks = sorted({state.app_id.rpartition("/")[0] for state, _ in found})
        if len(stacks) > 1:
            raise RequestError(
                f'"{short}" is in {len(stacks)} stacks: {", ".join(stacks)}.',
                hint=f"Say which: `portway why {stacks[0]}/{short}`, or -a {stacks[0]}.",
            )
        state, instance = found[-1]
        return await self._why_app(subject, state, look, instance=instance)

    async def _why_stack(self, subject: str, stack: str, look: _Look) -> Diagnosis:
        """The first of its Apps that is not well; when all are, what each says."""
        all_fine: list[Diagnosis] = []
        for state in self.controller.world.of_stack(stack):
            diagnosis = await self._why_app(subject, state, look)
            if diagnosis.verdict is not Verdict.OK:
                return diagnosis
            all_fine.append(diagnosis)
        sentence = "; ".join(one.sentence for one in all_fine) or f"{stack} has no apps yet"
        hops = tuple(hop for one in all_fine for hop in one.hops)
        return Diagnosis(subject=subject, verdict=Verdict.OK, sentence=sentence, hops=hops)

    async def _why_app(
        self, subject: str, state: AppState, look: _Look, *, instance: str = "", asks: bool = True
    ) -> Diagnosis:
        world = self.controller.world
        stack = world.stacks.get(state.app_id.rpartition("/")[0])
        # Each may have to wait for somebody who does not answer.
        async with asyncio.TaskGroup() as group:
            listeners = group.create_task(self._listeners(state, asks=asks))
            instances = group.create_task(self._instances(state, instance))
            groups = group.create_task(
                group_facts(world, self.controller.balancing, state, asks=asks and self._is_real)
            )
        facts = AppFacts(
            subject=subject,
            state=state,
            now_ms=self.controller.clock.now_ms(),
            deleting=stack is None or stack.deleting,
            problems={k: v for k, v in look.problems.items() if k in (*_PARTS, state.app_id)},
            balancer=look.balancer,
            blocked=world.blocked.get(state.app_id, ()),
            waiting_for=unmet_dependency(world, state.target) if state.target else "",
            listeners=listeners.result(),
            instances=instances.result(),
            instance=instance,
            barred=await self.controller.balancing.barred_from(state.app_id),
            groups=groups.result(),
        )
        return diagnose_app(facts)

    async def _instances(self, state: AppState, wanted: str) -> tuple[InstanceFacts, ...]:
        world = judged(self.controller.world, self.controller.balancing, [state])
        seen = world.seen(state.app_id) or {}
        facts = [
            InstanceFacts(
                record=record,
                seen=seen.get(record.id),
                health=world.health.get(record.id, Health()),
                readiness=world.readiness.get(record.id),
                start_failure=world.start_failures.get(record.id),
            )
            for record in (state.instances if wanted else state.live)
        ]
        chosen = most_telling(f for f in facts if wanted in ("", f.record.id))
        return tuple([await self._looked_into(state, f) if f is chosen else f for f in facts])

    async def _looked_into(self, state: AppState, facts: InstanceFacts) -> InstanceFacts:
        record, seen = facts.record, facts.seen
        if seen is None:
            lines = record.reason.split("\n")[1:]
            return replace(facts, last_lines=tuple(line.strip() for line in lines))
        inside = await inspect(state, record, seen) if self._is_real else None
        text = ""
        if seen.state is not EngineState.CREATED:
            text = await self.controller.observer.last_lines(record.id)
        return replace(facts, inside=inside, last_lines=tuple(text.splitlines()))

    @property
    def _is_real(self) -> bool:
        return self.controller.engine.traits.uses_host_kernel

    async def _listeners(self, state: AppState, *, asks: bool) -> tuple[ListenerFacts, ...]:
        specs = state.target.app.ports if state.target else ()
        wanted = [
            (spec, key)
            for spec in filter(is_routed, specs)
            for key, _ in route_keys(spec, state.service_ports)
        ]
        return tuple(
            [await self._listener(state, *one, asks=asks) for one in wanted[:LISTENERS_MAX]]
        )

    async def _listener(
        self, state: AppState, spec: PortSpec, key: RouteKey, *, asks: bool
    ) -> ListenerFacts:
        world = self.controller.world
        served = (world.served_by(state.app_id) or {}).get(key)
        error, _, fix = world.route_errors.get(state.app_id, "").partition("\n")
        certificates = tuple(
            CertificateFacts(
                domains=c.domains, expires_at_ms=c.expires_at_ms, self_signed=c.self_signed
            )
            for c in world.certificates.values()
            if c.target == f"{state.app_id}:{key.service_port}"
        )
        public = self.config.public_address.split(",")[0].strip()
        facts = ListenerFacts(
            key=key,
            spec=spec,
            where=listener_place(key.address or public, key.service_port, exposure=spec.exposure),
            url="",
            served=served,
            error=error if served is None else "",
            error_fix=fix.strip(),
            holder=await self._foreign_holder(key) if served is None and not error else "",
            certificates=certificates,
        )
        address = reachable_address(key.address or public)
        facts = replace(facts, url=_url(facts, address))
        has_servers = served is not None and bool(served.endpoints)
        if not (asks and has_servers and self._is_real):
            return facts
        return replace(facts, answer=await _ask_listener(facts, address))

    async def _foreign_holder(self, key: RouteKey) -> str:
        if not self._is_real or "balancer" in self.controller.world.problems:
            return ""
        bound = await self._bound(key.service_port)
        return next((one.holder for one in bound if not one.is_balancer), "")

    async def _bound(self, number: int) -> tuple[Bound, ...]:
        if self._is_real:
            directory = self.config.home / "haproxy"
            return await asyncio.to_thread(bound_at, number, balancer_directory=directory)
        keys = [key for routes in (self.controller.world.served or {}).values() for key in routes]
        return tuple(
            Bound(
                listening=Listening(port_number=number, address=reachable_address(key.address)),
                holder="the balancer in memory",
                is_balancer=True,
            )
            for key in keys
            if key.service_port == number
        )

    async def _why_address(self, subject: str, wanted: Subject, look: _Look) -> Diagnosis:
        world = self.controller.world
        host = wanted.host
        names = {state.app_id.rpartition("/")[2] for state in world.apps.values()}
        if not wanted.scheme and host in names:  # web:8000, as `portway ssl` writes a listener
            host = LOOPBACK
        addresses = await resolve(host)
        inner = instance_at(world, addresses[0]) if addresses else None
        if inner is not None:
            return await self._why_app(subject, inner[0], look, instance=inner[1].id)
        facts = AddressFacts(
            subject=subject,
            host=host,
            port_number=wanted.port_number,
            now_ms=self.controller.clock.now_ms(),
            scheme=wanted.scheme,
            path=wanted.path,
            addresses=addresses,
            is_local=bool(addresses) and all(map(is_of_this_machine, addresses)),
        )
        if not facts.is_local:
            return diagnose_address(facts)
        facts = replace(facts, bound=await self._bound(wanted.port_number))
        unheard = unheard_at(self.controller.balancing, addresses[0], wanted.port_number)
        facts = replace(facts, unheard=unheard)
        ours, app = await self._ours(facts, look)
        answer = await ask_address(facts) if self._is_real else None
        return diagnose_address(replace(facts, ours=ours, app=app, answer=answer))

    async def _ours(
        self, facts: AddressFacts, look: _Look
    ) -> tuple[OurPort | None, Diagnosis | None]:
        world, number = self.controller.world, facts.port_number
        if route := ruled_at(world, facts.addresses[0], number):
            pools = await pool_facts(self.controller.balancing, route)
            met = diagnose_rules(
                facts.subject, route, host=facts.host, path=facts.path, pools=pools
            )
            return told_balancer(route), met if facts.scheme in ("http", "https") else None
        if found := listener_at(world, facts.addresses[0], number):
            state, _, exposure = found
            app = await self._why_app(facts.subject, state, look, asks=False)
            return told_listener(state.app_id, exposure=exposure), app
        if held := lease_at(world, number):
            state, record, container_port = held
            app = await self._why_app(facts.subject, state, look, instance=record.id, asks=False)
            return told_lease(record.id, container_port), app
        return told_own(self.config.listen, number), None


async def ask_address(facts: AddressFacts) -> Answer | None:
    """Ask the first address as its scheme says; None where nobody is bound at all."""
    if not facts.bound:
        return None
    expects = {"http": "http", "https": "https", "tls": "https"}.get(facts.scheme, "")
    return await ask(
        facts.addresses[0],
        facts.port_number,
        expects=expects,
        path=facts.path or "/",
        host=facts.host,
    )


async def _ask_listener(facts: ListenerFacts, address: str) -> Answer:
    listener = facts.spec.listener
    is_stream = listener.protocol in _STREAMS or facts.spec.container_port in STREAM_PORTS
    expects = "" if is_stream else "https" if facts.terminates_tls else "http"
    answer = await ask(address, facts.key.service_port, expects=expects)
    if listener.protocol is ListenerProtocol.AUTO and answer.status is None:
        # It may speak anything there: that it is not HTTP is no fault.
        return replace(answer, detail="")
    return answer


def reachable_address(address: str) -> str:
    """Where this machine reaches a listener on `address`."""
    if address in ("", "*", "0.0.0.0"):  # noqa: S104
        return LOOPBACK
    return "::1" if address == "::" else address


def _url(facts: ListenerFacts, address: str) -> str:
    protocol = facts.spec.listener.protocol
    tls = facts.terminates_tls
    if protocol in _STREAMS or facts.spec.container_port in STREAM_PORTS:
        scheme = "tls" if tls else "tcp"
        return f"{scheme}://{with_port(address, facts.key.service_port)}"
    return f"{'https' if tls else 'http'}://{with_port(address, facts.key.service_port)}/"


def _named(world: World, stack: str, name: str) -> Iterable[tuple[AppState, str]]:
    """The Apps of that name, then the newest instance of it: (App, "" or the instance's id)."""
    states = world.of_stack(stack) if stack else tuple(world.apps.values())
    for state in states:
        if state.app_id.rpartition("/")[2] == name:
            yield state, ""
            continue
        called = [r for r in state.instances if _is_called(r, name)]
        if called:
            newest = max(called, key=lambda r: (r.phase is not Phase.GONE, r.identity.serial))
            yield state, newest.id


def _is_called(record: InstanceRecord, name: str) -> bool:
    short = short_id(record.id)
    return name in (short, short.rpartition(".")[0])


def _unknown(world: World, name: str, stack: str) -> RequestError:
    apps = [
        s.app_id.rpartition("/")[2]
        for s in (world.of_stack(stack) if stack else world.apps.values())
    ]
    instances = [short_id(r.id) for s in world.apps.values() for r in s.live]
    choices = {*apps, *instances, *world.apps, *world.stacks}
    where = f" in {stack}" if stack else ""
    return RequestError(
        f'there is nothing called "{name}"{where}.{did_you_mean(name, choices)}',
        hint="`portway apps` and `portway ps` list what there is; an address is written host:port.",
        http_status=404,
    )
