"""Certificates of listeners: put, listed, replaced and deleted while they serve."""

from __future__ import annotations

from portway.controller.lookup import find_app, find_stack
from portway.controller.loop import Controller
from portway.controller.present import present_certificate, present_port
from portway.controller.views import CertificateView
from portway.controller.world import World
from portway.core.errors import RequestError
from portway.core.routing import is_routed, route_keys
from portway.core.stack import Certificate
from portway.core.state import AppState
from portway.core.suggest import did_you_mean
from portway.store.base import Batch


class ChangesCertificates:
    """The part of PortwayOperations about certificates."""

    controller: Controller

    async def certificates(self, stack: str) -> tuple[CertificateView, ...]:
        find_stack(self.controller.world, stack)
        found = [c for c in self.controller.world.certificates.values() if _is_of(c, stack)]
        return tuple(present_certificate(c) for c in sorted(found, key=lambda c: c.name))

    async def put_certificate(
        self, stack: str, target: str, *, certificate_pem: str, key_pem: str, replace: bool
    ) -> CertificateView:
        # Only now: it takes 9 MB that a server without certificates need not hold.
        from portway.controller.certificates import make_self_signed, read_certificate

        now_ms = self.controller.clock.now_ms()
        async with self.controller.changing() as world:
            state, full_target = _listener(world, stack, target)
            if certificate_pem or key_pem:
                certificate = read_certificate(full_target, certificate_pem, key_pem, now_ms=now_ms)
            else:
                certificate = make_self_signed(full_target, ("localhost",), now_ms=now_ms)
            others = [c for c in world.certificates.values() if c.target == full_target]
            twins = [c for c in others if set(c.domains) & set(certificate.domains)]
            if replace:
                twins = _replaced(target, others, twins)
            elif twins:
                shared = sorted(set(twins[0].domains) & set(certificate.domains))[0]
                raise RequestError(
                    f"{target} has a certificate for {shared} already",
                    hint=f"`portway ssl update {target} CRT KEY` replaces it.",
                    http_status=409,
                )
            obsolete = tuple(c.name for c in twins if c.name != certificate.name)
            await self._save_certificates(
                state, Batch(certificates=(certificate,), deleted_certificates=obsolete)
            )
        return present_certificate(certificate)

    async def delete_certificate(
        self, stack: str, target: str, *, name: str = ""
    ) -> CertificateView:
        async with self.controller.changing() as world:
            state, full_target = _listener(world, stack, target)
            found = [
                c
                for c in world.certificates.values()
                if c.target == full_target and (not name or name in (c.name, *c.domains))
            ]
            if not found:
                raise RequestError(
                    f"{target} has no certificate{f' {name}' if name else ''}",
                    hint=f"`portway ssl list -a {stack}` lists them.",
                    http_status=404,
                )
            if len(found) > 1:
                names = ", ".join(sorted(c.name for c in found))
                raise RequestError(
                    f"{target} has {len(found)} certificates: {names}",
                    hint="Say which with --name.",
                )
            await self._save_certificates(state, Batch(deleted_certificates=(found[0].name,)))
        return present_certificate(found[0])

    async def _save_certificates(self, state: AppState, batch: Batch) -> None:
        """Saved first, then served; a listener that gains its first certificate is changed by the loop."""
        await self.controller.save(batch)
        self.controller.touch(state.app_id)
        await self.controller.serve_certificates()


def _is_of(certificate: Certificate, stack: str) -> bool:
    return certificate.target.rpartition("/")[0] == stack


def _replaced(
    target: str, others: list[Certificate], twins: list[Certificate]
) -> list[Certificate]:
    """What an update replaces: the certificate for the same domains, or the only one there is."""
    if twins:
        return twins
    if len(others) == 1:
        return others
    if not others:
        raise RequestError(
            f"{target} has no certificate to update",
            hint=f"`portway ssl create {target} CRT KEY` adds one.",
            http_status=404,
        )
    raise RequestError(
        f"none of the {len(others)} certificates of {target} is for the new one's domains",
        hint="Add it with `portway ssl create`, delete the old one with `portway ssl delete`.",
    )


def _listener(world: World, stack: str, target: str) -> tuple[AppState, str]:
    """The App behind "web:8443" and the certificate's full target; RequestError when there is none."""
    name, _, number = target.partition(":")
    if not name or not number.isdigit():
        raise RequestError(
            f'"{target}" names no listener', hint="Write APP:LISTENER_PORT, for instance web:443."
        )
    state = find_app(world, stack, name)
    assert state.target is not None
    listeners = [
        str(key.service_port)
        for spec in filter(is_routed, state.target.app.ports)
        for key, _ in route_keys(spec, state.service_ports)
    ]
    if number not in listeners:
        inside = [present_port(spec, state) for spec in state.target.app.ports]
        mistaken = next((p for p in inside if str(p.container_port) == number), None)
        meant = (
            f" (its container port {number} is behind listener {mistaken.service_port})"
            if (mistaken)
            else did_you_mean(number, listeners)
        )
        raise RequestError(
            f"{name} has no listener {number}{meant}",
            hint=f"Its listeners: {', '.join(listeners) or 'none'}.",
            http_status=404,
        )
    return state, f"{stack}/{name}:{number}"
