"""What portway reads of the Docker API's answers, as types. Must not decide anything."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class _Wire(Struct, frozen=True, kw_only=True, rename="pascal"):
    """Docker spells its fields in PascalCase; what portway does not know is ignored."""


class Version(_Wire, frozen=True, kw_only=True):
    """GET /version."""

    version: str = ""
    api_version: str = "0"
    min_api_version: str = field(name="MinAPIVersion", default="0")


class Info(_Wire, frozen=True, kw_only=True):
    """GET /info."""

    logging_driver: str = "json-file"
    architecture: str = ""
    processors: int = field(name="NCPU", default=0)
    memory_bytes: int = field(name="MemTotal", default=0)


class Endpoint(_Wire, frozen=True, kw_only=True):
    """One network of a container."""

    ip_address: str = field(name="IPAddress", default="")


class NetworkSettings(_Wire, frozen=True, kw_only=True):
    """The networks of a container, by name."""

    networks: Mapping[str, Endpoint] | None = None


class PublishedPort(Struct, frozen=True, kw_only=True, rename="pascal"):
    """One port of a container in a listing; `public_port` 0 = not published."""

    ip: str = field(name="IP", default="")
    private_port: int = 0
    public_port: int = 0
    type: str = "tcp"


class HostConfig(_Wire, frozen=True, kw_only=True):
    """What a listing says of how a container is tied to its machine."""

    network_mode: str = ""


class ContainerSummary(_Wire, frozen=True, kw_only=True):
    """One row of GET /containers/json."""

    id: str
    names: tuple[str, ...] = ()
    image: str = ""
    image_id: str = field(name="ImageID", default="")
    state: str
    status: str = ""
    labels: Mapping[str, str] | None = None
    network_settings: NetworkSettings | None = None
    ports: tuple[PublishedPort, ...] | None = None
    host_config: HostConfig | None = None


class HealthState(_Wire, frozen=True, kw_only=True):
    """What Docker's own health check of a container says."""

    status: str = ""


class ContainerState(_Wire, frozen=True, kw_only=True):
    """The state of one container, from its inspection."""

    status: str
    exit_code: int = 0
    oom_killed: bool = field(name="OOMKilled", default=False)
    error: str = ""
    started_at: str = ""
    finished_at: str = ""
    health: HealthState | None = None
    pid: int = 0


class ContainerConfig(_Wire, frozen=True, kw_only=True):
    """What a container was created with."""

    tty: bool = False
    labels: Mapping[str, str] | None = None


class Container(_Wire, frozen=True, kw_only=True):
    """GET /containers/{name}/json."""

    id: str
    state: ContainerState
    config: ContainerConfig


class CpuUsage(Struct, frozen=True, kw_only=True):
    """Processor time since the container began, in nanoseconds."""

    total_usage: int = 0


class CpuStats(Struct, frozen=True, kw_only=True):
    """What a container has had of the processors."""

    cpu_usage: CpuUsage = CpuUsage()


class MemoryStats(Struct, frozen=True, kw_only=True):
    """What a container has of the memory; bytes."""

    usage: int = 0
    stats: Mapping[str, int] = field(default_factory=dict)


class ContainerStats(Struct, frozen=True, kw_only=True):
    """GET /containers/{id}/stats."""

    cpu_stats: CpuStats = CpuStats()
    memory_stats: MemoryStats = MemoryStats()


class ImageConfig(_Wire, frozen=True, kw_only=True):
    """What an image declares."""

    exposed_ports: Mapping[str, object] | None = None


class Image(_Wire, frozen=True, kw_only=True):
    """GET /images/{name}/json."""

    id: str
    config: ImageConfig | None = None


class Network(_Wire, frozen=True, kw_only=True):
    """One network; `containers` (by id) only when it is inspected."""

    id: str
    name: str
    created: str = ""
    containers: Mapping[str, NetworkMember] | None = None


class VolumeSummary(_Wire, frozen=True, kw_only=True):
    """One volume."""

    name: str


class Volumes(_Wire, frozen=True, kw_only=True):
    """GET /volumes."""

    volumes: tuple[VolumeSummary, ...] | None = None


class NetworkMember(_Wire, frozen=True, kw_only=True):
    """A container attached to a network."""

    name: str = ""


class Created(_Wire, frozen=True, kw_only=True):
    """The answer to anything created."""

    id: str


class ExecState(_Wire, frozen=True, kw_only=True):
    """GET /exec/{id}/json. `exit_code` is None until the command has ended."""

    running: bool = False
    exit_code: int | None = None
    pid: int = 0


class Actor(_Wire, frozen=True, kw_only=True):
    """What an event is about; `attributes` hold the labels."""

    id: str = field(name="ID", default="")
    attributes: Mapping[str, str] | None = None


class DaemonEvent(_Wire, frozen=True, kw_only=True):
    """One line of GET /events."""

    action: str = ""
    actor: Actor = Actor()


class Refusal(Struct, frozen=True):
    """The body of every error answer."""

    message: str = ""


class LayerProgress(Struct, frozen=True):
    """How far one layer is; bytes."""

    current: int = 0
    total: int = 0


class Aux(Struct, frozen=True):
    """The id of what a build made."""

    id: str = field(name="ID", default="")


class BuildMessage(Struct, frozen=True, rename="camel"):
    """One line of a build's or a pull's answer; only some fields are set in each."""

    stream: str = ""
    status: str = ""
    id: str = ""
    error: str = ""
    aux: Aux | None = None
    progress_detail: LayerProgress | None = None
