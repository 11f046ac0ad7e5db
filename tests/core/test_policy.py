"""The policy: what reaches out of a container is off until it is allowed, and paths count after their symlinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from portway.core.app import (
    App,
    Container,
    ContainerOptions,
    Exposure,
    JointPort,
    Network,
    NetworkMode,
    PortSpec,
    Protocol,
    Volume,
    VolumeKind,
)
from portway.core.errors import PolicyError, RequestError
from portway.core.policy import Ground, Policy, Power, check_policy, forbidden_mount, parse_policy
from portway.core.ports import PortRange

FILE = "docker-compose.yml"
LINKS = {"/srv/shared/out": "/etc", "/data": "/mnt/data"}


def app(**fields: object) -> App:
    return App(id="shop/web", image="web", **fields)  # type: ignore[arg-type]


def ground(policy: Policy | None = None, *, runs_commands: bool = False) -> Ground:
    return Ground(
        policy=policy or Policy(),
        real_path=lambda path: real_path(path, LINKS),
        directory="/home/me/shop",
        runs_commands=runs_commands,
    )


def real_path(path: str, links: Mapping[str, str]) -> str:
    for link, target in links.items():
        if path == link or path.startswith(link + "/"):
            return target + path.removeprefix(link)
    return path


def bind(source: str) -> Volume:
    return Volume(kind=VolumeKind.BIND, source=source, target="/in")


def driven(options: Mapping[str, str]) -> Volume:
    return Volume(kind=VolumeKind.NAMED, source="v", target="/in", driver_options=options)


def side(**fields: object) -> Container:
    return Container(name="side", image="side", **fields)  # type: ignore[arg-type]


def port_spec(**fields: object) -> PortSpec:
    return PortSpec(name="p", container_port=80, **fields)  # type: ignore[arg-type]


ASKING = [
    (Power.PRIVILEGED, app(container=ContainerOptions(privileged=True))),
    (Power.CAP_ADD, app(container=ContainerOptions(cap_add=("SYS_ADMIN",)))),
    (Power.CAP_ADD, app(container=ContainerOptions(cap_add=("NET_RAW",)))),
    (Power.CAP_ADD, app(container=ContainerOptions(cap_add=("ALL",)))),
    (Power.DEVICES, app(container=ContainerOptions(devices=("/dev/sda",)))),
    (Power.HOST_NETWORK, app(network_mode=NetworkMode.HOST)),
    (Power.EXTERNAL_VOLUMES, app(volumes=(driven({"device": "/etc", "o": "bind"}),))),
    (Power.PRIVILEGED, app(containers=(side(container=ContainerOptions(privileged=True)),))),
    (Power.SECURITY_OPT, app(container=ContainerOptions(security_opt=("seccomp=unconfined",)))),
    (Power.SYSCTLS, app(container=ContainerOptions(sysctls={"net.ipv4.ip_forward": "1"}))),
    (
        Power.EXTERNAL_VOLUMES,
        app(volumes=(Volume(kind=VolumeKind.NAMED, source="x", target="/x", external=True),)),
    ),
    (Power.EXTERNAL_NETWORKS, app(networks=(Network(name="other", external=True),))),
]


@pytest.mark.parametrize(("power", "asking"), ASKING)
def test_each_power_is_refused_until_it_is_allowed(power: Power, asking: App) -> None:
    with pytest.raises(PolicyError, match=r"services\.web\.\w+: .* needs an admin") as caught:
        check_policy([asking], ground(), file=FILE)
    assert caught.value.http_status == 403
    assert power.value in caught.value.problems[0].hint
    check_policy([asking], ground(Policy(allow=frozenset({power}))), file=FILE)


def test_processes_on_the_machine_itself_are_a_power() -> None:
    with pytest.raises(PolicyError, match=r"services\.web\.command: running a process"):
        check_policy([app()], ground(runs_commands=True), file=FILE)
    allowed = Policy(allow=frozenset({Power.PROCESSES}))
    check_policy([app()], ground(allowed, runs_commands=True), file=FILE)


def test_where_both_run_only_what_has_no_image_is_a_process() -> None:
    both = replace(ground(), runs_both=True)
    check_policy([app()], both, file=FILE)
    with pytest.raises(PolicyError, match=r"services\.bare\.command: running a process"):
        check_policy([App(id="shop/bare", command=("x",))], both, file=FILE)


def test_what_every_container_has_anyway_is_no_power() -> None:
    plain = ContainerOptions(
        cap_add=("CHOWN", "NET_BIND_SERVICE"),
        cap_drop=("ALL",),
        security_opt=("no-new-privileges:true",),
        read_only=True,
    )
    volumes = (Volume(kind=VolumeKind.NAMED, source="data", target="/data"),)
    check_policy([app(container=plain, volumes=volumes)], ground(), file=FILE)


def test_one_capability_can_be_allowed_and_not_the_others() -> None:
    policy = Policy(capabilities=frozenset({"NET_RAW"}))
    check_policy([app(container=ContainerOptions(cap_add=("NET_RAW",)))], ground(policy), file=FILE)
    both = app(container=ContainerOptions(cap_add=("NET_RAW", "SYS_PTRACE")))
    with pytest.raises(PolicyError, match="SYS_PTRACE"):
        check_policy([both], ground(policy), file=FILE)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("/srv/shared", True),
        ("/srv/shared/a/b", True),
        ("/srv/shared2", False),
        ("/srv", False),
        ("/", False),
        ("/srv/shared/../../etc", False),
        ("/srv/shared/out", False),
        ("/srv/shared/out/passwd", False),
        ("/mnt/data/a", True),
        ("../../../srv/shared/x", True),
        ("./x", False),
    ],
)
def test_a_path_is_judged_by_where_it_leads(source: str, allowed: bool) -> None:
    on = ground(Policy(bind_paths=("/srv/shared", "/data")))
    asking = app(volumes=(bind(source),))
    assert (forbidden_mount(asking, on) == "") is allowed
    if allowed:
        check_policy([asking], on, file=FILE)
    else:
        with pytest.raises(PolicyError, match=r"services\.web\.volumes"):
            check_policy([asking], on, file=FILE)


@pytest.mark.parametrize(
    "spec",
    [
        port_spec(service_ports=(22,)),
        port_spec(service_ports=(1023, 1024)),
        port_spec(joint=JointPort(group="g", service_port=80)),
        port_spec(host_port=443),
        port_spec(host_port=53, protocol=Protocol.UDP, exposure=Exposure.HOST),
    ],
)
def test_a_low_port_of_the_machine_is_refused_until_it_is_allowed(spec: PortSpec) -> None:
    with pytest.raises(PolicyError, match=r"services\.web\.ports: the port \d+ of the server"):
        check_policy([app(ports=(spec,))], ground(), file=FILE)
    allowed = Policy(port_ranges=(PortRange(first=1, last=2000),))
    check_policy([app(ports=(spec,))], ground(allowed), file=FILE)


def test_everything_that_is_refused_is_said_at_once() -> None:
    asking = app(container=ContainerOptions(privileged=True), volumes=(bind("/etc"), bind("/root")))
    with pytest.raises(PolicyError) as caught:
        check_policy([asking], ground(), file=FILE)
    assert [problem.path for problem in caught.value.problems] == [
        "services.web.privileged",
        "services.web.volumes",
        "services.web.volumes",
    ]


def test_a_policy_file_says_what_is_allowed() -> None:
    text = (
        'allow = ["devices"]\ncapabilities = ["CAP_NET_RAW"]\n'
        'bind_paths = ["/srv/shared/"]\nports = ["80", "8000-9000"]\n'
    )
    policy = parse_policy(text, file="policy.toml")
    assert policy == Policy(
        allow=frozenset({Power.DEVICES}),
        capabilities=frozenset({"NET_RAW"}),
        bind_paths=("/srv/shared",),
        port_ranges=(PortRange(first=80, last=80), PortRange(first=8000, last=9000)),
    )
    assert parse_policy("", file="policy.toml") == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allow = ", "is not valid TOML"),
        ("allow = " + "[" * 2000, "is not valid TOML"),
        ("alow = []", 'has "alow", which is no setting. Did you mean'),
        ('allow = ["privilege"]', 'allows "privilege", which is no power. Did you mean'),
        ('allow = "devices"', "no list of texts"),
        ("ports = [80]", "no list of texts"),
        ('ports = ["80-"]', "no port and no range"),
        ('ports = ["9-8"]', "no port and no range"),
        ('ports = ["70000"]', "no port and no range"),
        ('bind_paths = ["srv"]', "no absolute path"),
    ],
)
def test_a_policy_file_with_a_mistake_is_refused_with_it(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said.replace("?", ".")):
        parse_policy(text, file="policy.toml")


def test_a_path_that_another_container_mounts_counts_too() -> None:
    asking = app(containers=(side(volumes=(bind("/etc"),)),))
    with pytest.raises(PolicyError, match="/etc is a path of the server's machine"):
        check_policy([asking], ground(), file=FILE)
    assert "/etc" in forbidden_mount(asking, ground())
