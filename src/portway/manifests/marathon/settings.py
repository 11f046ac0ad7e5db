"""Settings: what of a server's configuration decides how definitions are read."""

from __future__ import annotations

from dataclasses import dataclass

from portway.manifests.marathon.paths import segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """As Marathon's flags of these names. `default_network_name`: what an unnamed container network is called; None = it must be named."""

    default_network_name: str | None = None
    mesos_bridge_name: str = "mesos-bridge"
    default_role: str = "*"
    enabled_features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which roles an app or pod may have, and the one it has when it says none."""

    default: str
    valid: tuple[str, ...]


def roles_of(
    path: str, settings: Settings, *, enforces: bool = False, existing: str | None = None
) -> Roles:
    """Of the app or pod at an absolute path. `enforces`: its top-level group enforces its role; `existing`: the role it has."""
    names = segments(path)
    kept = (existing,) if existing else ()
    if len(names) < 2:
        return Roles(default=settings.default_role, valid=_once(settings.default_role, *kept))
    if enforces:
        return Roles(default=names[0], valid=_once(names[0], *kept))
    return Roles(default=settings.default_role, valid=_once(settings.default_role, names[0], *kept))


def _once(*roles: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(roles))
