"""The variables an instance is told: its ports, its host, who it is, and where its links are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portway.core.app import App
from portway.core.app import Protocol as Transport
from portway.core.instance import InstanceIdentity
from portway.core.marathon.environment import Launch, variables_of
from portway.core.ports import Lease
from portway.core.state import Revision

_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTarget:
    """Where a linked App answers, seen from the instance; `environment` is the linked App's own."""

    alias: str
    address: str
    port_number: int
    environment: Mapping[str, str]


def instance_environment(
    revision: Revision,
    identity: InstanceIdentity,
    *,
    node_address: str,
    links: Sequence[LinkTarget] = (),
    home_id: str = "",
    container: str = "",
    prefix: str = "",
) -> dict[str, str]:
    """All variables of one instance, or of that container of it. `prefix` is for Marathon's.

    What portway knows gives way to what the manifest says, and that to the stack's own variables
    (`env set`), as in Convox. $PORT... are host ports. An App made over the Marathon face is told what Marathon tells.
    """
    if revision.app.environment_form:
        launch = Launch(
            app=revision.app,
            identity=identity,
            home_id=home_id,
            node_address=node_address,
            container=container,
            made_at_ms=revision.made_at_ms,
            prefix=prefix,
        )
        return variables_of(launch, {**revision.app.environment, **revision.environment})
    variables = port_variables(identity.leases, node_address=node_address)
    variables |= _identity_variables(revision, identity)
    for link in links:
        variables |= link_variables(link)
    variables |= revision.app.environment
    return variables | dict(revision.environment)


def port_variables(leases: Sequence[Lease], *, node_address: str) -> dict[str, str]:
    """HOST, PORT, PORT0..n, PORTS, PORT_<NAME> and PORT_<container_port>, in the order of the App's ports."""
    variables = {"HOST": node_address}
    if not leases:
        return variables
    numbers = [str(lease.host_port) for lease in leases]
    variables |= {"PORT": numbers[0], "PORTS": ",".join(numbers)}
    variables |= {f"PORT{nth}": number for nth, number in enumerate(numbers)}
    for lease in leases:
        for name in (_variable_name(lease.port_name), str(lease.container_port)):
            variables.setdefault(f"PORT_{name}", str(lease.host_port))
    return variables


def _identity_variables(revision: Revision, identity: InstanceIdentity) -> dict[str, str]:
    return {
        "APP": revision.app.stack,
        "PROCESS": revision.app.name,
        "RELEASE": identity.release,
        "PORTWAY_INSTANCE": identity.id,
        "PORTWAY_SLOT": str(identity.slot),
    }


def link_variables(link: LinkTarget) -> dict[str, str]:
    """ALIAS_URL, _SCHEME, _HOST, _PORT, _PATH, _USERNAME, _PASSWORD (Convox, spec section 1.7)."""
    prefix = _variable_name(link.alias)
    scheme = link.environment.get("LINK_SCHEME", "tcp")
    path = link.environment.get("LINK_PATH", "")
    username = link.environment.get("LINK_USERNAME", "")
    password = link.environment.get("LINK_PASSWORD", "")
    credentials = f"{username}:{password}@" if username or password else ""
    slash = "" if not path or path.startswith("/") else "/"
    return {
        f"{prefix}_SCHEME": scheme,
        f"{prefix}_HOST": link.address,
        f"{prefix}_PORT": str(link.port_number),
        f"{prefix}_PATH": path,
        f"{prefix}_USERNAME": username,
        f"{prefix}_PASSWORD": password,
        f"{prefix}_URL": f"{scheme}://{credentials}{link.address}:{link.port_number}{slash}{path}",
    }


def link_container_port(app: App) -> int | None:
    """The port a link to `app` means: LINK_PORT of its environment, else its first TCP port; None without any."""
    wanted = app.environment.get("LINK_PORT", "")
    ports = [p.container_port for p in app.ports if p.protocol is Transport.TCP]
    if wanted.isdigit():
        return int(wanted)
    return ports[0] if ports else (app.expose[0] if app.expose else None)


def is_known_at_start(name: str) -> bool:
    """Whether portway itself gives every instance a variable of this name."""
    return name == "HOST" or bool(re.fullmatch(r"PORT(S|\d+|_[A-Za-z0-9_]+)?", name))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with $PORT..., $HOST and their ${} forms filled in; every other $ stays."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        return variables.get(name, match.group(0)) if is_known_at_start(name) else match.group(0)

    return _REFERENCE.sub(value, text)


def _variable_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()
