"""MarathonSettings: what the Marathon face can be told."""

from __future__ import annotations

from dataclasses import dataclass
from socket import gethostname

from portway.config import Config
from portway.core.ports import PortRange
from portway.manifests.marathon.settings import Settings

_SERVICE_PORTS = PortRange(first=10000, last=20000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarathonSettings:
    """`service_ports`: those given to apps that name none. `definitions`: how definitions are read."""

    definitions: Settings = Settings()
    service_ports: PortRange = _SERVICE_PORTS
    max_running_deployments: int = 100
    leader: str = (
        "127.0.0.1:8080"  # this server's address, as X-Marathon-Leader and /v2/leader say it
    )
    groups: tuple[str, ...] = ("*",)  # of marathon-lb's labels: whose ports are served
    env_vars_prefix: str = ""  # of HOST and the ports that its apps are told
    version: str = "1.11.24"  # of Marathon, whose behaviour this is


def settings_of(config: Config) -> MarathonSettings:
    """What a server's configuration says of it."""
    host, _, number = (config.listen or "localhost:0").rpartition(":")
    if host in ("", "0.0.0.0", "[::]"):  # noqa: S104  (every address is none that a client could go to)
        host = gethostname()
    return MarathonSettings(
        service_ports=config.service_ports,
        leader=f"{host}:{number}",
        groups=config.marathon_groups,
        env_vars_prefix=config.marathon_env_vars_prefix,
    )
