"""`portway why` while no server runs: what the balancer still serves, and who has a port of this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from portway.config import Config
from portway.controller.why.addresses import bound_at, told_listener
from portway.controller.why.asking import is_of_this_machine, resolve
from portway.controller.why.diagnosing import ask_address, reachable_address
from portway.core.app import Exposure
from portway.core.diagnosis import conclude
from portway.core.diagnosis_address import Subject, diagnose_address, parse_subject
from portway.core.facts import AddressFacts, Diagnosis, Hop, Verdict
from portway.core.inside import with_port
from portway.core.routes import Route

_START = "start it (`portway server start`): it takes over whatever runs"


def diagnose_without_server(subject: str, config: Config, *, now_ms: int) -> Diagnosis:
    """What can be said of it without a server; that none runs is said first."""
    from portway.assemble import still_serving

    wanted = parse_subject(subject)
    balancer_pid, routes = still_serving(config)
    if wanted.name:
        mine = [route for route in routes if _is_about(route, wanted.name)]
        return conclude(subject, [_absence(wanted.name, mine, balancer_pid)], fine="")
    facts = asyncio.run(_address_facts(subject, wanted, config, now_ms=now_ms))
    mine = [route for route in routes if route.key.service_port == wanted.port_number]
    if not mine:
        diagnosis = diagnose_address(facts)
        said = Hop(name="portway", verdict=Verdict.UNKNOWN, text="no portway server is running")
        return replace(diagnosis, hops=(said, *diagnosis.hops))
    ours = told_listener(mine[0].owner, exposure=Exposure.PUBLIC)
    diagnosis = diagnose_address(replace(facts, ours=ours))
    hops = [_absence(mine[0].owner, mine, balancer_pid), *diagnosis.hops]
    return conclude(subject, hops, fine="")


def _absence(name: str, routes: list[Route], balancer_pid: int) -> Hop:
    text = f"no portway server is running, so nothing of {name} is watched or replaced"
    if not routes:
        return _broken(f"{text}, and its balancer knows no {name}")
    where = " and ".join(_where(route) for route in routes[:3])
    if balancer_pid:
        return _broken(f"{text}; HAProxy (process {balancer_pid}) still serves {where}")
    return _broken(f"{text}, and no HAProxy runs either, so nobody serves {where}")


def _where(route: Route) -> str:
    address = reachable_address(route.key.address)
    return f"{route.owner} on {with_port(address, route.key.service_port)}"


def _broken(text: str) -> Hop:
    return Hop(name="portway", verdict=Verdict.BROKEN, text=text, fix=_START)


def _is_about(route: Route, name: str) -> bool:
    stack, _, app = route.owner.rpartition("/")
    own = (route.owner, app, stack)
    ids = {endpoint.instance_id for endpoint in route.endpoints}
    names = {one.rpartition("/")[2] for one in ids}
    slots = {one.rpartition(".")[0] for one in (*ids, *names)}
    return name in own or name in ids | names | slots


async def _address_facts(
    subject: str, wanted: Subject, config: Config, *, now_ms: int
) -> AddressFacts:
    addresses = await resolve(wanted.host)
    facts = AddressFacts(
        subject=subject,
        host=wanted.host,
        port_number=wanted.port_number,
        now_ms=now_ms,
        scheme=wanted.scheme,
        path=wanted.path,
        addresses=addresses,
        is_local=bool(addresses) and all(map(is_of_this_machine, addresses)),
    )
    if not facts.is_local:
        return facts
    bound = bound_at(wanted.port_number, balancer_directory=config.home / "haproxy")
    facts = replace(facts, bound=bound)
    return replace(facts, answer=await ask_address(facts))
