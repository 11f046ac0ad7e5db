"""Who is at an address of this machine: the kernel's listeners by name, and what portway has there. Concludes nothing."""

from __future__ import annotations

from pathlib import Path

from portway.controller.ports.holders import Naming
from portway.controller.ports.host_ports import DOCKER_SOCKET, PROC
from portway.controller.ports.kernel_sockets import KernelSocket, read_sockets
from portway.controller.world import World
from portway.core.app import Exposure
from portway.core.diagnosis_rules import balancer_name, is_shared
from portway.core.facts import Bound, Listening, OurPort
from portway.core.instance import InstanceRecord
from portway.core.ports import PortRange
from portway.core.routes import Route, RouteKey
from portway.core.routing import is_routed, route_keys
from portway.core.state import AppState


def bound_at(
    number: int, *, balancer_directory: Path, proc: Path = PROC, docker_socket: Path = DOCKER_SOCKET
) -> tuple[Bound, ...]:
    """Everybody who listens on the port, on whatever address; may take up to a second."""
    within = PortRange(first=number, last=number)
    sockets = list(read_sockets(proc, within, listeners_only=True))
    naming = Naming(proc, docker_socket, [one.inode for one in sockets])
    found = {_bound(one, naming, proc, balancer_directory) for one in sockets}
    return tuple(sorted(found, key=lambda one: one.listening))


def _bound(socket_: KernelSocket, naming: Naming, proc: Path, balancer_directory: Path) -> Bound:
    holder = naming.holder_of([socket_])
    listening = Listening(
        port_number=socket_.port_number, address=socket_.address, protocol=socket_.protocol
    )
    return Bound(
        listening=listening,
        holder=holder.description.partition(", listening on")[0],
        is_balancer=_runs_in(proc, holder.pid, balancer_directory),
    )


def _runs_in(proc: Path, pid: int, directory: Path) -> bool:
    """Whether the process is a balancer of that directory, by the directory on its command line."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return str(directory) in words


def listener_at(
    world: World, address: str, service_port: int
) -> tuple[AppState, RouteKey, Exposure] | None:
    """The App whose listener it is; one on exactly that address before one on every address."""
    found = [
        (state, key, spec.exposure)
        for state in world.apps.values()
        for spec in (state.target.app.ports if state.target else ())
        if is_routed(spec)
        for key, _ in route_keys(spec, state.service_ports)
        if key.service_port == service_port
    ]
    return min(found, key=lambda one: one[1].address != address, default=None)


def ruled_at(world: World, address: str, service_port: int) -> Route | None:
    """The load balancer's listener at exactly that address, else the one that virtual hosts share on all of them."""
    found = [
        route
        for routes in world.applied.values()
        for route in routes
        if route.default is not None
        and route.key.service_port == service_port
        and (route.key.address == address or is_shared(route))
    ]
    return min(found, key=lambda route: route.key.address != address, default=None)


def lease_at(world: World, number: int) -> tuple[AppState, InstanceRecord, int] | None:
    """The instance that holds the host port, and its container_port."""
    return next(
        (
            (state, record, lease.container_port)
            for state in world.apps.values()
            for record in state.live
            for lease in record.identity.leases
            if lease.host_port == number
        ),
        None,
    )


def instance_at(world: World, address: str) -> tuple[AppState, InstanceRecord] | None:
    """The instance whose own address it is."""
    for state in world.apps.values():
        seen = world.seen(state.app_id) or {}
        for record in state.live:
            one = seen.get(record.id)
            if one is not None and one.reaches_container and one.address == address:
                return state, record
    return None


def told_listener(owner: str, *, exposure: Exposure) -> OurPort:
    """A listener of an App, for people."""
    return OurPort(
        what=f"the listener of {owner}",
        is_listener=True,
        is_internal=exposure is Exposure.INTERNAL,
    )


def told_balancer(route: Route) -> OurPort:
    """A listener of a load balancer, for people."""
    what = "listener of" if is_shared(route) else "listener of load balancer"
    return OurPort(what=f"a {what} {balancer_name(route)}", is_listener=True)


def told_lease(instance_id: str, container_port: int) -> OurPort:
    """A host port of an instance, for people."""
    return OurPort(what=f"the host port of {instance_id} (its container port {container_port})")


def told_own(listen: str, number: int) -> OurPort | None:
    """The port of the server's own HTTP API, if it is that."""
    _, _, own = listen.rpartition(":")
    return OurPort(what="portway's own HTTP API") if own == str(number) else None
