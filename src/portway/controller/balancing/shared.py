"""SharedListeners: those that Apps share by virtual hosts (marathon-lb's ports 80 and 443) or have together (its deployment groups).

Who is behind them is whom the balancer has behind the Apps' own listeners: read back, never assumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from portway.controller.clock import Clock
from portway.controller.world import World
from portway.core.app import PortSpec
from portway.core.balancing.shared import (
    OWNER,
    Place,
    SharedPort,
    joints_of,
    places_of,
    ports_in,
    shared_routes,
)
from portway.core.errors import BalancerError, RequestError
from portway.core.pooled import SHARED, bound_groups, is_behind_shared, shared_name
from portway.core.routes import Endpoint, Route, RouteKey, ServedPool
from portway.core.routing import listener_of, specs_of
from portway.core.stack import Certificate
from portway.core.state import AppState

log = structlog.get_logger()

LOOK_S = 2.0  # a certificate that is renewed is served so soon
FILE_BYTES_MAX = 1 << 20
_TARGET = "shared"

Pools = dict[str, tuple[tuple[RouteKey, ServedPool], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """`certificates`: the directory of the files that Apps name; None = there is none."""

    http_port: int = 80
    https_port: int = 443
    certificates: Path | None = None


class SharedListeners:
    """What they serve, and how an App stands there. `touch` has the loop look at them."""

    owner = OWNER

    def __init__(self, world: World, clock: Clock, *, touch: Callable[..., None]) -> None:
        self.settings = SharedSettings()
        self.certificates: dict[str, Certificate] = {}  # by the name of the file
        self.faults: dict[str, str] = {}  # why a file is not served, by its name
        self._world = world
        self._clock = clock
        self._touch = touch
        self._stamps: dict[str, tuple[int, int, int] | None] = {}

    @property
    def app_ids(self) -> list[str]:
        """The Apps that are behind a shared listener."""
        return sorted(self._world.members.get(SHARED, ()))

    def is_behind(self, state: AppState) -> bool:
        """Whether a port of the App is, or was, behind a shared listener."""
        return SHARED in bound_groups(state)

    # What is served ----------------------------------------------------------------------------------------------

    def routes(self) -> tuple[Route, ...]:
        """The Routes as they should be."""
        return shared_routes(
            self._ports(),
            http_port=self.settings.http_port,
            https_port=self.settings.https_port,
            certificates=self._certificates(),
        )

    def places(self) -> tuple[Place, ...]:
        """Every host and path, in the order they are tried."""
        return places_of(self._ports())

    def joints(self) -> dict[RouteKey, Place]:
        """Every listener that ports of several Apps have together."""
        return joints_of(self._ports())

    def _ports(self) -> list[SharedPort]:
        apps = (self._world.apps[app_id] for app_id in self.app_ids)
        return [port for state in apps for port in self._ports_of(state)]

    def _ports_of(self, state: AppState) -> Iterator[SharedPort]:
        """Those of what should run and, while something older runs, those of that too."""
        behind = self._behind(state.app_id)
        for app in specs_of(state):
            for spec in app.ports:
                if is_behind_shared(spec):
                    served = replace(spec, listener=listener_of(app, spec))
                    endpoints = behind.get(spec.name, ())
                    yield SharedPort(app_id=state.app_id, spec=served, endpoints=endpoints)

    def _behind(self, app_id: str) -> dict[str, tuple[Endpoint, ...]]:
        """By port, the endpoints of the App's own listeners as the balancer has them."""
        found: dict[str, dict[str, Endpoint]] = {}
        for route in (self._world.served_by(app_id) or {}).values():
            by_id = found.setdefault(route.port_name, {})
            for one in route.endpoints:
                by_id[one.instance_id] = Endpoint(
                    instance_id=one.instance_id,
                    address=one.address,
                    port_number=one.port_number,
                    state=one.state,
                )
        return {name: tuple(by_id[key] for key in sorted(by_id)) for name, by_id in found.items()}

    def pooled(self, state: AppState) -> Pools:
        """By each of the App's ports with a virtual host, the pools that it is in, as they are served; {} while none is."""
        served = self._world.served_by(OWNER) or {}
        if not served or not self.is_behind(state):
            return {}
        names = {shared_name(state.app_id, s.name) for app in specs_of(state) for s in app.ports if is_behind_shared(s)}  # fmt: skip
        return {
            name: tuple(
                (key, pool)
                for key, route in served.items()
                for pool in route.pools
                if name in ports_in(pool.name)
            )
            for name in names
        }

    # Certificates ------------------------------------------------------------------------------------------------

    def _certificates(self) -> tuple[str, ...]:
        """The names of those that HTTPS answers with: files first, then those bound to the Apps' own ports."""
        found: dict[str, None] = {}
        for app_id in self.app_ids:
            for spec in self._specs(app_id):
                assert spec.virtual is not None
                if (given := self.certificates.get(spec.virtual.certificate)) is not None:
                    found[given.name] = None
        for app_id in self.app_ids:
            numbers = {n for spec in self._specs(app_id) for n in self._numbers(app_id, spec)}
            for number, names in self._world.certificates_for(app_id).items():
                found.update(dict.fromkeys(names if number in numbers else ()))
        return tuple(found)

    def _specs(self, app_id: str) -> list[PortSpec]:
        state = self._world.apps[app_id]
        return [s for app in specs_of(state) for s in app.ports if s.virtual is not None]

    def _numbers(self, app_id: str, spec: PortSpec) -> tuple[int, ...]:
        return spec.service_ports or (self._world.apps[app_id].service_ports.get(spec.name, 0),)

    async def run(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Look at the files until cancelled; `serve` gives all certificates to the balancer."""
        while True:
            try:
                await self.look_at_files(serve)
            except Exception:
                log.exception("looking_at_certificates_broke")
            await asyncio.sleep(LOOK_S)

    async def look_at_files(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Read the files again, and have the balancer serve what is new."""
        if self.read_files():
            with suppress(BalancerError):  # the loop tries again
                await serve()
            self._touch(OWNER)

    def read_files(self) -> bool:
        """Read those that are new or changed, forget those that nobody names; whether there were any."""
        named = {s.virtual.certificate for a in self.app_ids for s in self._specs(a) if s.virtual} - {""}  # fmt: skip
        gone = self._stamps.keys() - named
        for name in gone:
            del self._stamps[name]
            self.certificates.pop(name, None)
            self.faults.pop(name, None)
        changed = [name for name in sorted(named) if self._reread(name)]
        return bool(changed or gone)

    def _reread(self, name: str) -> bool:
        """Whether the file is another than it was. One that cannot be used leaves what was read before."""
        directory = self.settings.certificates
        path = directory / name if directory is not None else None
        stamp = _stamp(path) if path is not None else None
        if name in self._stamps and self._stamps[name] == stamp:
            return False
        self._stamps[name] = stamp
        if path is None or stamp is None:
            where = f"there is no {path}" if path else "no directory is set (marathon-certificates)"
            self.faults[name] = f"the certificate {name} is not served: {where}"
            return True
        # Only now: it takes 9 MB that a server without certificates need not hold.
        from portway.controller.certificates import read_certificate

        try:
            pem = path.read_bytes()
            target = f"{_TARGET}/{name}"
            self.certificates[name] = read_certificate(target, pem, b"", now_ms=self._clock.now_ms())  # fmt: skip
            self.faults.pop(name, None)
        except (RequestError, OSError) as error:
            self.faults[name] = (
                f"the certificate {path} is not served: {str(error).splitlines()[0].rstrip('.')}"
            )
            log.warning("certificate_refused", file=str(path), reason=str(error))
        return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's contents; None where there is none that could be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not path.is_file() or found.st_size > FILE_BYTES_MAX:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
