"""Which ports of a manifest cannot be had on this machine, found and named before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from portway.core.app import App, Exposure, PortSpec, Protocol
from portway.core.errors import RequestError

BindTest = Callable[[Protocol, str, int], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One port of this machine that an App's manifest writes down. `address` "" is every address."""

    app: str
    port_number: int
    protocol: Protocol
    address: str


def wanted_ports(apps: Iterable[App]) -> tuple[Wanted, ...]:
    """Every port the manifest writes down: public listeners, and host ports published as they are."""
    return tuple(
        Wanted(
            app=app.name,
            port_number=number,
            protocol=spec.protocol,
            address=spec.address or "",
        )
        for app in apps
        for spec in app.ports
        for number in _written(spec)
    )


def refuse_conflicts(wanted: Iterable[Wanted], bind_test: BindTest) -> None:
    """RequestError that names every port that cannot be bound, why, and which App wants it."""
    problems = [
        f"{one.app}: {refusal}"
        for one in wanted
        if (refusal := bind_test(one.protocol, one.address, one.port_number))
    ]
    if problems:
        raise RequestError(
            "\n  ".join(problems),
            hint="Stop what has it, or move every port of the manifest: portway start --shift 1000",
        )


def _written(spec: PortSpec) -> tuple[int, ...]:
    if spec.exposure is Exposure.PUBLIC:
        return spec.service_ports
    return (spec.host_port,) if spec.host_port else ()
