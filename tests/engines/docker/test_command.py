"""container_spec: whole bodies, compared whole."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from portway.core.app import (
    App,
    CheckKind,
    ContainerOptions,
    HealthCheck,
    Network,
    NetworkMode,
    Protocol,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.core.state import Revision
from portway.engines.base import StartRequest
from portway.engines.docker.command import (
    NetworkUse,
    Settings,
    connect_body,
    container_spec,
    identity_from_labels,
    network_body,
    networks_of,
)
from portway.engines.docker.names import network_name

SETTINGS = Settings(home_id="home1")
LEASE = Lease(
    port_name="80", node="local", protocol=Protocol.TCP, host_port=31004, container_port=80
)
IDENTITY = InstanceIdentity(
    id="httpd/web.1.7",
    app_id="httpd/web",
    slot=1,
    serial=7,
    revision="RUAENUMAQBS-1",
    release="RUAENUMAQBS",
    node="local",
    leases=(LEASE,),
)
LABELS = {
    "portway.home": "home1",
    "portway.instance": "httpd/web.1.7",
    "portway.app": "httpd/web",
    "portway.stack": "httpd",
    "portway.slot": "1",
    "portway.serial": "7",
    "portway.revision": "RUAENUMAQBS-1",
    "portway.release": "RUAENUMAQBS",
    "portway.node": "local",
    "portway.identity": msgspec.json.encode(IDENTITY).decode(),
}
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def request(app: App, *, identity: InstanceIdentity = IDENTITY, **more: object) -> StartRequest:
    revision = Revision(id=identity.revision, release=identity.release, app=app)
    given = {"environment": {"PORT": "80"}, "command": None, "command_text": None}
    return StartRequest(identity=identity, revision=revision, **(given | more))  # type: ignore[arg-type]


def host_config(app: App, **more: object) -> dict[str, object]:
    """What of the host configuration differs from the simplest container's."""
    simplest = container_spec(request(App(id=app.id, image=app.image)), SETTINGS)
    body = container_spec(request(app, **more), SETTINGS).body["HostConfig"]
    plain = simplest.body["HostConfig"]
    return {key: value for key, value in body.items() if plain.get(key) != value}


def test_the_simplest_app_asks_for_its_lease_its_network_its_labels_and_nothing_else() -> None:
    spec = container_spec(request(App(id="httpd/web", image="httpd:2"), aliases=("web",)), SETTINGS)
    assert spec.name == "portway-home1-httpd-web-1-7"
    assert spec.networks == (NetworkUse(name="portway-home1-httpd", aliases=("web",)),)
    assert spec.body == {
        "Image": "httpd:2",
        "Env": ["PORT=80"],
        "Labels": LABELS,
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGTERM",
        "StopTimeout": 10,
        "HostConfig": {
            "NetworkMode": "portway-home1-httpd",
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "31004"}]},
            "RestartPolicy": {"Name": "no"},
            "LogConfig": LOG_CONFIG,
            "CapDrop": ["NET_RAW"],
        },
        "NetworkingConfig": {"EndpointsConfig": {"portway-home1-httpd": {"Aliases": ["web"]}}},
    }


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        (ContainerOptions(), ["NET_RAW"]),
        (ContainerOptions(cap_drop=("CHOWN",)), ["CHOWN", "NET_RAW"]),
        (ContainerOptions(cap_drop=("ALL",)), ["ALL"]),
        (ContainerOptions(cap_add=("NET_RAW",), cap_drop=("CHOWN",)), ["CHOWN"]),
        (ContainerOptions(cap_add=("ALL",)), None),
        (ContainerOptions(privileged=True), None),
    ],
)
def test_raw_sockets_are_for_those_who_ask_for_them(
    options: ContainerOptions, dropped: list[str] | None
) -> None:
    app = App(id="httpd/web", image="httpd:2", container=options)
    body = container_spec(request(app), SETTINGS).body["HostConfig"]
    assert body.get("CapDrop") == dropped


EVERYTHING = App(
    id="httpd/web",
    image="httpd:2",
    entrypoint=("/init",),
    expose=(9000,),
    resources=Resources(
        memory_bytes=64_000_000,
        memory_reservation_bytes=32_000_000,
        cpus=0.1,
        cpu_shares=512,
        pids=20,
    ),
    volumes=(
        Volume(kind=VolumeKind.BIND, source="./data/../conf", target="/etc/app", read_only=True),
        Volume(kind=VolumeKind.NAMED, source="db", target="/var/lib/db"),
        Volume(kind=VolumeKind.NAMED, source="", target="/cache"),
        Volume(kind=VolumeKind.TMPFS, source="", target="/run"),
    ),
    networks=(
        Network(name="default", aliases=("www",)),
        Network(name="back", aliases=("db-client",)),
        Network(name="shared", external=True),
    ),
    extra_hosts=(("db", "10.0.0.5"),),
    labels={"convox.port.80.protocol": "http", "portway.home": "forged"},
    health=HealthCheck(kind=CheckKind.NONE),
    user="1000:1000",
    working_dir="/srv",
    stop_signal="SIGQUIT",
    stop_grace_s=2.5,
    container=ContainerOptions(
        privileged=True,
        cap_add=("NET_ADMIN",),
        cap_drop=("ALL",),
        read_only=True,
        init=True,
        hostname="www1",
        tty=True,
        shm_size_bytes=1_000_000,
        ulimits={"nofile": (1024, 2048)},
        sysctls={"net.core.somaxconn": "1024"},
        dns=("9.9.9.9",),
        security_opt=("no-new-privileges",),
        devices=("/dev/fuse", "/dev/kvm:/dev/kvm0:r", "/dev/null:rw"),
        group_add=("audio",),
    ),
)

EVERY_LEASE = replace(
    IDENTITY,
    leases=(
        LEASE,
        replace(LEASE, port_name="admin", host_port=31005, address="10.0.0.1"),
        replace(LEASE, port_name="dns", protocol=Protocol.UDP, container_port=53),
    ),
)

VOLUME_LABELS = {"Labels": {"portway.home": "home1", "portway.stack": "httpd"}}

EVERYTHING_BODY = {
    "Image": "httpd:2",
    "Env": ["PORT=80"],
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9000/tcp": {}},
    "StopSignal": "SIGQUIT",
    "StopTimeout": 3,
    "Cmd": ["serve", "--port", "80"],
    "Entrypoint": ["/init"],
    "User": "1000:1000",
    "WorkingDir": "/srv",
    "Hostname": "www1",
    "Tty": True,
    "Healthcheck": {"Test": ["NONE"]},
    "HostConfig": {
        "NetworkMode": "portway-home1-httpd",
        "PortBindings": {
            "80/tcp": [
                {"HostIp": "127.0.0.1", "HostPort": "31004"},
                {"HostIp": "10.0.0.1", "HostPort": "31005"},
            ],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "31004"}],
        },
        "RestartPolicy": {"Name": "no"},
        "Mounts": [
            {
                "Type": "bind",
                "Target": "/etc/app",
                "ReadOnly": True,
                "Source": "/home/me/project/conf",
            },
            {
                "Type": "volume",
                "Target": "/var/lib/db",
                "ReadOnly": False,
                "Source": "httpd_db",
                "VolumeOptions": VOLUME_LABELS,
            },
            {
                "Type": "volume",
                "Target": "/cache",
                "ReadOnly": False,
                "VolumeOptions": VOLUME_LABELS,
            },
            {"Type": "tmpfs", "Target": "/run", "ReadOnly": False},
        ],
        "ExtraHosts": ["db:10.0.0.5", "cache:172.18.0.9"],
        "Memory": 64_000_000,
        "MemoryReservation": 32_000_000,
        "NanoCpus": 100_000_000,
        "CpuShares": 512,
        "PidsLimit": 20,
        "Privileged": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "Init": True,
        "ShmSize": 1_000_000,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
        "Sysctls": {"net.core.somaxconn": "1024"},
        "Dns": ["9.9.9.9"],
        "SecurityOpt": ["no-new-privileges"],
        "Devices": [
            {
                "PathOnHost": "/dev/fuse",
                "PathInContainer": "/dev/fuse",
                "CgroupPermissions": "rwm",
            },
            {
                "PathOnHost": "/dev/kvm",
                "PathInContainer": "/dev/kvm0",
                "CgroupPermissions": "r",
            },
            {
                "PathOnHost": "/dev/null",
                "PathInContainer": "/dev/null",
                "CgroupPermissions": "rw",
            },
        ],
        "GroupAdd": ["audio"],
    },
    "NetworkingConfig": {"EndpointsConfig": {"portway-home1-httpd": {"Aliases": ["web", "www"]}}},
}


def test_everything_an_app_can_say_reaches_the_daemon() -> None:
    spec = container_spec(
        request(
            EVERYTHING,
            identity=EVERY_LEASE,
            command=("serve", "--port", "80"),
            aliases=("web",),
            directory="/home/me/project",
            hosts=(("cache", "172.18.0.9"),),
        ),
        replace(SETTINGS, rotates_logs=False),
    )
    labels = {
        "convox.port.80.protocol": "http",
        **LABELS,
        "portway.identity": msgspec.json.encode(EVERY_LEASE).decode(),
    }
    assert spec.networks == (
        NetworkUse(name="portway-home1-httpd", aliases=("web", "www")),
        NetworkUse(name="portway-home1-httpd.back", aliases=("web", "db-client")),
        NetworkUse(name="shared", aliases=("web",), external=True),
    )
    assert spec.body == {**EVERYTHING_BODY, "Labels": labels}


def test_an_app_without_leases_publishes_nothing() -> None:
    spec = container_spec(
        request(App(id="httpd/web", image="i"), identity=replace(IDENTITY, leases=())), SETTINGS
    )
    assert spec.body["HostConfig"]["PortBindings"] == {}
    assert spec.body["ExposedPorts"] == {}


def test_a_port_that_is_only_exposed_is_not_published() -> None:
    spec = container_spec(request(App(id="httpd/web", image="i", expose=(9000,))), SETTINGS)
    assert "9000/tcp" in spec.body["ExposedPorts"]
    assert "9000/tcp" not in spec.body["HostConfig"]["PortBindings"]


def test_a_container_port_of_0_is_the_host_port() -> None:
    identity = replace(IDENTITY, leases=(replace(LEASE, container_port=0),))
    spec = container_spec(request(App(id="httpd/web", image="i"), identity=identity), SETTINGS)
    assert list(spec.body["HostConfig"]["PortBindings"]) == ["31004/tcp"]


def test_a_lease_without_an_address_is_published_at_the_engines() -> None:
    identity = replace(IDENTITY, leases=(replace(LEASE, address=""),))
    spec = container_spec(
        request(App(id="httpd/web", image="i"), identity=identity),
        replace(SETTINGS, publish_address="10.1.2.3"),
    )
    assert spec.body["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"] == "10.1.2.3"


def test_an_empty_entrypoint_takes_the_images_away() -> None:
    spec = container_spec(request(App(id="httpd/web", image="i", entrypoint=())), SETTINGS)
    assert spec.body["Entrypoint"] == [""]


def test_an_empty_command_is_not_the_same_as_none() -> None:
    app = App(id="httpd/web", image="i")
    assert "Cmd" not in container_spec(request(app), SETTINGS).body
    assert container_spec(request(app, command=()), SETTINGS).body["Cmd"] == []


@pytest.mark.parametrize("kind", [kind for kind in CheckKind if kind is not CheckKind.NONE])
def test_the_images_own_health_check_is_left_alone_unless_the_app_wants_none(
    kind: CheckKind,
) -> None:
    app = App(id="httpd/web", image="i", health=HealthCheck(kind=kind, command=("true",)))
    assert "Healthcheck" not in container_spec(request(app), SETTINGS).body


def test_an_absolute_host_path_is_mounted_as_it_is_written() -> None:
    volume = Volume(kind=VolumeKind.BIND, source="/srv/www", target="/www")
    app = App(id="httpd/web", image="i", volumes=(volume,))
    mounts = host_config(app, directory="/home/me")["Mounts"]
    assert mounts == [{"Type": "bind", "Target": "/www", "ReadOnly": False, "Source": "/srv/www"}]


def test_the_identity_on_the_labels_reads_back_the_same() -> None:
    spec = container_spec(request(App(id="httpd/web", image="i")), SETTINGS)
    assert identity_from_labels(spec.labels) == IDENTITY


def test_equal_requests_give_equal_specs() -> None:
    app = App(id="httpd/web", image="i", labels={"a": "b"}, volumes=())
    assert container_spec(request(app), SETTINGS) == container_spec(request(app), SETTINGS)


def test_the_default_bridge_is_joined_without_aliases() -> None:
    aliases = ("web",)
    assert connect_body("c", NetworkUse(name="bridge", aliases=aliases, external=True)) == {
        "Container": "c",
        "EndpointConfig": {"Aliases": []},
    }
    assert connect_body("c", NetworkUse(name="n", aliases=aliases)) == {
        "Container": "c",
        "EndpointConfig": {"Aliases": ["web"]},
    }


def test_an_address_of_its_own_is_on_the_network_that_was_asked_for() -> None:
    named = (Network(name="dcos", external=True),)
    app = App(id="shop/web", image="i", networks=named, network_mode=NetworkMode.OWN)
    asked = networks_of(request(app), SETTINGS)
    assert [(use.name, use.external) for use in asked] == [("dcos", True)]
    both = networks_of(request(replace(app, network_mode=NetworkMode.STACK)), SETTINGS)
    assert [use.name for use in both] == [network_name("home1", "shop"), "dcos"]


def test_a_stacks_network_says_whose_it_is() -> None:
    assert network_body("portway-home1-httpd", home_id="home1", stack="httpd") == {
        "Name": "portway-home1-httpd",
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": {"portway.home": "home1", "portway.stack": "httpd"},
    }


def test_an_external_volume_keeps_its_name_and_a_tmpfs_its_size():
    volumes = (
        Volume(kind=VolumeKind.NAMED, source="shared", target="/shared", external=True),
        Volume(kind=VolumeKind.TMPFS, source="", target="/run", size_bytes=65536),
    )
    mounts = host_config(App(id="httpd/web", image="httpd", volumes=volumes))["Mounts"]
    assert mounts == [
        {"Type": "volume", "Source": "shared", "Target": "/shared", "ReadOnly": False},
        {
            "Type": "tmpfs",
            "Target": "/run",
            "ReadOnly": False,
            "TmpfsOptions": {"SizeBytes": 65536},
        },
    ]


def test_the_image_that_was_pinned_runs_not_what_its_tag_means_now():
    app = App(id="httpd/web", image="httpd:latest", image_id="sha256:abc")
    spec = container_spec(request(app), SETTINGS)
    assert spec.body["Image"] == "sha256:abc"


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        (
            {"resources": Resources(memory_bytes=64 * 2**20, swap_bytes=0, swappiness=10)},
            {"Memory": 64 * 2**20, "MemorySwap": 64 * 2**20, "MemorySwappiness": 10},
        ),
        (
            {"container": ContainerOptions(dns=("10.0.0.2",), dns_search=("example.com",))},
            {"Dns": ["10.0.0.2"], "DnsSearch": ["example.com"]},
        ),
        (
            {"container": ContainerOptions(log_driver="syslog", log_options={"tag": "x"})},
            {"LogConfig": {"Type": "syslog", "Config": {"tag": "x"}}},
        ),
        (
            {"container": ContainerOptions(log_driver="json-file", log_options={"max-size": "1m"})},
            {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}}},
        ),
        (
            {
                "volumes": (
                    Volume(
                        kind=VolumeKind.TMPFS,
                        source="",
                        target="/run",
                        size_bytes=1024,
                        options=("noexec",),
                        read_only=True,
                    ),
                )
            },
            {"Tmpfs": {"/run": "size=1024,noexec,ro"}},
        ),
    ],
    ids=["swap", "names", "another log driver", "json-file as asked", "tmpfs"],
)
def test_what_a_task_definition_can_ask_for_is_asked_of_docker(
    fields: dict[str, object], asked: dict[str, object]
) -> None:
    app = App(id="httpd/web", image="httpd:2", **fields)  # type: ignore[arg-type]
    assert host_config(app) == asked


def test_a_volume_may_name_its_driver() -> None:
    volume = Volume(
        kind=VolumeKind.NAMED,
        source="data",
        target="/data",
        driver="nfs",
        driver_options={"share": "x:/y"},
    )
    (mount,) = host_config(App(id="httpd/web", image="httpd:2", volumes=(volume,)))["Mounts"]  # type: ignore[misc]
    driver = mount["VolumeOptions"]["DriverConfig"]
    assert driver == {"Name": "nfs", "Options": {"share": "x:/y"}}


def test_its_standard_input_stays_open_where_it_is_asked_for() -> None:
    app = App(id="httpd/web", image="httpd:2", container=ContainerOptions(interactive=True))
    assert container_spec(request(app), SETTINGS).body["OpenStdin"] is True
