"""What about an App would make its deployments drop requests: each a sentence with what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from portway.core.app import App, CheckKind, ListenerProtocol, PortSpec, VolumeKind
from portway.core.capacity import Capacity, capacity, replaces_in_place
from portway.core.routing import is_routed

_STREAMS = (ListenerProtocol.TCP, ListenerProtocol.TLS)


def drop_warnings(
    app: App, *, count: int, nodes: int, before: App | None = None
) -> tuple[str, ...]:
    """Every reason why replacing the App's instances would not be smooth. `before`: what it is now, if it runs.

    `nodes` is how many machines could run it: a fixed host port can be had once on each.
    """
    if not count:
        return tuple(_nothing_serves(app))
    fixed = replaces_in_place(app, count=count, nodes=nodes)
    bounds = capacity(count, app.rollout, one_at_a_time=fixed)
    return (
        *(_fixed_port(app, count, nodes) if fixed else _gap(app, count, bounds)),
        *_checks(app),
        *_endings(app),
        *(_listeners_gone(before, app) if before is not None else ()),
    )


def _nothing_serves(app: App) -> Iterator[str]:
    if _routed(app):
        yield "it has no instance, so every request to it is refused; `portway scale` gives it some"


def _fixed_port(app: App, count: int, nodes: int) -> Iterator[str]:
    ports = ", ".join(str(number) for number in app.fixed_host_ports)
    yield (
        f"host port {ports} is fixed, so the old instance stops before the new one starts: "
        "expect a gap at every deploy. Publish it through the balancer instead (no `mode: host`, no "
        "portway.balancer=false), and the host port is leased"
    )
    if count > nodes:
        yield f"{count} instances cannot all have the fixed host port {ports} here"


def _gap(app: App, count: int, bounds: Capacity) -> Iterator[str]:
    if bounds.minimum_healthy == 0:
        yield (
            f"old instances stop before new ones start{_stop_first_reason(app)}: expect a gap at "
            "every deploy. The label portway.deployment.minimum=100 keeps them until the new ones serve"
        )
    elif bounds.maximum_live <= count and bounds.minimum_healthy < count:
        yield (
            f"no instance more than {count} may exist (maximum {app.rollout.maximum_percent}), so only "
            f"{bounds.minimum_healthy} of {count} are sure to serve during a deploy. The label "
            "portway.deployment.maximum=200 lets new ones start first"
        )


def _stop_first_reason(app: App) -> str:
    names = [
        v.source or v.target
        for v in app.volumes
        if v.kind is not VolumeKind.TMPFS and not v.read_only
    ]
    return f" (two versions must not write {names[0]} at once)" if names else ""


def _checks(app: App) -> Iterator[str]:
    if _routed(app) and app.health.kind is CheckKind.NONE:
        yield (
            "without a health check an instance gets traffic as soon as it runs, ready or not. "
            "Give it a `healthcheck:`, or remove the `disable: true`"
        )


def _endings(app: App) -> Iterator[str]:
    routed = _routed(app)
    if routed and app.rollout.drain_timeout_s <= 0:
        streams = any(spec.listener.protocol in _STREAMS for spec in routed)
        what = "connections of plain TCP, which last," if streams else "requests under way"
        yield (
            f"the drain timeout is 0, so {what} are cut when an instance is replaced. "
            "Set portway.draining.timeout to as many seconds as they may take"
        )
    if app.stop_grace_s <= 0 or app.stop_signal.upper() in ("SIGKILL", "KILL", "9"):
        cause = "its stop signal is SIGKILL" if app.stop_grace_s > 0 else "its stop grace is 0"
        yield (
            f"{cause}, so an instance is killed without a chance to finish what it does. "
            "Set `stop_grace_period: 10s` and `stop_signal: SIGTERM`"
        )


def _listeners_gone(before: App, app: App) -> Iterator[str]:
    """The listeners by number that nobody listens on any more; other Apps are not looked at."""
    kept = {number for spec in _routed(app) for number in spec.service_ports}
    for spec in _routed(before):
        gone = [str(number) for number in spec.service_ports if number not in kept]
        if gone:
            yield (
                f"listener {', '.join(gone)} goes, and its connections are closed: move its clients "
                "first, or keep it beside the new one for a while"
            )


def _routed(app: App) -> list[PortSpec]:
    return [spec for spec in app.ports if is_routed(spec)]
